"""Snapshots with memory, seen from inside the guest: it goes on from where it was, once, whoever is killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.hypervisor import backups
from agents.hypervisor.libvirt_driver import LibvirtHypervisor
from agents.storage.directories import snapshots as folder_snapshots
from operators.contract.compute import Power
from operators.contract.instances import KeptMemory
from operators.contract.meta import Key, holds
from operators.contract.snapshots import DISK_SNAPSHOT
from tests.host.hypervisor.both import Both, both

__all__ = ["both"]  # the fixture

MOMENT = {"id": "moment", "size": 1, "memory": "snap"}
COUNTER = """mkdir -p /mem; mount -t tmpfs none /mem; echo before > /mem/note; echo before > /data/note
echo before > /data/synced; sync
(i=0; while :; do i=$((i+1)); echo $i > /mem/new; mv /mem/new /mem/count; sleep 0.2; done) >/dev/null 2>&1 &
echo $! > /mem/pid"""
"""What lives in the guest's memory alone: a file, and a process that counts."""


COUNTS, PATIENTLY = "until [ $(cat /mem/count)", "i=$((i+1)); [ $i -lt 300 ] || exit 1; sleep 0.1"


async def begun(both: Both) -> tuple[Key, str]:
    """A guest that counts, and what it was started as."""
    key = await both.guest("vm1", copy="tiny")
    await both.sh(key, COUNTER)
    await both.sh(key, f"i=0; until [ -s /mem/count ]; do {PATIENTLY}; done")
    return key, both.world.status(key).started_at


async def reverted(both: Both, key: Key, start: int = 1, request: int = 1) -> None:
    """As Compute does: the power is cut, the disk's content comes back, and a start that brings the memory back."""
    await both.world.change(key, power=Power.STOPPED, stop_deadline=None)
    await both.world.until(lambda: both.world.status(key).power == Power.STOPPED, 60)
    await both.storage.change(both.storage.read(DISK_SNAPSHOT, "snap"), revertRequest=request)
    await both.storage.until(DISK_SNAPSHOT, "snap", lambda obj: obj.status.revert_observed == request)
    kept = KeptMemory("snap", start)
    await both.world.change(key, power=Power.RUNNING, start_request=start, resume_from=kept)


async def gone_on(both: Both, key: Key, start: int = 1) -> None:
    await both.world.until(
        lambda: both.world.status(key).start_observed == start and both.world.status(key).power == Power.RUNNING, 60
    )
    assert await both.sh(key, "cat /mem/note /data/note") == "before\nbefore"
    # What its disk has, and not what it remembers of it.
    assert await both.sh(key, "echo 3 > /proc/sys/vm/drop_caches; cat /data/synced") == "before"
    first = int(await both.sh(key, "cat /mem/count"))
    await both.sh(key, f"kill -0 $(cat /mem/pid) && i=0 && {COUNTS} -gt {first} ]; do {PATIENTLY}; done")


def kept(both: Both) -> set[str]:
    return {file for file in both.storage.files() if file.startswith("snapshots")}


async def test_a_guest_goes_on_from_where_it_was(both: Both) -> None:
    key, started = await begun(both)
    snapshot = await both.storage.snapshot(both.disk("vm1"), moment=MOMENT)
    taken = await both.taken()
    assert taken.status.memory and taken.status.capture.memory and not taken.status.quiesced
    assert int(taken.status.stored) > int(Path(taken.status.path).stat().st_blocks * 512), "with the memory's file"
    assert Path(taken.status.memory).stat().st_mode & 0o777 == 0o400
    await both.world.until(lambda: both.world.status(key).power == Power.RUNNING, 60)
    assert both.world.status(key).started_at == started, "it went on"
    await both.sh(key, "echo after > /mem/note; echo after > /data/note; echo after > /data/synced; sync")
    for request in (1, 2):
        await reverted(both, key, request, request)
        await gone_on(both, key, request)
        await both.sh(key, "echo after > /mem/note; echo after > /data/note; echo after > /data/synced; sync")
    memory = snapshot.spec.path.replace(".qcow2", ".memory")
    assert kept(both) == {snapshot.spec.path, memory}

    # What has run is not brought back again: a guest that dies is booted from what it wrote.
    pid = both.world.qemu(key)
    assert pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await both.world.until(lambda: both.world.status(key).power in (Power.STOPPED, Power.CRASHED), 60)
    await both.world.change(key, start_request=3)
    await both.world.running(key)
    await both.world.booted(key)
    assert await both.sh(key, "cat /data/note; ls /mem 2>/dev/null | wc -l") == "after\n0"
    await both.storage.gone(taken)
    await both.world.until(lambda: not kept(both), 30)


