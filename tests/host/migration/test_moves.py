"""A real guest moves between two real hosts, and answers all the way; whatever is killed, it runs once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

import pytest

from operators.contract.migrations import DepartureState
from tests.host.migration.conftest import Worlds
from tests.host.migration.harness import LIFE, Pinging, Two


@pytest.mark.parametrize(
    ("how", "storage"),
    [
        ({"shared": True}, "None"),
        ({"shared": False}, "Incremental"),
        ({"shared": False, "image": False}, "Full"),
    ],
    ids=["shared", "increment", "whole"],
)
async def test_a_guest_moves_there_and_back(two: Worlds, how: dict[str, bool], storage: str) -> None:
    async with two(**how) as cloud:
        await cloud.deploy()
        source, target = cloud.where, cloud.elsewhere
        boot, ticks = (await cloud.sh(source, LIFE)).split()
        pinging = Pinging(cloud.hosts["m1"])
        await cloud.migrate()
        took = await cloud.until(cloud.over, 60)
        status = cloud.migration().status
        await asyncio.sleep(1.0)
        sent, answered, gap = pinging.stop()
        print(f"{storage}: {took:.2f} s, downtime {status.downtime} ms, {sent - answered} of {sent} lost, gap {gap} s")
        assert cloud.verdict() == ("True", "Succeeded"), cloud.describe()
        assert cloud.states() == {target: "running"}
        assert (status.storage, status.source_host, status.target_host) == (storage, source, target)
        assert 0 < status.downtime < 5000
        assert status.progress == 100 and status.data_total and status.data_processed
        assert gap < 5.0, "it answers again at once"
        assert sent - answered < sent / 2
        await cloud.until(lambda: cloud.ready() and cloud.vm().status.phase == "Running")
        again, later = (await cloud.sh(target, LIFE)).split()
        assert again == boot, _how_it_ended(cloud)
        assert int(later) > int(ticks), "the same kernel goes on counting, on the same disk"
        await cloud.migrate("back", targetHost=source)
        await cloud.until(lambda: cloud.over("back"), 60)
        assert cloud.states() == {source: "running"}, cloud.describe()
        again, latest = (await cloud.sh(source, LIFE)).split()
        assert again == boot, _how_it_ended(cloud)
        assert int(latest) > int(later)


def _how_it_ended(cloud: Two) -> str:
    """What is known of a guest that was booted anew: how often Compute started it again, and its last words."""
    words = {name: cloud.console(name)[-3000:] for name in cloud.hosts}
    return f"restarted {cloud.vm().status.restarts} times: {words}"


async def _twice(cloud: Two) -> None:
    """Fail when the guest is seen running on both hosts."""
    while True:
        assert len(await asyncio.to_thread(cloud.running)) <= 1, cloud.describe()
        await asyncio.sleep(0.02)


async def _moving(cloud: Two) -> None:
    """Wait until the data flows."""

    def flows() -> bool:
        said = [each.status.departure for each in cloud.instances()]
        return any(each is not None and each.state is DepartureState.RUNNING for each in said)

    await cloud.until(flows)


async def _source_qemu(cloud: Two, source: str, target: str) -> None:
    cloud.kill_qemu(source)


async def _target_qemu(cloud: Two, source: str, target: str) -> None:
    cloud.kill_qemu(target)


async def _libvirtd(cloud: Two, name: str) -> None:
    await asyncio.to_thread(cloud.hosts[name].stop_service, "libvirtd", signal.SIGKILL)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(cloud.hosts[name].start_service, "libvirtd")


async def _source_libvirtd(cloud: Two, source: str, target: str) -> None:
    await _libvirtd(cloud, source)


async def _target_libvirtd(cloud: Two, source: str, target: str) -> None:
    await _libvirtd(cloud, target)


async def _agents(cloud: Two, source: str, target: str) -> None:
    for name in (source, target, "compute"):
        await cloud.kill(name)
    await asyncio.sleep(1.0)
    await cloud.start_compute()
    for name in (source, target):
        await cloud.start_agent(name)


async def _cancel(cloud: Two, source: str, target: str) -> None:
    await cloud.migrate(cancel=True)


async def _target_stands_still(cloud: Two, source: str, target: str) -> None:
    """Its QEMU answers nobody any more, and giving the move up waits for it, unless the source's agent ends it."""
    process = cloud.qemu(target)
    assert process is not None
    os.kill(process, signal.SIGSTOP)
    await cloud.migrate(cancel=True)


async def _reset(cloud: Two, source: str, target: str) -> None:
    """The move is given up for it, and the guest boots where it is."""
    await cloud.ask(resetRequest=1)
    await cloud.until(lambda: cloud.vm().status.reset_observed == 1, 90)


async def _pause(cloud: Two, source: str, target: str) -> None:
    """The same; it stands still on one host, with all that was in its memory, and goes on from there."""
    here, boot = cloud.where, "cat /proc/sys/kernel/random/boot_id"
    before = await cloud.sh(here, boot)
    await cloud.ask(paused=True)
    await cloud.until(lambda: list(cloud.states().values()) == ["paused"] and cloud.over(), 90)
    (there,) = cloud.states()
    await cloud.ask()
    await cloud.until(lambda: cloud.states() == {there: "running"}, 60)
    assert await cloud.sh(there, boot) == before


KILLS = [_source_qemu, _target_qemu, _source_libvirtd, _target_libvirtd, _agents, _cancel, _target_stands_still]
DEEDS = [*KILLS, _reset, _pause]
CASES = [
    pytest.param(deed, shared, id=f"{deed.__name__[1:]}-{'shared' if shared else 'local'}", marks=marks)
    for deed in DEEDS
    for shared in (True, False)
    for marks in [() if shared and deed in (_target_qemu, _agents) else pytest.mark.slow]
]


@pytest.mark.parametrize(("deed", "shared"), CASES)
async def test_whatever_is_killed_one_guest_runs(two: Worlds, deed: Callable[..., object], shared: bool) -> None:
    async with two(shared=shared) as cloud:
        await cloud.deploy()
        source, target = cloud.where, cloud.elsewhere
        watching = asyncio.create_task(_twice(cloud))
        cloud.slow(source)
        await cloud.migrate()
        await _moving(cloud)
        await asyncio.sleep(0.5)
        await deed(cloud, source, target)  # type: ignore[misc]
        await cloud.until(cloud.over, 90)
        await cloud.until(lambda: cloud.ready() and len(cloud.running()) == 1, 60)
        assert cloud.running() == [cloud.instances()[0].spec.host_name], cloud.describe()
        assert cloud.running() == list(cloud.states()), "nothing is left on the other host"
        print(deed.__name__, cloud.verdict(), cloud.migration().status.called_off)
        assert not watching.done(), watching.exception()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
