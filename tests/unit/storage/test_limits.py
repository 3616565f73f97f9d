"""Limits on primary storage, whoever makes the Volumes: the sum of their GiB is never passed."""

from __future__ import annotations

import asyncio

from operators.contract.identity import ACCOUNT, DOMAIN
from operators.contract.meta import Condition, Key, condition
from operators.contract.storage import DISK, VOLUME
from tests.support.virtual_time import virtual
from tests.unit.storage.test_volumes_end_to_end import Cloud, cloud

GIB = 2**30


async def limited(c: Cloud, most: int) -> None:
    await c.user.create(DOMAIN, DOMAIN.body(Key("", "root"), spec={}))
    spec = {"domain": "root", "limits": {"primaryStorage": most}}
    await c.user.create(ACCOUNT, ACCOUNT.body(Key("", "team"), spec=spec))


def ready(c: Cloud, name: str) -> Condition:
    body = c.server.read(VOLUME, Key("team", name))
    assert body is not None
    return condition(VOLUME.parse(body).status.conditions, "Ready") or Condition("Ready", "Unknown", "")


def given(c: Cloud) -> int:
    return sum(int(DISK.parse(body).spec.size) for body in c.server.all(DISK)) // GIB


@virtual
async def test_many_at_once_never_pass_a_limit() -> None:
    async with cloud() as c:
        await limited(c, 5)
        names = [f"v{number}" for number in range(6)]
        for name in names:
            await c.volume(name, size="2Gi")
        await asyncio.gather(*(c.run_vm(name, vm=f"vm{name}") for name in names))
        await asyncio.sleep(10)
        assert given(c) == 4
        late = [name for name in names if not ready(c, name).true]
        assert len(late) == 4
        assert {ready(c, name).reason for name in late} == {"LimitExceeded"}
        assert "Account team may have 5 GiB of primary storage" in ready(c, late[0]).message


@virtual
async def test_a_limit_that_is_raised_and_a_volume_that_goes_make_room() -> None:
    async with cloud() as c:
        await limited(c, 2)
        for name in ("one", "two", "three"):
            await c.volume(name, size="2Gi")
            await c.run_vm(name, vm=f"vm-{name}")
            await asyncio.sleep(5)
        assert [ready(c, name).true for name in ("one", "two", "three")] == [True, False, False]
        await c.stop_vm("vm-one")
        c.server.delete("user", VOLUME, Key("team", "one"))
        await asyncio.sleep(10)
        assert [ready(c, name).true for name in ("two", "three")].count(True) == 1
        found = ACCOUNT.parse(c.server.read(ACCOUNT, Key("", "team")) or {})
        await c.user.merge(ACCOUNT, found.meta, {"spec": {"limits": {"primaryStorage": 4}}})
        await asyncio.sleep(10)
        assert [ready(c, name).true for name in ("two", "three")] == [True, True]


@virtual
async def test_a_volume_does_not_grow_past_a_limit() -> None:
    async with cloud() as c:
        await limited(c, 3)
        await c.volume("one", size="2Gi")
        await c.run_vm("one")
        await asyncio.sleep(5)
        found = VOLUME.parse(c.server.read(VOLUME, Key("team", "one")) or {})
        await c.user.merge(VOLUME, found.meta, {"spec": {"size": "4Gi"}})
        await asyncio.sleep(10)
        assert (given(c), ready(c, "one").reason) == (2, "LimitExceeded")
        account = ACCOUNT.parse(c.server.read(ACCOUNT, Key("", "team")) or {})
        await c.user.merge(ACCOUNT, account.meta, {"spec": {"limits": {"primaryStorage": 4}}})
        await asyncio.sleep(10)
        assert given(c) == 4