class Killed(backups.HypervisorError):
    """The agent ends here."""


STEPS = ["save", *(pytest.param(step, marks=pytest.mark.slow) for step in ("hold", "begin", "publish"))]


@pytest.mark.parametrize("step", STEPS)
async def test_both_agents_killed_while_memory_is_kept(both: Both, step: str) -> None:
    """The guest goes on whoever is killed; what comes of it is whole, and nothing is left over."""
    key, started = await begun(both)
    reached = []

    def after(real: Any) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            await real(*args, **kwargs)
            reached.append(step)
            raise Killed("killed here")

        return call

    async def never(*args: Any, **kwargs: Any) -> None:
        raise Killed("killed already")

    where, what = {
        "hold": (LibvirtHypervisor, "suspend"),
        "save": (LibvirtHypervisor, "save_memory"),
        "begin": (LibvirtHypervisor, "begin_backup"),
        "publish": (folder_snapshots, "_publish_memory"),
    }[step]
    with contextlib.ExitStack() as stack:
        if step == "publish":
            real = folder_snapshots._publish_memory

            def published(*args: Any) -> None:
                real(*args)
                reached.append(step)
                raise OSError(5, "killed here")

            stack.enter_context(mock.patch.object(where, what, published))
        else:
            stack.enter_context(mock.patch.object(where, what, after(getattr(where, what))))
            stack.enter_context(mock.patch.object(LibvirtHypervisor, "resume", never))
        snapshot = await both.storage.snapshot(both.disk("vm1"), moment=MOMENT)
        await both.world.until(lambda: bool(reached), 60)
        await both.world.kill_agent()
        await both.storage.kill()
    await both.storage.start()
    await both.world.start_agent()
    taken = await both.taken()
    assert taken.status.memory and holds(taken.status.conditions, "Captured")
    await both.sh(key, "echo after > /mem/note; echo after > /data/note; echo after > /data/synced; sync")
    assert both.world.status(key).started_at == started, "it went on"
    memory = snapshot.spec.path.replace(".qcow2", ".memory")
    await both.world.until(lambda: kept(both) == {snapshot.spec.path, memory}, 60)
    await reverted(both, key)
    await gone_on(both, key)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["define", "restore", "record", "resume"])
async def test_agent_killed_while_memory_comes_back(both: Both, step: str) -> None:
    """Nobody runs before it is written down that it was brought back, and then never again."""
    key, _ = await begun(both)
    await both.storage.snapshot(both.disk("vm1"), moment=MOMENT)
    await both.taken()
    await both.sh(key, "echo after > /mem/note; echo after > /data/note; echo after > /data/synced; sync")
    reached = []
    real_restore, real_record = LibvirtHypervisor.restore, LibvirtHypervisor.record
    real_resume = LibvirtHypervisor.resume

    async def restore(self: Any, spec: Any, path: str) -> None:
        if step == "define":
            await self.define(spec)
        else:
            await real_restore(self, spec, path)
        if step in ("define", "restore"):
            reached.append(step)
            raise Killed("killed here")

    async def record(self: Any, uuid: str, said: Any) -> None:
        await real_record(self, uuid, said)
        if step == "record" and said.held and said.started_at:
            reached.append(step)
            raise Killed("killed here")

    async def resume(self: Any, uuid: str) -> None:
        if reached:
            raise Killed("killed already")
        await real_resume(self, uuid)
        if step == "resume":
            reached.append(step)
            raise Killed("killed here")

    with contextlib.ExitStack() as stack:
        for name, fake in (("restore", restore), ("record", record), ("resume", resume)):
            stack.enter_context(mock.patch.object(LibvirtHypervisor, name, fake))
        await reverted(both, key)
        await both.world.until(lambda: bool(reached), 60)
        await both.world.kill_agent()
    await both.world.start_agent()
    await gone_on(both, key)
