"""Snapshots of whole virtual machines, and ways to their screens."""

from __future__ import annotations

import hashlib
from typing import Any

from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.consoles import CONSOLE
from operators.contract.meta import Key
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World


async def machine(world: World) -> str:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    return str(begun["id"])


async def say(world: World, name: str, *, reverted: tuple[str, str, str] | None = None, **status: Any) -> None:
    """Compute's word about one."""
    body = world.server.read(VIRTUAL_MACHINE_SNAPSHOT, Key("alice", name))
    assert body is not None
    of = {"status": "True", "reason": "AsSpecified", "observedGeneration": body["metadata"]["generation"]}
    conditions = [{"type": "Ready"} | of]
    if reverted is not None:
        status_, reason, message = reverted
        conditions += [{"type": "Reverted"} | of | {"status": status_, "reason": reason, "message": message}]
    said = {"takenAt": "2026-11-21T12:00:00Z", "virtualMachineUid": world.uid(VIRTUAL_MACHINE, "web", "alice")}
    said |= {"conditions": conditions} | status
    await MemoryStore(world.server, "compute").apply_status(
        VIRTUAL_MACHINE_SNAPSHOT, Key("alice", name), said, resource_version=""
    )


async def test_taken_listed_brought_back_and_deleted(world: World) -> None:
    vm = await machine(world)
    begun = await world.call("alice", "createVMSnapshot", virtualmachineid=vm, name="Monday", quiescevm="true")
    (body,) = world.server.all(VIRTUAL_MACHINE_SNAPSHOT)
    assert (body["spec"]["virtualMachine"], body["spec"]["quiesce"]) == ("web", "Required")
    assert (await world.call("alice", "queryAsyncJobResult", jobid=begun["jobid"]))["jobstatus"] == 0
    await say(world, "monday", current=True)
    done = (await world.job("alice", begun["jobid"]))["jobresult"]["vmsnapshot"]
    assert (done["displayname"], done["state"], done["type"], done["current"]) == ("Monday", "Ready", "Disk", True)

    await world.call("alice", "createVMSnapshot", virtualmachineid=vm, name="tuesday")
    await say(world, "tuesday", parent="monday", current=True)
    listed = (await world.call("alice", "listVMSnapshot", virtualmachineid=vm, state="ready"))["vmSnapshot"]
    assert {each["displayname"]: each.get("parentName") for each in listed} == {"Monday": None, "tuesday": "Monday"}
    (one,) = (await world.call("alice", "listVMSnapshot", name="tuesday"))["vmSnapshot"]
    assert (one["parent"], one["virtualmachineid"]) == (begun["id"], vm)

    status, refused = await world.ask("alice", "revertToVMSnapshot", vmsnapshotid=begun["id"])
    assert (status, "stop it first" in refused["reverttovmsnapshotresponse"]["errortext"]) == (431, True)
    stopped = await world.call("alice", "stopVirtualMachine", id=vm)
    await world.job("alice", stopped["jobid"])
    await world.settled()
    back = await world.call("alice", "revertToVMSnapshot", vmsnapshotid=begun["id"])
    assert (await world.call("alice", "queryAsyncJobResult", jobid=back["jobid"]))["jobstatus"] == 0
    await say(world, "monday", reverting=1, reverted=("False", "Reverting", "request 1 is being done"))
    assert (await world.call("alice", "queryAsyncJobResult", jobid=back["jobid"]))["jobstatus"] == 0
    await say(world, "monday", reverting=1, revertObserved=1, reverted=("True", "AsSpecified", "done"))
    done = await world.job("alice", back["jobid"])
    assert (done["jobstatus"], done["jobresult"]["virtualmachine"]["id"]) == (1, vm)

    gone = await world.call("alice", "deleteVMSnapshot", vmsnapshotid=one["id"])
    assert (await world.job("alice", gone["jobid"]))["jobstatus"] == 1
    (left,) = (await world.call("alice", "listVMSnapshot"))["vmSnapshot"]
    assert left["displayname"] == "Monday"


async def test_a_way_back_that_cannot_be_fails(world: World) -> None:
    vm = await machine(world)
    begun = await world.call("alice", "createVMSnapshot", virtualmachineid=vm, name="monday")
    status, _ = await world.ask("alice", "revertToVMSnapshot", vmsnapshotid=begun["id"])
    assert status == 431, "it is not taken yet"
    await say(world, "monday")
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm))["jobid"])
    await world.settled()
    back = await world.call("alice", "revertToVMSnapshot", vmsnapshotid=begun["id"])
    await say(world, "monday", reverted=("False", "VolumeNotFound", "Volume web-root is gone"))
    done = await world.job("alice", back["jobid"])
    assert (done["jobstatus"], done["jobresult"]["errortext"]) == (2, "Volume web-root is gone")


