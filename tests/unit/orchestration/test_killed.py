"""The engine is killed after every single write in turn, and a new one must bring it all to the same end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.networking import PORT
from operators.contract.storage import VOLUME
from operators.orchestration.record import FINALIZER
from tests.support.virtual_time import virtual
from tests.unit.orchestration.world import SPEC, World, blocked

Story = Callable[[World], Awaitable[None]]


async def deployed(cloud: World) -> None:
    await cloud.apply()
    await cloud.settle()
    assert cloud.names_of(PORT) == ["web-nic0", "web-nic1"]
    assert cloud.names_of(VOLUME) == ["web-root"]
    assert states(cloud) == [("Deploy", "Succeeded")]


async def held_at_once(cloud: World) -> None:
    """The chart's policy has put the finalizer on, so nothing is waited for."""
    await cloud.apply(finalizers=[FINALIZER])
    await cloud.settle()
    assert cloud.names_of(PORT) == ["web-nic0", "web-nic1"]
    assert cloud.names_of(VOLUME) == ["web-root"]
    assert states(cloud) == [("Deploy", "Succeeded")]
    await cloud.delete()
    await cloud.settle()
    nothing_left(cloud)
    assert cloud.names_of(VIRTUAL_MACHINE) == []


async def lived(cloud: World) -> None:
    await deployed(cloud)
    await cloud.apply(SPEC | {"runPolicy": "Stopped"})
    await cloud.settle()
    await cloud.apply(SPEC | {"runPolicy": "Running"})
    await cloud.settle()
    await cloud.apply(SPEC | {"runPolicy": "Running", "rebootRequest": 1})
    await cloud.settle()
    assert states(cloud)[1:] == [("Stop", "Succeeded"), ("Start", "Succeeded"), ("Reboot", "Succeeded")]


async def destroyed(cloud: World) -> None:
    await deployed(cloud)
    await cloud.delete()
    await cloud.settle()
    nothing_left(cloud)
    assert cloud.names_of(VIRTUAL_MACHINE) == []
    assert states(cloud) == [("Deploy", "Succeeded"), ("Destroy", "Succeeded")]


async def destroyed_half_made(cloud: World) -> None:
    cloud.blocked["Volume/web-root"] = blocked("NoPoolFits", "no pool")
    await cloud.apply()
    await cloud.settle(10.0)
    await cloud.delete()
    await cloud.settle()
    nothing_left(cloud)
    assert cloud.names_of(VIRTUAL_MACHINE) == []
    assert states(cloud) == [("Deploy", "Cancelled"), ("Destroy", "Succeeded")]


async def cancelled(cloud: World) -> None:
    cloud.blocked["Volume/web-root"] = blocked("NoPoolFits", "no pool")
    await cloud.apply()
    await cloud.settle(10.0)
    await cloud.patch_flow(cloud.flow("Deploy").meta.name, cancel=True)
    await cloud.settle()
    nothing_left(cloud)
    assert cloud.names_of(VIRTUAL_MACHINE) == ["web"]
    assert states(cloud) == [("Deploy", "Cancelled")]


async def overdue(cloud: World) -> None:
    cloud.blocked["VirtualMachine/web"] = blocked("NoHostFits", "no host fits")
    annotations = {names.ANNOTATION_DEPLOY_DEADLINE: "30s", names.ANNOTATION_DEPLOY_ON_FAILURE: "Compensate"}
    await cloud.apply(annotations=annotations)
    await cloud.settle()
    nothing_left(cloud)
    assert states(cloud) == [("Deploy", "Failed")]


def states(cloud: World) -> list[tuple[str, str]]:
    return [(flow.spec.operation.value, flow.status.state) for flow in cloud.flows()]


def nothing_left(cloud: World) -> None:
    for kind in (INSTANCE, PORT, VOLUME):
        assert cloud.names_of(kind) == []


STORIES = [deployed, held_at_once, lived, destroyed, destroyed_half_made, cancelled, overdue]


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("unanswered", [False, True], ids=["killed", "unanswered"])
def test_after_any_write_was_its_last_the_engine_resumes_and_does_nothing_twice(story: Story, unanswered: bool) -> None:
    after = 1
    while _survives(story, after, unanswered):
        after += 1
    assert after > 5


def _survives(story: Story, after: int, unanswered: bool) -> bool:
    """Play a story in which one write is done but not answered, by death or by error; whether it came so far."""
    came = []

    @virtual
    async def play() -> None:
        cloud = World()
        await cloud.start(axe=after, fatal=not unanswered)
        first = cloud.axe
        try:
            await story(cloud)
        finally:
            await cloud.close()
        once_each(cloud, f"after {after}")
        came.append(first.left <= 0)

    play()
    return came[0]


@pytest.mark.parametrize("story", STORIES)
def test_two_engines_that_both_think_they_lead_do_nothing_twice(story: Story) -> None:
    @virtual
    async def play() -> None:
        cloud = World()
        await cloud.start()
        try:
            async with cloud.rival():
                await story(cloud)
        finally:
            await cloud.close()
        once_each(cloud, "by two")

    play()


def once_each(cloud: World, when: str) -> None:
    """Whatever has an effect has it once; a status may be said anew, and a finalizer is put on and taken off."""
    for write, times in cloud.writes().items():
        most = {"apply_status": times, "finalize": 2}.get(write.split()[0], 1)
        assert times <= most, f"{write}: {times} times, {when}"
