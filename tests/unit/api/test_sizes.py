"""Sizes: custom offerings, another size for a virtual machine, and what that counts for."""

from __future__ import annotations

import asyncio

import pytest

from operators.contract.codec import Json
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.identity import DOMAIN
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World


async def custom(world: World) -> str:
    made = await world.call(
        "admin", "createServiceOffering", name="flex", customized="true", maxcpunumber="4", maxmemory="2048"
    )
    return str(made["serviceoffering"]["id"])


async def machine(world: World, offering: str = "", **params: str) -> str:
    await world.network("alice")
    ids = await world.ids("alice") | ({"serviceofferingid": offering} if offering else {})
    begun = await world.call("alice", "deployVirtualMachine", name="web", **ids, **params)
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    return str(begun["id"])


def spec(world: World) -> Json:
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    return {key: body["spec"].get(key) for key in ("offering", "cpus", "memory") if body["spec"].get(key)}


async def refusal(world: World, command: str, **params: str) -> str:
    status, body = await world.ask("alice", command, **params)
    assert status in (431, 432, 535), body
    return str(body[f"{command.lower()}response"]["errortext"])


async def test_a_custom_offering(world: World) -> None:
    offering = await custom(world)
    (listed,) = (await world.call("alice", "listServiceOfferings", id=offering))["serviceoffering"]
    assert listed["iscustomized"]
    assert listed["dynamicscalingenabled"]
    assert "cpunumber" not in listed
    limits = {"mincpunumber": "1", "maxcpunumber": "4", "minmemory": "128", "maxmemory": "2048"}
    assert listed["serviceofferingdetails"] == limits
    kept = world.server.read(COMPUTE_OFFERING, Key("", "flex"))
    assert kept is not None
    assert kept["spec"]["custom"] == {"minCpus": 1, "maxCpus": 4, "minMemory": "128Mi", "maxMemory": "2Gi"}

    vm = await machine(world, offering, **{"details[0].cpuNumber": "2", "details[0].memory": "1024"})
    assert spec(world) == {"offering": "flex", "cpus": 2, "memory": "1Gi"}
    (shown,) = (await world.call("alice", "listVirtualMachines", id=vm))["virtualmachine"]
    assert (shown["cpunumber"], shown["memory"]) == (2, 1024)
    assert shown["details"] == {"cpuNumber": "2", "memory": "1024"}


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ({"cpuNumber": "5"}, "Invalid CPU cores value, specify a value between 1 and 4"),
        ({"memory": "64"}, "Invalid memory value, specify a value between 128 and 2048"),
        ({"cpuNumber": "two"}, "invalid value two for parameter details.cpunumber"),
        ({"rootDiskController": "scsi"}, "parameter details.rootdiskcontroller"),
    ],
)
async def test_a_size_that_cannot_be(world: World, details: dict[str, str], says: str) -> None:
    offering = await custom(world)
    await world.network("alice")
    params = await world.ids("alice") | {"serviceofferingid": offering}
    params |= {f"details[0].{key}": value for key, value in details.items()}
    assert says in await refusal(world, "deployVirtualMachine", name="web", **params)
    assert not list(world.server.all(VIRTUAL_MACHINE))


async def test_one_size_leaves_no_choice(world: World) -> None:
    await world.network("alice")
    params = await world.ids("alice") | {"details[0].cpuNumber": "2"}
    assert "is of one size" in await refusal(world, "deployVirtualMachine", **params)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpunumber": "1"},
        {"cpunumber": "0", "memory": "128"},
        {"cpunumber": "1", "memory": "128", "maxcpunumber": "2"},
        {"customized": "true", "mincpunumber": "4", "maxcpunumber": "2"},
        {"customized": "true", "memory": "64"},
        {"customized": "false"},
    ],
)
async def test_an_offering_that_cannot_be(world: World, wrong: dict[str, str]) -> None:
    status, _ = await world.ask("admin", "createServiceOffering", name="odd", **wrong)
    assert status == 431


async def test_a_running_guest_of_a_custom_offering_grows(world: World) -> None:
    offering = await custom(world)
    vm = await machine(world, offering)
    wanted = {"id": vm, "serviceofferingid": offering}
    begun = await world.call("alice", "scaleVirtualMachine", **wanted, **{"details[0].cpuNumber": "3"})
    done = await world.job("alice", begun["jobid"])
    assert done["jobstatus"] == 1
    assert done["jobresult"]["virtualmachine"]["cpunumber"] == 3
    assert "fewer CPUs" in await refusal(world, "scaleVirtualMachine", **wanted, **{"details[0].cpuNumber": "1"})


