"""All kinds of the cloud, in one table."""

from __future__ import annotations

from typing import Any

from operators.contract import (
    backups,
    compute,
    consoles,
    fabric,
    identity,
    instancegroups,
    instances,
    keypairs,
    migrations,
    networking,
    orchestration,
    placement,
    snapshots,
    storage,
    uploads,
    vmsnapshots,
    webhooks,
)
from operators.contract.meta import Kind

ALL: tuple[Kind[Any, Any], ...] = (
    *compute.KINDS,
    *instances.KINDS,
    *migrations.KINDS,
    *placement.KINDS,
    *keypairs.KINDS,
    *instancegroups.KINDS,
    *consoles.KINDS,
    *storage.KINDS,
    *uploads.KINDS,
    *snapshots.KINDS,
    *vmsnapshots.KINDS,
    *backups.KINDS,
    *networking.KINDS,
    *fabric.KINDS,
    *orchestration.KINDS,
    *webhooks.KINDS,
    *identity.KINDS,
)

HOST_SIDE: tuple[Kind[Any, Any], ...] = tuple(kind for kind in ALL if kind.host_side)
