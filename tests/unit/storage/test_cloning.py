"""A Volume made from another one on which a guest runs: by a VolumeSnapshot of its own, that goes once it is there."""

from __future__ import annotations

from typing import Any

from operators.contract.meta import Key, condition
from operators.contract.snapshots import DISK_SNAPSHOT, VOLUME_SNAPSHOT
from operators.contract.storage import DISK, VOLUME
from tests.unit.storage.test_snapshots_end_to_end import Snapshots, cloud
from tests.unit.storage.test_volumes_end_to_end import virtual


async def running(it: Snapshots, **copy: Any) -> None:
    """The guest of `web` runs on `data`, which `copy` is to be made from."""
    await it.volume(size="1Gi")
    await it.run_vm("data")
    await it.settle()
    await it.volume("copy", source={"volume": "data"}, **copy)


def why(it: Snapshots, name: str = "copy") -> str:
    """What a Volume says about itself."""
    volume = it.get(VOLUME, name)
    assert volume is not None
    said = condition(volume.status.conditions, "Ready")
    return said.message if said else ""


@virtual
async def test_it_is_copied_from_a_snapshot_that_goes_after_that() -> None:
    async with cloud() as it:
        it.takes = False
        await running(it)
        await it.settle()
        taken = it.get(VOLUME_SNAPSHOT, "copy-source")
        volume = it.get(VOLUME, "copy")
        assert taken is not None and volume is not None
        assert [owner.uid for owner in taken.meta.owner_references] == [volume.meta.uid]
        assert it.reason("copy") == "Provisioning" and "VolumeSnapshot copy-source of Volume data" in why(it)
        assert it.get(DISK, "copy-d0") is None

        it.takes = True
        await it.agent.apply_status(DISK_SNAPSHOT, Key("team", "copy-source"), {"target": "/x"}, resource_version="")
        await it.settle()
        copy = it.get(DISK, "copy-d0")
        assert copy is not None and it.reason("copy") == "AsSpecified"
        assert (copy.spec.snapshot, copy.spec.pool) == (f"snapshots/{taken.meta.uid}.qcow2", "local-h1")
        assert it.all(VOLUME_SNAPSHOT) == it.all(DISK_SNAPSHOT) == []


@virtual
async def test_a_snapshot_of_somebody_else_is_left_alone() -> None:
    async with cloud() as it:
        await it.volume(size="1Gi")
        await it.run_vm("data")
        await it.snapshot("copy-source")
        await it.settle()
        await it.volume("copy", source={"volume": "data"})
        await it.settle()
        assert it.reason("copy") == "NameTaken" and "delete it, or name the Volume otherwise" in why(it)
        it.server.delete("user", VOLUME_SNAPSHOT, Key("team", "copy-source"))
        await it.settle()
        assert it.reason("copy") == "AsSpecified" and it.all(VOLUME_SNAPSHOT) == []


@virtual
async def test_a_guest_that_was_started_before_it_was_copied() -> None:
    async with cloud() as it:
        await it.volume(size="1Gi")
        await it.run_vm("data")
        await it.settle()
        await it.stop_vm()
        it.answers = False
        await it.volume("copy", source={"volume": "data"})
        await it.settle()
        before = it.get(DISK, "copy-d0")
        assert before is not None and before.spec.snapshot.startswith("volumes/")
        locked = {"type": "Provisioned", "status": "False", "reason": "StillAttached", "message": "a guest runs on it"}
        await it.agent.apply_status(DISK, before.key, {"conditions": [locked]}, resource_version="")
        await it.settle()
        assert it.all(VOLUME_SNAPSHOT) == []  # nothing runs on it any more: the agent's next try will do
        it.answers = True
        await it.run_vm("data", vm="late")
        await it.settle()
        copy = it.get(DISK, "copy-d0")
        assert copy is not None and copy.meta.uid == before.meta.uid and copy.spec.snapshot.startswith("snapshots/")
        assert it.reason("copy") == "AsSpecified" and it.all(VOLUME_SNAPSHOT) == []


@virtual
async def test_its_pool_and_size_are_looked_at_before_anything_is_taken() -> None:
    async with cloud() as it:
        await running(it, size="512Mi")
        await it.settle()
        assert it.reason("copy") == "SizeTooSmall"
        await it.volume("other", source={"volume": "data"}, pool="local-h2")
        await it.settle()
        assert it.reason("other") == "NoPoolFits" and it.all(VOLUME_SNAPSHOT) == []
