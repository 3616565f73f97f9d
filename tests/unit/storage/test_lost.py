"""What waits for the agent of a host that does not answer says so, and goes on when it is back."""

from __future__ import annotations

from typing import Any

from operators.contract import names
from operators.contract.fabric import HOST
from operators.contract.meta import Key, condition
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import DISK, VOLUME
from tests.unit.storage.test_snapshots_end_to_end import Snapshots, cloud
from tests.unit.storage.test_volumes_end_to_end import virtual


async def reach(it: Snapshots, host: str, there: bool) -> None:
    """What Fabric Monitoring says of a host, and whether its agents do anything."""
    it.answers = there
    said = {"type": "Reachable", "status": "True" if there else "False", "reason": "HeartbeatsMissed"}
    await it.agent.apply_status(HOST, Key("", host), {"conditions": [said]}, resource_version="")
    await it.settle()


def why(it: Snapshots, kind: Any, name: str) -> str:
    obj = it.get(kind, name)
    assert obj is not None
    said = condition(obj.status.conditions, "Ready")
    return said.message if said else ""


@virtual
async def test_a_volume_that_goes() -> None:
    async with cloud() as it:
        await it.volume(size="1Gi")
        await it.run_vm("data")
        await it.settle()
        await it.stop_vm()
        await reach(it, "h1", False)
        assert "not reachable" not in why(it, VOLUME, "data"), "there is nothing to do to its disk"
        it.server.delete("user", VOLUME, Key("team", "data"))
        await it.settle()
        assert "host h1 is not reachable: this waits until that is over" in why(it, VOLUME, "data")
        await reach(it, "h1", True)
        assert "not reachable" not in why(it, VOLUME, "data")
        released = {"conditions": [{"type": "Released", "status": "True", "reason": "AsSpecified"}]}
        await it.agent.apply_status(DISK, Key("team", "data-d0"), released, resource_version="")
        await it.settle()
        assert it.get(VOLUME, "data") is None


@virtual
async def test_a_file_on_a_shared_pool_that_another_host_uses_by_now() -> None:
    async with cloud() as it:
        await it.share()
        await it.volume(size="1Gi", pool="shared")
        await it.run_vm("data")
        await it.settle()
        await it.stop_vm()
        await reach(it, "h1", False)
        await it.run_vm("data", vm="other", host="h2")
        await it.settle()
        seen = {
            "virtualSize": "1Gi",
            "conditions": [{"type": "Provisioned", "status": "True", "reason": "AsSpecified"}],
        }
        await it.agent.apply_status(DISK, Key("team", names.disk_on("data", "h2")), seen, resource_version="")
        await it.settle()
        volume = it.get(VOLUME, "data")
        assert volume is not None and volume.status.attached_to == "other" and it.reason() == "AsSpecified"
        await it.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "2Gi", "pool": "shared"}))
        await it.settle()
        assert it.reason() == "Growing" and "host h1 is not reachable" in why(it, VOLUME, "data")


@virtual
async def test_a_snapshot_that_is_to_be_taken_there() -> None:
    async with cloud() as it:
        await it.volume(size="1Gi")
        await it.run_vm("data")
        await it.settle()
        await reach(it, "h1", False)
        await it.snapshot()
        await it.settle()
        assert "host h1 is not reachable" in why(it, VOLUME_SNAPSHOT, "snap")
