"""Interfaces that come to a virtual machine and go from it, by the API."""

from __future__ import annotations

from typing import Any

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.networking import PORT
from tests.unit.api.test_small_commands import deployed
from tests.unit.api.world import World


async def done(world: World, command: str, **args: str) -> Any:
    begun = await world.call("alice", command, **args)
    job = await world.job("alice", begun["jobid"])
    assert job["jobstatus"] == 1, job
    return job["jobresult"]["virtualmachine"]


async def refused(world: World, command: str, user: str = "alice", **args: str) -> str:
    status, body = await world.ask(user, command, **args)
    assert status == 431
    return str(body[f"{command.lower()}response"]["errortext"])


def spec(world: World) -> list[dict[str, Any]]:
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    return [{key: value for key, value in nic.items() if value} for nic in body["spec"]["nics"]]


async def test_an_interface_comes_becomes_the_default_and_the_first_goes(world: World) -> None:
    vm = await deployed(world)
    (network,) = (await world.call("alice", "listNetworks"))["network"]
    about = {"networkid": network["id"], "ipaddress": "10.1.1.77", "macaddress": "02:00:0A:01:01:77"}
    after = await done(world, "addNicToVirtualMachine", virtualmachineid=vm, **about)
    first, second = after["nic"]
    assert (first["isdefault"], second["isdefault"]) == (True, False)
    assert spec(world) == [
        {"network": "front", "name": "nic0", "default": True},
        {"network": "front", "name": "nic1", "ip": "10.1.1.77", "mac": "02:00:0a:01:01:77"},
    ]
    (one,) = (await world.call("alice", "listNics", virtualmachineid=vm, nicid=second["id"]))["nic"]
    assert (one["id"], one["virtualmachineid"], one["deviceid"]) == (second["id"], vm, "1")

    of = {"virtualmachineid": vm, "nicid": first["id"]}
    assert "NIC is default" in await refused(world, "removeNicFromVirtualMachine", **of)
    assert "already the default" in await refused(world, "updateDefaultNicForVirtualMachine", **of)
    after = await done(world, "updateDefaultNicForVirtualMachine", virtualmachineid=vm, nicid=second["id"])
    assert [nic["isdefault"] for nic in after["nic"]] == [False, True]
    assert after["ipaddress"] == second["ipaddress"]
    after = await done(world, "removeNicFromVirtualMachine", **of)
    assert [nic["id"] for nic in after["nic"]] == [second["id"]]
    await world.settled()
    assert [body["metadata"]["name"] for body in world.server.all(PORT)] == ["web-nic1"]


async def test_what_cannot_be_is_refused(world: World) -> None:
    vm = await deployed(world)
    (network,) = (await world.call("alice", "listNetworks"))["network"]
    about = {"virtualmachineid": vm, "networkid": network["id"]}
    await done(world, "addNicToVirtualMachine", **about, ipaddress="10.1.1.77")
    assert "has that address" in await refused(world, "addNicToVirtualMachine", **about, ipaddress="10.1.1.77")
    for _ in range(6):
        await done(world, "addNicToVirtualMachine", **about)
    assert "can have no more" in await refused(world, "addNicToVirtualMachine", **about)
    assert [nic["name"] for nic in spec(world)] == [f"nic{number}" for number in range(8)]
    nic = (await world.call("alice", "listNics", virtualmachineid=vm))["nic"][1]["id"]
    for command in ("removeNicFromVirtualMachine", "updateDefaultNicForVirtualMachine"):
        await refused(world, command, "bob", virtualmachineid=vm, nicid=nic)
