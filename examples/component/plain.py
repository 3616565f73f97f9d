"""The same with plain kopf, and nothing of ours but the kind's name: `kopf run --standalone -A plain.py`."""

from typing import Any

import kopf

OWNER = "example.org/owner"


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Leave no traces: no Events, and no look at what other kinds there are."""
    settings.posting.enabled = False
    settings.scanning.disabled = True


@kopf.on.event("compute.cloudstack.dev", "v1alpha1", "virtualmachines")
def label(event: kopf.RawEvent, meta: kopf.Meta, patch: kopf.Patch, **_: Any) -> None:
    """Label a machine that has no owner. An event tells of its newest state, so this needs no memory."""
    if event["type"] == "DELETED" or meta.get("deletionTimestamp") or OWNER in meta.labels:
        return
    patch.metadata.labels[OWNER] = meta.namespace
