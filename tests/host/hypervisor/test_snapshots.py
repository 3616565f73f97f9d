"""Snapshots of a guest's disk, seen from inside the guest: both agents of a host on real files and a real libvirtd."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any
from unittest import mock

from agents.hypervisor import backups
from operators.contract.compute import Power
from operators.contract.meta import holds
from operators.contract.snapshots import DISK_SNAPSHOT
from tests.host.hypervisor.both import Both, both

__all__ = ["both"]  # the fixture


async def test_what_a_running_guest_wrote_is_there_after_a_restore(both: Both) -> None:
    key = await both.guest("vm1", copy="tiny")
    await both.sh(key, "echo before > /data/note")  # not synced: only a guest that holds still has it on its disk
    disk = both.disk("vm1")
    started = time.monotonic()
    snapshot = await both.storage.snapshot(disk)
    taken = await both.taken()
    print(f"snapshot of a running guest after {time.monotonic() - started:.2f} s")
    assert taken.status.quiesced and taken.status.taken_at and taken.status.capture.quiesced
    await both.sh(key, "echo after > /data/note; sync")
    assert await both.sh(key, "cat /data/note") == "after", "it goes on"
    restored = await both.guest("vm2", snapshot=snapshot.spec.path)
    assert await both.sh(restored, "cat /data/note") == "before"
    await both.stop(key)
    await both.storage.change(taken, revertRequest=1)
    await both.storage.until(DISK_SNAPSHOT, "snap", lambda obj: obj.status.revert_observed == 1)
    await both.world.change(key, power=Power.RUNNING, start_request=1)
    await both.world.running(key)
    log = Path(both.world.settings.console_dir, f"{both.world.uuid(key)}.log")
    await both.world.until(lambda: log.read_text(errors="replace").count("TINY READY") >= 1, 120)
    assert await both.sh(key, "cat /data/note") == "before"
    assert {file for file in both.storage.files() if file.startswith(("snapshots", "volumes"))} == {
        snapshot.spec.path,
        disk.spec.path,
        both.disk("vm2").spec.path,
    }


async def test_guest_without_an_agent_is_taken_as_a_power_cut_would_leave_it(both: Both) -> None:
    key = await both.guest("vm1", copy="tiny")
    await both.sh(key, "echo synced > /data/note; sync")
    await both.silence(key)
    disk = both.disk("vm1")
    with mock.patch.object(backups, "AGENT_ANSWER", 1):
        await both.storage.snapshot(disk)
        assert not (await both.taken()).status.quiesced
        await both.storage.snapshot(disk, "strict", quiesce="Required")
        said = await both.storage.verdict(DISK_SNAPSHOT, "strict", "GuestNotQuiesced", "Captured")
    assert "qemu-guest-agent" in said.message


async def test_both_agents_killed_while_a_running_guest_is_copied(both: Both) -> None:
    """The copies go on in QEMU, or are made anew, of one moment; the guest is not left frozen; nothing is left over."""
    key = await both.guest("vm1", copy="tiny")
    root, data = both.disk("vm1"), await both.attached(key, "data")
    await both.sh(key, "echo before > /data/note")
    real = backups.begin

    def begun(connection: Any, uuid: str, copies: Any) -> None:
        real(connection, uuid, copies)
        reached.set_result(None) if not reached.done() else None
        raise backups.HypervisorError("killed here, with the guest frozen")

    reached: Any = _Flag()
    with mock.patch.object(backups, "begin", begun), mock.patch.object(backups, "thaw", lambda *_: None):
        parts = {
            name: await both.storage.snapshot(disk, name, moment={"id": "moment", "size": 2})
            for name, disk in (("root", root), ("data", data))
        }
        await both.world.until(reached.done, 30)
        await both.world.kill_agent()
    await both.storage.kill()
    await both.storage.start()
    await both.world.start_agent()
    taken = [await both.taken(name) for name in parts]
    assert len({each.status.taken_at for each in taken}) == 1 and all(each.status.path for each in taken)
    assert await both.sh(key, "echo after > /data/note; cat /data/note") == "after", "it is not frozen"
    await both.world.until(lambda: _kept(both) == {each.spec.path for each in parts.values()}, 60)


def _kept(both: Both) -> set[str]:
    return {file for file in both.storage.files() if file.startswith("snapshots")}


class _Flag:
    def __init__(self) -> None:
        self._set = False

    def set_result(self, _: None) -> None:
        self._set = True

    def done(self) -> bool:
        return self._set


WRITER = """(i=0; while :; do i=$((i+1))
for to in vdb vdc; do printf %08d $i | dd of=/dev/$to conv=notrunc,fsync; done
done) >/dev/null 2>&1 &"""
"""Writes the same number to both disks, one after the other: at one moment they differ by one at most."""


async def test_several_disks_are_of_one_moment_and_come_back(both: Both, tmp_path: Path) -> None:
    key = await both.guest("vm1", copy="tiny")
    disks = {"root": both.disk("vm1")}
    for name in ("data", "logs"):
        disks[name] = await both.attached(key, name)
    await both.sh(key, "until [ -b /dev/vdb ] && [ -b /dev/vdc ]; do sleep 0.1; done")
    await both.sh(key, "for to in vdb vdc; do printf 00000000 | dd of=/dev/$to conv=notrunc,fsync; done")
    await both.sh(key, WRITER)
    await both.sh(key, "until [ $(dd if=/dev/vdc bs=8 count=1) -gt 3 ]; do sleep 0.1; done")
    moment = {"id": "moment", "size": 3}
    await both.storage.snapshot(disks["data"], "data", moment=moment)
    await both.storage.snapshot(disks["logs"], "logs", moment=moment)
    for name in ("data", "logs"):
        await both.storage.until(DISK_SNAPSHOT, name, lambda obj: bool(obj.status.target))
    waiting = [both.storage.read(DISK_SNAPSHOT, name) for name in ("data", "logs")]
    assert not any(holds(each.status.conditions, "Captured") for each in waiting), "one disk is still to be asked for"
    await both.storage.snapshot(disks["root"], "root", moment=moment)
    taken = [await both.taken(name) for name in ("root", "data", "logs")]
    assert len({each.status.taken_at for each in taken}) == 1 and all(each.status.quiesced for each in taken)
    data, logs = (_number(each.status.path, tmp_path) for each in taken[1:])
    assert data > 0 and data - logs in (0, 1), (data, logs)

    await both.storage.snapshot(disks["data"], "late", moment=moment)
    said = await both.storage.verdict(DISK_SNAPSHOT, "late", "MomentPassed", "Captured")
    assert "anew" in said.message

    await both.stop(key)
    for each in taken:
        await both.storage.change(each, revertRequest=1)
    for each in taken:
        await both.storage.until(DISK_SNAPSHOT, each.meta.name, lambda obj: obj.status.revert_observed == 1)
    await both.world.change(key, power=Power.RUNNING, start_request=1)
    await both.world.running(key)
    log = Path(both.world.settings.console_dir, f"{both.world.uuid(key)}.log")
    await both.world.until(lambda: log.read_text(errors="replace").count("TINY READY") >= 1, 120)
    read = [
        int(await both.sh(key, f"until [ -b /dev/{disk} ]; do sleep 0.1; done; dd if=/dev/{disk} bs=8 count=1"))
        for disk in ("vdb", "vdc")
    ]
    assert read == [data, logs]


def _number(path: str, folder: Path) -> int:
    raw = folder / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", path, str(raw)], check=True, timeout=30)
    return int(raw.read_bytes()[:8])
