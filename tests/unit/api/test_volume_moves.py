"""Moves of volumes to other pools under their guests."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.codec import Json
from operators.contract.fabric import HOST_REPORT, STORAGE_POOL
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World

GIB = 2**30


async def pool(world: World, name: str = "fast", **spec: Any) -> str:
    store = MemoryStore(world.server, "fabric")
    made = await store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", name), spec={"path": name} | spec))
    return str(made["metadata"]["uid"])


async def reported(world: World, *, free: str = "50Gi", online: bool = True, name: str = "fast") -> None:
    store = MemoryStore(world.server, "fabric")
    key = Key("", "node1")
    await store.create(HOST_REPORT, HOST_REPORT.body(key, spec={"hostName": "node1"}))
    said = {"pool": name, "online": online, "capacity": "60Gi", "free": free, "message": "no such folder"}
    await store.apply_status(HOST_REPORT, key, {"storage": {"pools": [said]}}, resource_version="")


async def volume(world: World) -> str:
    """A data volume of a running virtual machine, on the host's own pool."""
    store = MemoryStore(world.server, "kubectl")
    made = await store.create(VOLUME, VOLUME.body(Key("alice", "ledger"), spec={"size": "1Gi"}))
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    uid = str(made["metadata"]["uid"])
    await world.call("alice", "attachVolume", id=uid, virtualmachineid=begun["id"])
    await world.settled()
    await world.still()
    await state(world, pool="local-node1", attachedTo="web")
    return uid


async def state(world: World, reason: str = "", **fields: Any) -> None:
    body = world.server.read(VOLUME, Key("alice", "ledger"))
    assert body is not None
    generation = body["metadata"]["generation"]
    ready = {"type": "Ready", "status": "False" if reason else "True", "reason": reason or "AsSpecified"}
    ready |= {"observedGeneration": generation}
    status = {"observedGeneration": generation, "size": "1Gi", "conditions": [ready], **fields}
    store = MemoryStore(world.server, "puppets")
    await store.apply_status(VOLUME, Key("alice", "ledger"), status, resource_version="")


async def ask(world: World, uid: str, storage: str, **params: str) -> tuple[int, Json]:
    params = {"livemigrate": "true"} | params
    status, body = await world.ask("admin", "migrateVolume", volumeid=uid, storageid=storage, **params)
    return status, dict(body["migratevolumeresponse"])


async def test_a_move(world: World) -> None:
    uid, target = await volume(world), await pool(world, hostName="node1")
    await reported(world)
    _, begun = await ask(world, uid, target)
    body = world.server.read(VOLUME, Key("alice", "ledger"))
    assert body is not None
    assert body["spec"]["pool"] == "fast"
    await state(world, "Moving", pool="local-node1", attachedTo="web")
    assert (await world.call("admin", "queryAsyncJobResult", jobid=begun["jobid"]))["jobstatus"] == 0
    await state(world, pool="fast", attachedTo="web")
    done = await world.job("admin", begun["jobid"])
    assert (done["jobstatus"], done["jobresult"]["volume"]["storage"]) == (1, "fast")
    status, said = await ask(world, uid, target)
    assert (status, "already" in said["errortext"]) == (431, True)


@pytest.mark.parametrize(
    ("spec", "report", "says"),
    [
        ({"hostName": "node2"}, {}, "node1 does not reach it"),
        ({"zone": "elsewhere"}, {}, "node1 does not reach it"),
        ({"hostName": "node1", "schedulable": False}, {}, "is not schedulable"),
        ({"hostName": "node1"}, {"name": "another"}, "has not reported it yet"),
        ({"hostName": "node1"}, {"online": False}, "offline: no such folder"),
        ({"hostName": "node1"}, {"free": "1Gi"}, "% full"),
        ({"hostName": "node1", "threshold": 100}, {"free": "1Mi"}, "only 1Mi are free"),
    ],
)
async def test_pools_that_cannot_take_it(world: World, spec: dict[str, Any], report: dict[str, Any], says: str) -> None:
    uid, target = await volume(world), await pool(world, **spec)
    await reported(world, **report)
    status, said = await ask(world, uid, target)
    assert status == 533
    assert says in said["errortext"]
    (found,) = (await world.call("admin", "findStoragePoolsForMigration", id=uid))["storagepool"]
    assert (found["name"], found["suitableformigration"]) == ("fast", False)


async def test_the_pools_to_choose_from(world: World) -> None:
    uid, _ = await volume(world), await pool(world, "far", hostName="node2")
    await pool(world, "fast", hostName="node1")
    await reported(world)
    found = (await world.call("admin", "findStoragePoolsForMigration", id=uid))["storagepool"]
    assert [(each["name"], each["suitableformigration"]) for each in found] == [("fast", True), ("far", False)]


async def test_a_stopped_guest_needs_no_leave_to_move_it_and_a_running_one_does(world: World) -> None:
    uid, target = await volume(world), await pool(world, hostName="node1")
    await reported(world)
    status, said = await ask(world, uid, target, livemigrate="false")
    assert (status, "livemigrate=true" in said["errortext"]) == (431, True)
    world.hold = False
    (vm,) = (await world.call("alice", "listVirtualMachines"))["virtualmachine"]
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm["id"]))["jobid"])
    await world.still()
    await state(world)
    assert "no pool yet" in (await ask(world, uid, target))[1]["errortext"]
    await state(world, pool="local-node1", hostName="node1")
    _, begun = await ask(world, uid, target, livemigrate="false")
    body = world.server.read(VOLUME, Key("alice", "ledger"))
    assert body is not None and body["spec"]["pool"] == "fast"
    await state(world, pool="fast")
    assert (await world.job("admin", begun["jobid"]))["jobstatus"] == 1


async def test_a_volume_of_no_guest_moves_where_its_host_reaches(world: World) -> None:
    uid = await volume(world)
    await call_detach(world, uid)
    await state(world, pool="local-node1", hostName="node1")
    far, near = await pool(world, "far", hostName="node2"), await pool(world, "fast", hostName="node1")
    await reported(world)
    status, said = await ask(world, uid, far, livemigrate="false")
    assert (status, "node1 does not reach it" in said["errortext"]) == (533, True)
    assert (await ask(world, uid, near, livemigrate="false"))[0] == 200


async def call_detach(world: World, uid: str) -> None:
    world.hold = False
    await world.call("alice", "detachVolume", id=uid)
    await world.settled()
    await world.still()
