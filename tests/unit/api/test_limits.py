"""Limits hold whoever asks, however many at once; what did not come about is given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.identity import ACCOUNT, DOMAIN
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from tests.unit.api.world import World

VM, VOLUMES, CPU, MEMORY, STORAGE = "0", "2", "8", "9", "10"


async def limit(world: World, number: str, most: int, **whose: str) -> dict[str, Any]:
    about = whose or {"account": "alice", "domainid": world.uid(DOMAIN, "east")}
    said = await world.call("admin", "updateResourceLimit", resourcetype=number, max=str(most), **about)
    return dict(said["resourcelimit"])


async def deploy(world: World, user: str, name: str, wanted: dict[str, str]) -> int:
    status, body = await world.ask(user, "deployVirtualMachine", name=name, **wanted)
    assert status in (200, 535), body
    if status == 535:
        assert body["deployvirtualmachineresponse"]["cserrorcode"] == 4370
    return status


@pytest.mark.parametrize(("number", "most", "fit"), [(VM, 3, 3), (CPU, 4, 4), (MEMORY, 300, 2), (VOLUMES, 2, 2)])
async def test_a_hundred_at_once_never_pass_a_limit(world: World, number: str, most: int, fit: int) -> None:
    await limit(world, number, most)
    await world.network("alice")
    wanted = await world.ids("alice")
    codes = await asyncio.gather(*(deploy(world, "alice", f"vm{each}", wanted) for each in range(100)))
    assert codes.count(200) == fit
    assert len(list(world.server.all(VIRTUAL_MACHINE))) == fit


async def test_a_domain_counts_its_accounts(world: World) -> None:
    await limit(world, VM, 2, domainid=world.uid(DOMAIN, "sales"))
    for user in ("alice", "carol"):
        await world.network(user)
    assert await deploy(world, "alice", "one", await world.ids("alice")) == 200
    assert await deploy(world, "carol", "two", await world.ids("carol")) == 200
    assert await deploy(world, "alice", "three", await world.ids("alice")) == 535
    assert await _count(world, "alice") == 1


async def _count(world: World, account: str) -> int:
    east = world.uid(DOMAIN, "east")
    told = await world.call("admin", "updateResourceCount", account=account, domainid=east, resourcetype=VM)
    return int(told["resourcecount"][0]["resourcecount"])


async def test_what_failed_is_given_back(world: World) -> None:
    await limit(world, VM, 1)
    await world.network("alice")
    wanted = await world.ids("alice")
    status, _ = await world.ask("alice", "deployVirtualMachine", name="web", **wanted | {"userdata": "@@"})
    assert status == 431
    assert await deploy(world, "alice", "web", wanted) == 200
    status, _ = await world.ask("alice", "deployVirtualMachine", name="web", **wanted)
    assert status == 535
    body = world.server.read(ACCOUNT, Key("", "alice"))
    assert body is not None
    assert [each["object"] for each in body["status"]["reservations"]] == ["VirtualMachine/alice/web"]


async def test_volumes_by_their_size(world: World) -> None:
    await limit(world, STORAGE, 5)
    zone = (await world.call("alice", "listZones"))["zone"][0]["id"]
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
    wanted = {"zoneid": zone, "diskofferingid": offering}
    await world.call("alice", "createVolume", name="a", size="3", **wanted)
    status, _ = await world.ask("alice", "createVolume", name="b", size="3", **wanted)
    assert status == 535
    await world.call("alice", "createVolume", name="b", size="2", **wanted)
    assert len(list(world.server.all(VOLUME))) == 2


async def test_who_may_set_them(world: World) -> None:
    assert (await limit(world, VM, 7))["max"] == 7
    listed = (await world.call("alice", "listResourceLimits"))["resourcelimit"]
    assert {each["resourcetypename"]: each["max"] for each in listed}["user_vm"] == 7
    assert len(listed) == 12
    assert (await limit(world, VM, -1))["max"] == -1
    assert (await world.ask("alice", "updateResourceLimit", resourcetype=VM, max="9"))[0] == 432
    sales = world.uid(DOMAIN, "sales")
    assert (await world.ask("carol", "updateResourceLimit", resourcetype=VM, max="9", domainid=sales))[0] == 531
    east = world.uid(DOMAIN, "east")
    assert (await world.ask("carol", "updateResourceLimit", resourcetype=VM, max="9", domainid=east))[0] == 200