async def test_memory_is_kept_of_a_running_machine_and_brought_back(world: World) -> None:
    vm = await machine(world)
    ask = {"virtualmachineid": vm, "snapshotmemory": "true", "name": "monday"}
    status, body = await world.ask("alice", "createVMSnapshot", quiescevm="true", **ask)
    assert (status, "quiescevm" in body["createvmsnapshotresponse"]["errortext"]) == (431, True)
    begun = await world.call("alice", "createVMSnapshot", **ask)
    (made,) = world.server.all(VIRTUAL_MACHINE_SNAPSHOT)
    assert made["spec"]["memory"] is True
    await say(world, "monday", current=True)
    assert (await world.job("alice", begun["jobid"]))["jobresult"]["vmsnapshot"]["type"] == "DiskAndMemory"
    await world.call("alice", "revertToVMSnapshot", vmsnapshotid=begun["id"])
    (made,) = world.server.all(VIRTUAL_MACHINE_SNAPSHOT)
    assert made["spec"]["revertRequest"] == 1, "while it runs"
    stopped = await world.call("alice", "stopVirtualMachine", id=vm)
    await world.job("alice", stopped["jobid"])
    await world.settled()
    status, body = await world.ask("alice", "createVMSnapshot", **ask | {"name": "tuesday"})
    assert (status, "no memory" in body["createvmsnapshotresponse"]["errortext"]) == (431, True)
    await world.call("alice", "revertToVMSnapshot", vmsnapshotid=begun["id"])
    (made,) = world.server.all(VIRTUAL_MACHINE_SNAPSHOT)
    machine_now = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert machine_now is not None
    assert (made["spec"]["revertRequest"], machine_now["spec"]["runPolicy"]) == (2, "Running")


async def test_the_way_to_a_screen(world: World) -> None:
    vm = await machine(world)
    found = (await world.call("alice", "createConsoleEndpoint", virtualmachineid=vm))["consoleendpoint"]
    assert (found["success"], found["url"]) == (True, f"wss://consoles.example.org{found['websocket']['path']}")
    (body,) = world.server.all(CONSOLE)
    web = found["websocket"]
    assert (web["host"], web["port"], web["path"]) == (
        "consoles.example.org",
        "443",
        f"/consoles/alice/{body['metadata']['name']}",
    )
    assert body["spec"]["type"] == "VNC"
    assert body["spec"]["tokenSha256"] == hashlib.sha256(web["token"].encode()).hexdigest()
    assert web["token"] not in found["url"] + found["details"]
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm))["jobid"])
    await world.settled()
    status, _ = await world.ask("alice", "createConsoleEndpoint", virtualmachineid=vm)
    assert status == 431


async def test_the_way_back_of_a_volume_is_done_when_it_is(world: World) -> None:
    store = MemoryStore(world.server, "storage")
    volume = await store.create(VOLUME, VOLUME.body(Key("alice", "ledger"), spec={"size": "1Gi"}))
    made = await store.create(VOLUME_SNAPSHOT, VOLUME_SNAPSHOT.body(Key("alice", "then"), spec={"volume": "ledger"}))
    uid, ready = made["metadata"]["uid"], {"type": "Ready", "status": "True", "reason": "AsSpecified"}
    status: dict[str, Any] = {"volumeUid": volume["metadata"]["uid"], "takenAt": "2026-11-21T12:00:00Z"}

    async def says(request: int, *conditions: dict[str, Any]) -> None:
        said = status | {"revertObserved": request, "conditions": [ready | {"observedGeneration": 2}, *conditions]}
        await store.apply_status(VOLUME_SNAPSHOT, Key("alice", "then"), said, resource_version="")

    await says(0)
    begun = await world.call("alice", "revertSnapshot", id=uid)
    under_way = {"type": "Reverted", "status": "False", "reason": "Reverting", "observedGeneration": 2}
    await says(0, under_way)
    assert (await world.call("alice", "queryAsyncJobResult", jobid=begun["jobid"]))["jobstatus"] == 0
    await says(1, under_way | {"status": "True", "reason": "AsSpecified"})
    done = await world.job("alice", begun["jobid"])
    assert (done["jobstatus"], done["jobresult"]["snapshot"]["id"]) == (1, uid)


async def test_a_part_of_a_whole_is_not_taken_out_of_it(world: World) -> None:
    store = MemoryStore(world.server, "compute")
    key = Key("alice", "monday")
    whole = await store.create(
        VIRTUAL_MACHINE_SNAPSHOT, VIRTUAL_MACHINE_SNAPSHOT.body(key, spec={"virtualMachine": "web"})
    )
    owner = VIRTUAL_MACHINE_SNAPSHOT.parse(whole).owner
    part = VOLUME_SNAPSHOT.body(Key("alice", "part"), spec={"volume": "ledger"}, ownerReferences=[to_wire(owner)])
    uid = (await store.create(VOLUME_SNAPSHOT, part))["metadata"]["uid"]
    for command in ("deleteSnapshot", "revertSnapshot"):
        status, body = await world.ask("alice", command, id=uid)
        assert (status, "part of VM snapshot monday" in body[f"{command.lower()}response"]["errortext"]) == (431, True)
    assert len(list(world.server.all(VOLUME_SNAPSHOT))) == 1
