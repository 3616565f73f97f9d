"""The screen of a real guest by CloudStack's own command: published nowhere by default, and where the operator says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import websocket
from cs import CloudStack

from dev.target import SYSTEM, Target
from operators.contract.consoles import PROTOCOL, TOKEN_PROTOCOL
from operators.contract.identity import ACCOUNT
from operators.contract.meta import Key
from tests.support import cloudstack
from tests.support.cloudstack import found
from tests.support.cluster import PATIENCE, Cloud, vm

pytestmark = pytest.mark.alone  # the API is the other tests' too
PUBLISHED = "ws://consoles.example.org"


@contextmanager
def published(cloud: Cloud) -> Iterator[None]:
    """The API told where Console is published; as before afterwards."""
    try:
        _said(cloud, f"CONSOLE_URL={PUBLISHED}")
        yield
    finally:
        _said(cloud, "CONSOLE_URL-")


def _said(cloud: Cloud, setting: str) -> None:
    cloud.kubectl("-n", SYSTEM, "set", "env", "deployment/cloudstack-api", setting)
    cloud.kubectl("-n", SYSTEM, "rollout", "status", "deployment/cloudstack-api", "--timeout=300s")


def _endpoint(cs: CloudStack, cloud: Cloud) -> dict[str, Any]:
    uid = cloud.need("VirtualMachine", "web")["metadata"]["uid"]
    cloudstack.until(lambda: found(cs.listVirtualMachines(id=uid), "virtualmachine")["state"] == "Running")
    return dict(cs.createConsoleEndpoint(virtualmachineid=uid)["consoleendpoint"])


def test_a_screen_by_the_api(where: Target, cloud: Cloud) -> None:
    cloud.create(ACCOUNT.body(Key("", cloud.namespace), spec={"domain": "root"}))
    cloud.apply(vm("web", nics=[]))
    cloud.ready("vm/web")
    keys = cloudstack.keys(where)
    with cloudstack.reached(where) as url, cloudstack.client(url, *keys) as cs:
        told = _endpoint(cs, cloud)
        assert (told["success"], "cloudstack vnc web" in told["details"]) == (False, True)
    with published(cloud):
        with cloudstack.reached(where) as url, cloudstack.client(url, *keys) as cs:
            told = _endpoint(cs, cloud)
        way = told["websocket"]
        assert told["success"] is True
        assert told["url"] == f"{PUBLISHED}{way['path']}"
        assert (way["host"], way["port"]) == ("consoles.example.org", "80")
        assert way["token"] not in told["url"]
        with cloudstack.reached(where, "cloudstack-console") as consoles:
            address = consoles.replace("http", "ws", 1) + way["path"]
            protocols = [PROTOCOL, TOKEN_PROTOCOL + way["token"]]
            screen = websocket.create_connection(
                address, timeout=PATIENCE, subprotocols=protocols, suppress_origin=True
            )
            with closing(screen):
                said = b""
                while len(said) < len(b"RFB 003.008\n"):
                    said += bytes(screen.recv_data()[1])
                assert said.startswith(b"RFB 003.008\n")
