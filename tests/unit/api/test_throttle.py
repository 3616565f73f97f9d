"""How often an account may call, and the settings that tell of it."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any

import pytest

from operators.api.errors import ApiError
from operators.api.throttle import MANY, Throttle
from tests.unit.api.world import World, running


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def monotonic(self) -> float:
        return self.time


def caller(uid: str, *, root: bool = False) -> Any:
    return SimpleNamespace(account=SimpleNamespace(meta=SimpleNamespace(uid=uid)), root=root)


def admitted(throttle: Throttle, who: Any, calls: int) -> int:
    count = 0
    for _ in range(calls):
        try:
            throttle.admit(who)
            count += 1
        except ApiError as error:
            assert error.code == 429
    return count


def test_each_account_has_its_own_number_in_each_interval() -> None:
    clock: Any = Clock()
    throttle = Throttle(clock, 3, 10)
    assert admitted(throttle, caller("alice"), 5) == 3
    assert admitted(throttle, caller("bob"), 5) == 3
    clock.time += 9.5
    with pytest.raises(ApiError, match=re.escape("please retry after [500] ms.")):
        throttle.admit(caller("alice"))
    clock.time += 0.5
    assert admitted(throttle, caller("alice"), 5) == 3


def test_root_admins_may_always() -> None:
    clock: Any = Clock()
    assert admitted(Throttle(clock, 1), caller("admin", root=True), 9) == 9


@pytest.mark.parametrize("env", [{}, {"API_RATE_LIMIT": ""}, {"API_RATE_LIMIT": "0"}])
def test_nothing_is_limited_by_default(env: dict[str, str]) -> None:
    clock: Any = Clock()
    assert admitted(Throttle.of(env, clock), caller("alice"), 99) == 99


def test_quiet_accounts_are_forgotten() -> None:
    clock: Any = Clock()
    throttle = Throttle(clock, 1, 1)
    for number in range(3 * MANY):
        throttle.admit(caller(str(number)))
        clock.time += 0.01
    assert len(throttle._windows) <= MANY


async def test_over_the_wire() -> None:
    async with running(API_RATE_LIMIT="5", API_RATE_INTERVAL="1h") as world:
        codes = [status for status, _ in await asyncio.gather(*(world.ask("alice", "listZones") for _ in range(8)))]
        assert sorted(codes) == [200] * 5 + [429] * 3
        status, body = await world.ask("alice", "addVmwareDc")
        assert status == 429
        assert "has reached his/her account api limit" in body["addvmwaredcresponse"]["errortext"]
        assert {(await world.ask(user, "listZones"))[0] for user in ("bob", "admin")} == {200}
        told = await settings(world)
        assert (told["api.throttling.enabled"], told["api.throttling.max"]) == ("true", "5")
        assert told["api.throttling.interval"] == "3600"


async def settings(world: World, **params: str) -> dict[str, str]:
    listed = await world.call("admin", "listConfigurations", **params)
    return {each["name"]: each["value"] for each in listed.get("configuration", ())}


async def test_settings(world: World) -> None:
    assert (await settings(world))["default.page.size"] == "500"
    assert await settings(world, name="api.throttling.enabled") == {"api.throttling.enabled": "false"}
    assert set(await settings(world, keyword="throttling")) == {
        "api.throttling.enabled",
        "api.throttling.interval",
        "api.throttling.max",
    }
    assert await settings(world, name="no.such") == {}
    status, _ = await world.ask("alice", "listConfigurations")
    assert status == 432
