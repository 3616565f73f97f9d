"""`cloudstack apply-crds`: the kinds that this release's code understands, brought to the API server.

Helm installs a chart's CRDs once and never upgrades them, so the chart runs this before each upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
import yaml

from operators.contract.codec import Json
from operators.contract.core import Nothing
from operators.contract.meta import Key, Kind
from operators.kernel import access
from operators.kernel.clock import Clock, SystemClock
from operators.kernel.rest import RestStore
from operators.kernel.store import Store, StoreError

log = structlog.get_logger()

FOLDER = Path(__file__).resolve().parents[1] / "crds"
"""In the image and in a working copy alike."""
CRD = Kind(
    "apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", Nothing, Nothing,
    namespaced=False, version="v1",
)  # fmt: skip
MANAGER = "helm"
"""Helm's own name as a field manager: with another, Helm would refuse to install the chart again after an uninstall."""
PATIENCE = 30.0
"""Seconds in which the API server must have begun to serve a new kind; it takes well under one."""
LOOK_AGAIN = 0.2


class NotServed(StoreError):
    """A kind was applied, but the API server does not serve it."""


async def run(env: Mapping[str, str], folder: Path = FOLDER) -> int:
    """Apply every CRD of the folder and wait until each is served; the exit code."""
    reach = access.find(env)
    async with reach.session("cloudstack-crds") as session:
        store = RestStore(session, reach.server, MANAGER)
        try:
            for body in bodies(folder):
                await apply(store, body, SystemClock())
        except StoreError as error:
            log.error("crds_not_applied", error=str(error))
            return 1
    return 0


def bodies(folder: Path) -> list[Json]:
    """The CRDs of a folder, in the order of their file names."""
    return [yaml.load(file.read_text(), yaml.CSafeLoader) for file in sorted(folder.glob("*.yaml"))]


async def apply(store: Store, body: Json, clock: Clock) -> None:
    """Apply one CRD and wait until the API server has taken it up. Raises StoreError."""
    key = Key("", body["metadata"]["name"])
    seen: Json | None = await store.apply(CRD, body)
    deadline = clock.monotonic() + PATIENCE
    # This account may read single CRDs and not watch them all, so it asks again.
    while not _established(seen):
        if clock.monotonic() > deadline:
            raise NotServed(f"{key} is not served after {PATIENCE:.0f} s: kubectl describe crd {key}")
        await clock.sleep(LOOK_AGAIN)
        seen = await store.get(CRD, key)
    log.info("crd_applied", crd=str(key))


def _established(body: Mapping[str, Any] | None) -> bool:
    conditions = ((body or {}).get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
