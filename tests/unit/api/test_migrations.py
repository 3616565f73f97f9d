"""Moves of running virtual machines: the Migration that kubectl would make, with its Flow as the job."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_REPORT
from operators.contract.meta import Key
from operators.contract.migrations import MIGRATION
from operators.contract.orchestration import FLOW
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World

UP = {"state": "Up", "conditions": [{"type": "Reachable", "status": "True", "reason": "Reachable"}]}


async def host(world: World, name: str, memory: str = "8Gi", *, up: bool = True, **spec: Any) -> str:
    store = MemoryStore(world.server, "fabric")
    made = await store.create(HOST, HOST.body(Key("", name), spec={"node": name, **spec}))
    await store.create(HOST_REPORT, HOST_REPORT.body(Key("", name), spec={"hostName": name}))
    if up:
        await store.apply_status(HOST, Key("", name), UP, resource_version="")
    told = {"hypervisor": {"cpus": 8, "memory": memory}}
    await store.apply_status(HOST_REPORT, Key("", name), told, resource_version="")
    return str(made["metadata"]["uid"])


async def machine(world: World) -> str:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    await world.settled()
    return str(begun["id"])


async def said(world: World, reason: str, status: str = "False", **fields: Any) -> None:
    """What Compute says of the one Migration that there is."""
    (body,) = world.server.all(MIGRATION)
    condition = {"type": "Succeeded", "status": status, "reason": reason, "message": f"it is {reason}"}
    key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
    store = MemoryStore(world.server, "compute")
    await store.apply_status(MIGRATION, key, {"conditions": [condition], **fields}, resource_version="")


async def migrate(world: World, vm: str, **params: str) -> tuple[int, Json]:
    status, body = await world.ask("admin", "migrateVirtualMachine", virtualmachineid=vm, **params)
    (content,) = body.values()
    return status, dict(content)


async def test_a_move(world: World) -> None:
    vm, target = await machine(world), await host(world, "node2")
    _, begun = await migrate(world, vm, hostid=target)
    (made,) = world.server.all(MIGRATION)
    asked = {"virtualMachine": "web", "targetHost": "node2", "storage": "Auto", "cancel": False, "beginWithin": "2m"}
    assert made["spec"] == asked
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == [vm]
    assert not made["metadata"]["ownerReferences"][0].get("controller")

    await said(world, "Migrating", targetHost="node2", sourceHost="node1", storage="Full", uid=vm)
    told = await world.call("admin", "queryAsyncJobResult", jobid=begun["jobid"])
    assert (told["jobstatus"], told["cmd"], told["jobinstanceid"]) == (0, "migrateVirtualMachine", vm)
    (shown,) = (await world.call("alice", "listVirtualMachines", id=vm))["virtualmachine"]
    assert shown["state"] == "Migrating"
    assert "is being moved already" in (await migrate(world, vm, hostid=target))[1]["errortext"]

    await world.still()
    store = MemoryStore(world.server, "puppets")
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    status = body["status"] | {"hostName": "node2"}
    await store.apply_status(VIRTUAL_MACHINE, Key("alice", "web"), status, resource_version="")
    over = {"targetHost": "node2", "sourceHost": "node1", "storage": "Full", "finishedAt": "2026-11-21T12:00:00Z"}
    await said(world, "Succeeded", "True", **over)
    done = await world.job("admin", begun["jobid"])
    assert done["jobstatus"] == 1
    result = done["jobresult"]["virtualmachine"]
    assert (result["id"], result["hostname"], result["state"]) == (vm, "node2", "Running")
    jobs = await world.call("admin", "listAsyncJobs", listall="true")
    assert "migrateVirtualMachine" in {each["cmd"] for each in jobs["asyncjobs"]}
    assert len([body for body in world.server.all(FLOW) if body["spec"]["operation"] == "Migrate"]) == 1


async def test_a_move_that_fails(world: World) -> None:
    vm = await machine(world)
    await host(world, "node2")
    _, begun = await migrate(world, vm, autoselect="true")
    (made,) = world.server.all(MIGRATION)
    assert "targetHost" not in made["spec"]
    await said(world, "Failed", finishedAt="2026-11-21T12:00:00Z", uid=vm)
    done = await world.job("admin", begun["jobid"])
    assert (done["jobstatus"], done["jobresult"]["errortext"]) == (2, "it is Failed")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"up": False}, "node2 is not up"),
        ({"maintenance": True}, "disabled or in maintenance"),
        ({"schedulable": False}, "disabled or in maintenance"),
        ({"zone": "elsewhere"}, "in another zone"),
        ({"simulated": True}, "node2 is simulated"),
        ({"memory": "64Mi"}, "no room"),
    ],
)
async def test_hosts_that_cannot_take_it(world: World, spec: dict[str, Any], says: str) -> None:
    vm, target = await machine(world), await host(world, "node2", **spec)
    for asked in ({"hostid": target}, {"autoselect": "true"}):
        status, body = await migrate(world, vm, **asked)
        assert status == 533
        assert says in body["errortext"]
    assert not list(world.server.all(MIGRATION))
    (found,) = (await world.call("admin", "findHostsForMigration", virtualmachineid=vm))["host"]
    assert not found["suitableformigration"]
    assert found["hasenoughcapacity"] == ("memory" not in spec)


async def test_the_hosts_to_choose_from(world: World) -> None:
    vm = await machine(world)
    assert await world.call("admin", "findHostsForMigration", virtualmachineid=vm) == {}
    await host(world, "node2", maintenance=True)
    await host(world, "node3")
    found = await world.call("admin", "findHostsForMigration", virtualmachineid=vm)
    assert [(each["name"], each["suitableformigration"]) for each in found["host"]] == [
        ("node3", True),
        ("node2", False),
    ]
    assert found["count"] == 2


async def test_what_makes_no_sense(world: World) -> None:
    vm = await machine(world)
    assert "specify hostid" in (await migrate(world, vm))[1]["errortext"]
    here = world.uid(HOST, "node1")
    assert "already" in (await migrate(world, vm, hostid=here))[1]["errortext"]
    assert (await migrate(world, vm, storageid=here))[0] == 432
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm))["jobid"])
    assert "not running" in (await migrate(world, vm, autoselect="true"))[1]["errortext"]


async def test_tenants_move_nothing(world: World) -> None:
    vm = await machine(world)
    for command in ("migrateVirtualMachine", "findHostsForMigration"):
        status, _ = await world.ask("alice", command, virtualmachineid=vm)
        assert status == 432