async def test_what_takes_a_restart_is_said(world: World) -> None:
    offering = await custom(world)
    vm = await machine(world, offering)
    await world.settled()
    await world.still()
    details = {"details[0].memory": "2048"}
    begun = await world.call("alice", "scaleVirtualMachine", id=vm, serviceofferingid=offering, **details)
    assert (await world.call("alice", "queryAsyncJobResult", jobid=begun["jobid"]))["jobstatus"] == 0
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    generation = body["metadata"]["generation"]
    said = [
        {"type": "Ready", "status": "True", "reason": "AsSpecified", "observedGeneration": generation},
        {"type": "RestartRequired", "status": "True", "reason": "RestartRequired", "message": "2Gi instead of 128Mi"},
    ]
    store = MemoryStore(world.server, "puppets")
    status = body["status"] | {"observedGeneration": generation, "conditions": said}
    await store.apply_status(VIRTUAL_MACHINE, Key("alice", "web"), status, resource_version="")

    done = await world.job("alice", begun["jobid"])
    assert (done["jobstatus"], done["jobresult"]["errortext"]) == (2, "2Gi instead of 128Mi")
    more = await refusal(
        world, "scaleVirtualMachine", id=vm, serviceofferingid=offering, **{"details[0].cpuNumber": "2"}
    )
    assert "wait for its restart" in more


@pytest.mark.parametrize("command", ["changeServiceForVirtualMachine", "scaleVirtualMachine"])
async def test_another_offering_is_for_stopped_ones(world: World, command: str) -> None:
    vm = await machine(world)
    small = (await world.call("alice", "listServiceOfferings", name="Small Instance"))["serviceoffering"][0]["id"]
    wanted = {"id": vm, "serviceofferingid": small}
    assert "stop" in await refusal(world, command, **wanted)
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm))["jobid"])
    answer = await world.call("alice", command, **wanted)
    if "jobid" in answer:
        answer = (await world.job("alice", answer["jobid"]))["jobresult"]
    assert answer["virtualmachine"]["serviceofferingname"] == "Small Instance"
    assert answer["virtualmachine"]["memory"] == 512
    assert spec(world) == {"offering": "small"}


async def test_back_to_one_size_forgets_the_choice(world: World) -> None:
    vm = await machine(world, await custom(world), **{"details[0].cpuNumber": "2"}, startvm="false")
    tiny = (await world.ids("alice"))["serviceofferingid"]
    await world.call("alice", "changeServiceForVirtualMachine", id=vm, serviceofferingid=tiny)
    assert spec(world) == {"offering": "tiny"}


async def test_growing_counts_against_limits(world: World) -> None:
    offering, east = await custom(world), world.uid(DOMAIN, "east")
    vm = await machine(world, offering)
    about = {"account": "alice", "domainid": east}
    await world.call("admin", "updateResourceLimit", resourcetype="8", max="3", **about)
    wanted = {"id": vm, "serviceofferingid": offering}
    assert "'cpu'" in await refusal(world, "scaleVirtualMachine", **wanted, **{"details[0].cpuNumber": "4"})
    await world.call("alice", "scaleVirtualMachine", **wanted, **{"details[0].cpuNumber": "3"})
    count = await world.call("admin", "updateResourceCount", resourcetype="8", **about)
    assert count["resourcecount"][0]["resourcecount"] == 3


async def test_volumes_that_grow_at_once_never_pass_a_limit(world: World) -> None:
    store = MemoryStore(world.server, "kubectl")
    about = {"account": "alice", "domainid": world.uid(DOMAIN, "east")}
    await world.call("admin", "updateResourceLimit", resourcetype="10", max="20", **about)
    for number in range(10):
        await store.create(VOLUME, VOLUME.body(Key("alice", f"v{number}"), spec={"size": "1Gi"}))
    uids = [world.uid(VOLUME, f"v{number}", "alice") for number in range(10)]
    answers = await asyncio.gather(*(world.ask("alice", "resizeVolume", id=uid, size="3") for uid in uids))
    assert sorted(status for status, _ in answers) == [200] * 5 + [535] * 5
    sizes = [body["spec"]["size"] for body in world.server.all(VOLUME)]
    assert sizes.count("3Gi") == 5
