"""Snapshot policies, which are SnapshotSchedules."""

from __future__ import annotations

import pytest

from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.snapshots import SNAPSHOT_SCHEDULE
from operators.contract.storage import VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World

ZONE = "Europe/Zurich"


async def volume(world: World) -> str:
    store = MemoryStore(world.server, "kubectl")
    made = await store.create(VOLUME, VOLUME.body(Key("alice", "ledger"), spec={"size": "1Gi"}))
    return str(made["metadata"]["uid"])


async def create(world: World, volumeid: str, interval: str, when: str, most: int = 8) -> Json:
    params = {"intervaltype": interval, "schedule": when, "timezone": ZONE, "maxsnaps": str(most)}
    answer = await world.call("alice", "createSnapshotPolicy", volumeid=volumeid, **params)
    return dict(answer["snapshotpolicy"])


@pytest.mark.parametrize(
    ("interval", "when", "number", "rule"),
    [
        ("HOURLY", "5", 0, {"hourly": {"minute": 5, "keep": 8}}),
        ("daily", "30:02", 1, {"daily": {"at": "02:30", "keep": 8}}),
        ("WEEKLY", "00:23:1", 2, {"weekly": {"day": "Sunday", "at": "23:00", "keep": 8}}),
        ("WEEKLY", "00:23:7", 2, {"weekly": {"day": "Saturday", "at": "23:00", "keep": 8}}),
    ],
)
async def test_a_policy(world: World, interval: str, when: str, number: int, rule: Json) -> None:
    uid = await volume(world)
    made = await create(world, uid, interval, when)
    assert (made["intervaltype"], made["schedule"], made["timezone"], made["maxsnaps"]) == (number, when, ZONE, 8)
    (kept,) = world.server.all(SNAPSHOT_SCHEDULE)
    spec = kept["spec"]
    assert (spec["volume"], spec["timeZone"]) == ("ledger", ZONE)
    assert {name: spec[name] for name in ("hourly", "daily", "weekly") if spec.get(name)} == rule
    assert [owner["uid"] for owner in kept["metadata"]["ownerReferences"]] == [uid]
    listed = await world.call("alice", "listSnapshotPolicies", volumeid=uid)
    assert listed["snapshotpolicy"] == [made]

    assert await world.call("alice", "deleteSnapshotPolicies", id=made["id"]) == {"success": True}
    assert await world.call("alice", "listSnapshotPolicies", volumeid=uid) == {}
    assert not list(world.server.all(SNAPSHOT_SCHEDULE))


async def test_another_of_the_same_interval_changes_it(world: World) -> None:
    uid = await volume(world)
    first, other = await create(world, uid, "DAILY", "00:02"), await create(world, uid, "HOURLY", "0")
    again = await create(world, uid, "DAILY", "15:04", 3)
    assert again["id"] == first["id"]
    assert (again["schedule"], again["maxsnaps"]) == ("15:04", 3)
    listed = (await world.call("alice", "listSnapshotPolicies"))["snapshotpolicy"]
    assert {each["id"] for each in listed} == {first["id"], other["id"]}
    await world.call("alice", "deleteSnapshotPolicies", ids=f"{first['id']},{other['id']},{first['id']}")
    assert await world.call("alice", "listSnapshotPolicies") == {}


async def test_one_by_kubectl_with_several_rules(world: World) -> None:
    uid = await volume(world)
    store = MemoryStore(world.server, "kubectl")
    spec = {"volume": "ledger", "daily": {"at": "01:00", "keep": 2}, "weekly": {"day": "Monday", "at": "03:00"}}
    await store.create(SNAPSHOT_SCHEDULE, SNAPSHOT_SCHEDULE.body(Key("alice", "mine"), spec=spec))
    listed = (await world.call("alice", "listSnapshotPolicies", volumeid=uid))["snapshotpolicy"]
    assert [(each["intervaltype"], each["schedule"]) for each in listed] == [(1, "00:01"), (2, "00:03:2")]
    await create(world, uid, "DAILY", "00:05")
    mine = world.server.read(SNAPSHOT_SCHEDULE, Key("alice", "mine"))
    assert mine is not None
    assert mine["spec"] == spec


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({"intervaltype": "MONTHLY", "schedule": "00:02:1"}, 432, "MONTHLY is not supported yet"),
        ({"intervaltype": "YEARLY"}, 431, "Unsupported interval type YEARLY"),
        ({"schedule": "02:30:1"}, 431, "it must be MM:HH"),
        ({"schedule": "00:24"}, 431, "it must be MM:HH"),
        ({"schedule": "-1:02"}, 431, "it must be MM:HH"),
        ({"schedule": "60:02"}, 431, "it must be MM:HH"),
        ({"intervaltype": "WEEKLY", "schedule": "00:02:8"}, 431, "1 for Sunday"),
        ({"intervaltype": "HOURLY", "schedule": "x"}, 431, "it must be MM"),
        ({"maxsnaps": "0"}, 431, "between 1 and 100"),
        ({"timezone": "Mars/Olympus"}, 431, "Invalid timezone"),
        ({"timezone": "../etc/passwd"}, 431, "Invalid timezone"),
        ({"tags[0].key": "a", "tags[0].value": "b"}, 432, "tags"),
    ],
)
async def test_what_cannot_be(world: World, wrong: dict[str, str], code: int, says: str) -> None:
    fine = {"intervaltype": "DAILY", "schedule": "30:02", "timezone": "UTC", "maxsnaps": "2"}
    status, body = await world.ask("alice", "createSnapshotPolicy", volumeid=await volume(world), **fine | wrong)
    assert status == code
    assert says in body["createsnapshotpolicyresponse"]["errortext"]
    assert not list(world.server.all(SNAPSHOT_SCHEDULE))


async def test_one_or_the_other(world: World) -> None:
    made = await create(world, await volume(world), "HOURLY", "0")
    for ids in ({}, {"id": made["id"], "ids": made["id"]}):
        status, _ = await world.ask("alice", "deleteSnapshotPolicies", **ids)
        assert status == 431
