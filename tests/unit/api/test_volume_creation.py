"""Volumes that begin as snapshots, and reboots that do not ask."""

from __future__ import annotations

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World


async def snapshot(world: World, *, ready: bool = True) -> str:
    store = MemoryStore(world.server, "storage")
    await store.create(VOLUME, VOLUME.body(Key("alice", "ledger"), spec={"size": "2Gi"}))
    made = await store.create(VOLUME_SNAPSHOT, VOLUME_SNAPSHOT.body(Key("alice", "then"), spec={"volume": "ledger"}))
    said = {"type": "Ready", "status": str(ready), "reason": "AsSpecified", "observedGeneration": 1}
    status = {"size": "2Gi", "conditions": [said], "observedGeneration": 1}
    await store.apply_status(VOLUME_SNAPSHOT, Key("alice", "then"), status, resource_version="")
    return str(made["metadata"]["uid"])


@pytest.mark.parametrize(("params", "size"), [({}, "2Gi"), ({"size": "5"}, "5Gi")])
async def test_a_volume_from_a_snapshot(world: World, params: dict[str, str], size: str) -> None:
    uid = await snapshot(world)
    begun = await world.call("alice", "createVolume", name="copy", snapshotid=uid, **params)
    done = await world.job("alice", begun["jobid"])
    assert done["jobstatus"] == 1
    assert (done["jobresult"]["volume"]["id"], done["jobresult"]["volume"]["snapshotid"]) == (begun["id"], uid)
    body = world.server.read(VOLUME, Key("alice", "copy"))
    assert body is not None
    assert (body["spec"]["source"], body["spec"]["size"]) == ({"snapshot": "then"}, size)
    assert body["spec"]["diskOffering"] == "standard"


@pytest.mark.parametrize(
    ("user", "ready", "params", "code", "says"),
    [
        ("alice", False, {}, 431, "is not ready"),
        ("alice", True, {"size": "1"}, 431, "that or more"),
        ("alice", True, {"virtualmachineid": "x"}, 432, "virtualmachineid"),
        ("admin", True, {}, 531, "another account"),
    ],
)
async def test_what_cannot_be(
    world: World, user: str, ready: bool, params: dict[str, str], code: int, says: str
) -> None:
    uid = await snapshot(world, ready=ready)
    status, body = await world.ask(user, "createVolume", snapshotid=uid, **params)
    assert status == code
    assert says in body["createvolumeresponse"]["errortext"]
    assert len(list(world.server.all(VOLUME))) == 1


async def test_a_forced_reboot_cuts_the_power(world: World) -> None:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    await world.settled()
    await world.still()
    again = await world.call("alice", "rebootVirtualMachine", id=begun["id"], forced="true")
    told = await world.call("alice", "queryAsyncJobResult", jobid=again["jobid"])
    assert told["jobstatus"] == 0
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    assert (body["spec"]["resetRequest"], body["spec"].get("rebootRequest", 0)) == (1, 0)
    world.hold = False
    await MemoryStore(world.server, "kubectl").merge(
        VIRTUAL_MACHINE, VIRTUAL_MACHINE.parse(body).meta, {"metadata": {"labels": {"nudge": "1"}}}
    )
    done = await world.job("alice", again["jobid"])
    assert done["jobresult"]["virtualmachine"]["state"] == "Running"
    assert {flow["spec"]["operation"] for flow in world.server.all(FLOW)} == {"Deploy"}


async def test_a_virtual_machine_with_a_data_volume(world: World) -> None:
    await world.network("alice")
    ids = await world.ids("alice")
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
    status, body = await world.ask("alice", "deployVirtualMachine", name="web", size="5", **ids)
    assert (status, "diskofferingid" in body["deployvirtualmachineresponse"]["errortext"]) == (431, True)
    begun = await world.call("alice", "deployVirtualMachine", name="web", diskofferingid=offering, size="5", **ids)
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    (data,) = (await world.call("alice", "listVolumes", virtualmachineid=begun["id"], type="DATADISK"))["volume"]
    assert (data["name"], data["size"], data["deviceid"]) == ("web-data", 5 * 2**30, 1)


async def test_what_cannot_be_made_leaves_no_data_volume(world: World) -> None:
    await world.network("alice")
    ids = await world.ids("alice")
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
    begun = await world.call("alice", "deployVirtualMachine", name="web", **ids)
    await world.job("alice", begun["jobid"])
    status, body = await world.ask(
        "alice", "deployVirtualMachine", name="web", diskofferingid=offering, size="5", **ids
    )
    assert (status, "already exists" in body["deployvirtualmachineresponse"]["errortext"]) == (431, True)
    assert await world.call("alice", "listVolumes", type="DATADISK") == {}


async def test_nothing_is_taken_of_a_volume_that_nobody_used(world: World) -> None:
    """Its job would wait for a virtual machine (seed 1414 of the simulation)."""
    store = MemoryStore(world.server, "storage")
    made = await store.create(VOLUME, VOLUME.body(Key("alice", "ledger"), spec={"size": "2Gi"}))
    waits = {"type": "Bound", "status": "False", "reason": "WaitingForFirstConsumer", "observedGeneration": 1}
    await store.apply_status(VOLUME, Key("alice", "ledger"), {"conditions": [waits]}, resource_version="")
    await world.call("alice", "listVolumes")
    status, body = await world.ask("alice", "createSnapshot", volumeid=made["metadata"]["uid"])
    assert (status, "Allocated" in body["createsnapshotresponse"]["errortext"]) == (431, True)
