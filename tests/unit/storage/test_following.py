"""A Volume's data goes with its guest to a host that does not reach it."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract import names
from operators.contract.fabric import STORAGE_POOL
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, condition
from operators.contract.storage import DISK, IMAGE_COPY, VOLUME
from tests.support.virtual_time import virtual
from tests.unit.storage.objects import instance
from tests.unit.storage.test_volumes_end_to_end import Cloud, cloud

THERE = names.disk_on("root", "h2")


async def placed(c: Cloud, **volume: Any) -> None:
    await c.image()
    await c.volume("root", source={"image": "tiny"}, root=True, **volume)
    await c.run_vm("root")
    await c.settle()
    assert c.reason("root") == "AsSpecified"


async def arriving(c: Cloud, *, whole: bool = False, committed: bool = False, outgoing: bool = True) -> None:
    """Compute's two Instances of a migration from h1 to h2."""
    move = {"name": "move", "uid": "m"}
    body = instance("web", "h2", "root")
    body["metadata"]["name"] = "web-there"
    body["spec"]["disks"][0]["disk"] = THERE
    body["spec"]["incoming"] = {"migration": move, "fromHost": "h1", "whole": whole, "committed": committed}
    await c.user.apply(INSTANCE, body)
    if outgoing:
        body = instance("web", "h1", "root")
        body["spec"]["outgoing"] = {"migration": move, "toHost": "h2", "address": "10.0.0.2"}
        await c.user.apply(INSTANCE, body)


def disks(c: Cloud) -> dict[str, Any]:
    return {disk.meta.name: disk for body in c.server.all(DISK) for disk in [DISK.parse(body)]}


@pytest.mark.parametrize(
    ("image_there", "whole", "expected"), [(True, False, False), (False, False, True), (True, True, True)]
)
@virtual
async def test_a_copy_is_made_on_the_image_where_the_target_has_it(
    image_there: bool, whole: bool, expected: bool
) -> None:
    async with cloud() as c:
        if image_there:
            await c.image()
            await c.volume("other", source={"image": "tiny"}, root=True)
            await c.run_vm("other", vm="other", host="h2")
            await c.settle()
            await c.volume("root", source={"image": "tiny"}, root=True)
            await c.run_vm("root")
            await c.settle()
        else:
            await placed(c)
        await arriving(c, whole=whole)
        await c.settle()
        copy, spec = disks(c)[THERE], disks(c)[THERE].spec
        assert (spec.host_name, spec.pool, spec.copy_of, spec.adopt) == ("h2", "local-h2", "root-d0", False)
        assert (spec.copy_whole, bool(spec.image_copy)) == (expected, not expected)
        assert condition(copy.status.conditions, "Provisioned")
        volume = c.get(VOLUME, "root")
        assert volume and (volume.status.disk, volume.status.disk_host) == ("root-d0", "h1"), "until it is committed"
        assert c.reason("root") == "AsSpecified" and c.reason("root", "Migrating") == "Migrating"


@pytest.mark.parametrize("reclaim", ["Delete", "Retain"])
@virtual
async def test_a_commit_makes_the_copy_the_volumes_and_frees_the_former(reclaim: str) -> None:
    async with cloud() as c:
        await placed(c, reclaimPolicy=reclaim)
        await arriving(c)
        await c.settle()
        await arriving(c, committed=True)
        await c.settle()
        assert {"root-d0", THERE} == set(disks(c)), "the former stays while its Instance does"
        volume = c.get(VOLUME, "root")
        assert volume and (volume.status.disk, volume.status.disk_host, volume.status.pool) == (THERE, "h2", "local-h2")
        c.server.delete("compute", INSTANCE, Key("team", "web-i"))
        await c.settle()
        (left,) = disks(c).values()
        assert (left.meta.name, left.spec.copy_of, left.spec.keep) == (THERE, "", reclaim == "Retain")
        assert c.reason("root") == "AsSpecified" and c.reason("root", "Migrating") == ""
        before = len(c.writes())
        await c.settle(600)
        assert len(c.writes()) == before


@virtual
async def test_a_storage_that_was_away_takes_the_copy_over_when_it_is_back() -> None:
    async with cloud() as c:
        await placed(c)
        await arriving(c)
        await c.settle()
        await c.stop()
        await arriving(c, committed=True)
        c.server.delete("compute", INSTANCE, Key("team", "web-i"))
        await c.start()
        await c.settle()
        assert set(disks(c)) == {THERE}
        assert c.reason("root") == "AsSpecified"


@virtual
async def test_a_move_that_was_given_up_leaves_nothing() -> None:
    async with cloud() as c:
        await placed(c)
        await arriving(c)
        await c.settle()
        c.server.delete("compute", INSTANCE, Key("team", "web-there"))
        await c.settle()
        (left,) = disks(c).values()
        assert left.meta.name == "root-d0"
        assert c.reason("root") == "AsSpecified"


@virtual
async def test_there_and_back_again() -> None:
    async with cloud() as c:
        await placed(c)
        await arriving(c, committed=False)
        await c.settle()
        await arriving(c, committed=True)
        c.server.delete("compute", INSTANCE, Key("team", "web-i"))
        await c.settle()
        body = instance("web", "h1", "root")
        body["spec"]["disks"][0]["disk"] = names.disk_on("root", "h1")
        body["spec"]["incoming"] = {"migration": {"name": "back", "uid": "b"}, "fromHost": "h2"}
        await c.user.apply(INSTANCE, body)
        await c.settle()
        body["spec"]["incoming"]["committed"] = True
        await c.user.apply(INSTANCE, body)
        c.server.delete("compute", INSTANCE, Key("team", "web-there"))
        await c.settle()
        (left,) = disks(c).values()
        assert (left.meta.name, left.spec.host_name) == (names.disk_on("root", "h1"), "h1")


@virtual
async def test_no_room_at_the_target_is_said_and_heals() -> None:
    async with cloud() as c:
        await placed(c)
        closed = STORAGE_POOL.body(Key("", "local-h2"), spec={"schedulable": False})
        await c.user.as_manager("admin").apply(STORAGE_POOL, closed)
        await arriving(c)
        await c.settle()
        assert c.reason("root", "Migrating") == "NoPoolFits"
        assert c.reason("root") == "AsSpecified", "where it is, all is well"
        closed["spec"]["schedulable"] = True
        await c.user.as_manager("admin").apply(STORAGE_POOL, closed)
        await c.settle()
        assert THERE in disks(c)
        assert len(list(c.server.all(IMAGE_COPY))) == 1, "an image is not fetched for a move"
