"""A move that is given up: asked to end at each look, and at its other end too when that does not help."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from agents.hypervisor.departures import Departures
from agents.hypervisor.driver import Hypervisor, HypervisorError, Job
from agents.hypervisor.migration import INSIST, send
from agents.hypervisor.model import Action, Stay
from operators.contract.meta import ObjectRef
from operators.contract.migrations import Outgoing
from tests.unit.agent_hypervisor.test_plan import READY, UP, wanted

OUT = Outgoing(ObjectRef("move", "m1"), "b", "10.99.0.2")


@pytest.mark.parametrize(
    ("cancel", "called_off", "actions"),
    [
        (False, 0.0, []),
        (True, 0.0, [Stay("vm-uid")]),
        (True, INSIST - 1, [Stay("vm-uid")]),
        (True, INSIST, [Stay("vm-uid", "10.99.0.2")]),
    ],
)
def test_what_is_done_about_a_move_that_goes_on(cancel: bool, called_off: float, actions: list[Action]) -> None:
    seen = replace(READY, domain=UP, job=Job(100, 19), called_off=called_off)
    assert send(wanted(outgoing=replace(OUT, cancel=cancel)), seen)[0] == actions


class Other:
    """The hypervisor of the other host, which takes its time."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.may = asyncio.Event()
        self.fails = False

    async def drop_copy(self, uuid: str, address: str) -> None:
        self.asked.append((uuid, address))
        await self.may.wait()
        if self.fails:
            raise HypervisorError("no route to host")


async def test_the_other_host_is_asked_one_at_a_time_and_again_when_that_failed() -> None:
    other = Other()
    departures = Departures(cast(Hypervisor, other), lambda uuid: None)

    async def given_up(at: float, **stay: Any) -> None:
        departures.give_up(Stay("u", **stay), at)
        await asyncio.sleep(0)

    await given_up(100.0)
    assert departures.called_off("u", 131.0) == 31.0
    await given_up(131.0, stuck_at="10.99.0.2")
    await given_up(132.0, stuck_at="10.99.0.2")
    assert other.asked == [("u", "10.99.0.2")]
    other.fails = True
    other.may.set()
    while len(other.asked) < 2:
        await given_up(133.0, stuck_at="10.99.0.2")
    assert departures.called_off("u", 133.0) == 33.0
    departures.forget("u")
    assert departures.called_off("u", 134.0) == 0.0
