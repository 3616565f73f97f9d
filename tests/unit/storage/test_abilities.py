"""What a pool's driver cannot do is refused with a sentence, and done once it can."""

from __future__ import annotations

from typing import Any

from operators.contract.fabric import HOST_REPORT, STORAGE_POOL
from operators.contract.meta import Key, condition
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK, IMAGE, VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.storage.test_snapshots_end_to_end import Snapshots, cloud
from tests.unit.storage.test_volumes_end_to_end import virtual


async def can(it: Snapshots, *abilities: str, pool: str = "local-h1") -> None:
    """What Fabric Monitoring says of a pool."""
    status = {"formats": [{"format": "qcow2", "abilities": list(abilities)}]}
    store = MemoryStore(it.server, "fabric-monitoring")
    await store.apply_status(STORAGE_POOL, Key("", pool), status, resource_version="")
    await it.settle()


async def placed(it: Snapshots, *abilities: str, **volume: Any) -> None:
    """A Volume on which the guest of `web` runs, on a pool with these abilities."""
    await it.volume(size="1Gi", **volume)
    await it.run_vm("data")
    await it.settle()
    await can(it, *abilities)


def said(it: Snapshots, kind: Any, name: str) -> tuple[str, str]:
    obj = it.get(kind, name)
    assert obj is not None
    found = condition(obj.status.conditions, "Ready")
    return (found.reason, found.message) if found else ("", "")


@virtual
async def test_snapshots_where_there_are_none() -> None:
    async with cloud() as it:
        await placed(it, "Thin")
        await it.snapshot()
        await it.settle()
        reason, message = said(it, VOLUME_SNAPSHOT, "snap")
        assert reason == "Unsupported" and "cannot take snapshots of qcow2 disks" in message and "spec.pool" in message
        await can(it, "Thin", "Snapshots")
        assert said(it, VOLUME_SNAPSHOT, "snap")[0] == "AsSpecified"


@virtual
async def test_copies_where_there_are_none() -> None:
    async with cloud() as it:
        await placed(it, "Thin", "Snapshots")
        await it.volume("copy", source={"volume": "data"})
        await it.user.create(IMAGE, IMAGE.body(Key("team", "golden"), spec={"source": {"volume": "data"}}))
        await it.settle()
        for kind, name in ((VOLUME, "copy"), (IMAGE, "golden")):
            reason, message = said(it, kind, name)
            assert reason == "Unsupported" and "pool local-h1 cannot copy qcow2 disks" in message
        await it.stop_vm()
        await can(it, "Thin", "Snapshots", "Copies")
        assert it.reason("copy") == "AsSpecified" and it.get(DISK, "copy-d0") is not None
        assert it.reason("golden", kind=IMAGE) != "Unsupported"


@virtual
async def test_moves_where_there_are_none() -> None:
    async with cloud() as it:
        await it.share()
        pools = [{"pool": each, "online": True, "capacity": "100Gi", "free": "50Gi"} for each in ("local-h1", "shared")]
        status = {"storage": {"pools": pools}}
        await it.agent.apply_status(HOST_REPORT, Key("", "h1"), status, resource_version="")
        await placed(it, "Copies", pool="local-h1")
        await it.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "1Gi", "pool": "shared"}))
        await it.settle()
        reason, message = said(it, VOLUME, "data")
        assert reason == "Unsupported" and "cannot move qcow2 disks under a guest" in message
        assert "it stays on local-h1" in message
        await it.stop_vm()
        await it.settle(60)
        volume = it.get(VOLUME, "data")
        assert volume is not None and volume.status.pool == "shared"


@virtual
async def test_growth_where_it_takes_a_stop() -> None:
    async with cloud() as it:
        await placed(it, "Copies")
        await it.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "2Gi"}))
        await it.settle()
        reason, message = said(it, VOLUME, "data")
        disk = it.get(DISK, "data-d0")
        assert disk is not None and str(disk.spec.size) == "1Gi"
        assert reason == "RestartRequired" and "once VirtualMachine web is stopped" in message
        await it.stop_vm()
        await it.settle()
        disk = it.get(DISK, "data-d0")
        assert disk is not None and str(disk.spec.size) == "2Gi" and it.reason() == "AsSpecified"
