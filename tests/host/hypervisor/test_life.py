"""A guest's whole life through the agent, on a real libvirtd with real QEMU."""

import asyncio
import os
import signal
import time
from pathlib import Path

from operators.contract.compute import Power
from operators.contract.meta import condition
from operators.contract.quantity import Duration, Quantity
from tests.host.hypervisor.conftest import MIB, World


async def test_deploy_boots_the_guest_with_one_write(world: World, network: str) -> None:
    key = await world.instance(nics=1)
    await world.running(key)
    said = await world.booted(key)
    assert "host=vm1" in said
    assert "source=nocloud" in said
    status = world.status(key)
    assert world.holds(key, "Realised")
    assert status.domain_uuid == world.uuid(key)
    assert status.started_at
    assert world.writes(key) == 1
    taps = world.host.exec(["ip", "-br", "link", "show", "master", network]).stdout
    assert taps.startswith("cst")
    assert "mtu 1450" in world.host.exec(["ip", "link", "show", taps.split()[0]]).stdout


async def test_start_waits_for_the_disk_and_then_takes_no_longer_than_libvirt_itself(world: World) -> None:
    key = await world.instance(ready=False)
    await asyncio.sleep(0.5)
    assert world.virsh("list", "--all", "--name") == ""
    assert Path(world.settings.seed_dir, f"{world.uuid(key)}.iso").exists(), "written while waiting"
    assert world.writes(key) == 0
    await world.disk("vm1")
    ours = await world.running(key)
    name = world.virsh("list", "--name")
    world.virsh("destroy", name)
    await world.until(lambda: world.status(key).power == Power.STOPPED)
    started = time.monotonic()
    world.virsh("start", name)
    raw = time.monotonic() - started
    print(f"ready to running by the agent {ours:.3f} s, raw virsh start {raw:.3f} s")
    assert ours < raw + 10, "it was started at a resync, and not when it was ready"


async def test_waiting_long_is_said(world: World) -> None:
    key = await world.instance(ready=False)
    await world.until(lambda: world.status(key).conditions, 5)
    realised = condition(world.status(key).conditions, "Realised")
    assert realised and realised.reason == "WaitingForVolumes"
    assert "vm1-root-d0" in realised.message


async def test_graceful_stop_then_start_then_reboot(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    await world.change(key, power=Power.STOPPED)
    took = await world.until(lambda: world.status(key).power == Power.STOPPED)
    assert world.status(key).stop_reason == "Shutdown", "asked, not cut off"
    assert world.holds(key, "Realised")
    assert took < 10
    await world.change(key, power=Power.RUNNING, start_request=1, memory=160 * MIB)
    await world.running(key)
    assert world.status(key).start_observed == 1
    assert world.virsh("dominfo", world.virsh("list", "--name")).count(f"{160 * 1024} KiB") == 2, (
        "changed with the start"
    )
    await world.booted(key)
    before = world.qemu(key)
    await world.change(key, reboot_request=3)
    await world.until(lambda: world.status(key).reboot_observed == 3, 40)
    assert world.status(key).power == Power.RUNNING
    assert world.qemu(key) != before
    await world.booted(key)
    after = world.qemu(key)
    await asyncio.sleep(0.5)
    assert world.qemu(key) == after, "once"


async def test_stop_of_a_deaf_guest_cuts_its_power_at_the_deadline(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    process = world.qemu(key)
    assert process
    world.virsh("suspend", world.virsh("list", "--name"))
    await world.until(lambda: world.status(key).power == Power.PAUSED)
    await world.change(key, power=Power.STOPPED)
    await world.until(lambda: world.status(key).power == Power.STOPPED, 10)


async def test_crash_is_noticed_at_once_and_started_again_only_when_asked(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    process = world.qemu(key)
    assert process
    os.kill(process, signal.SIGKILL)
    noticed = await world.until(lambda: world.status(key).power == Power.STOPPED)
    print(f"kill -9 of QEMU to status: {noticed:.3f} s")
    assert noticed < 2.0  # 0.25 on a quiet machine
    assert world.status(key).stop_reason == "Crashed"
    realised = condition(world.status(key).conditions, "Realised")
    assert realised and realised.reason == "Crashed"
    await asyncio.sleep(0.3)
    assert world.qemu(key) is None
    await world.change(key, start_request=1)
    await world.running(key)
    assert world.status(key).start_observed == 1


async def test_delete_leaves_nothing(world: World, network: str) -> None:
    key = await world.instance(nics=1)
    await world.running(key)
    uuid = world.uuid(key)
    await world.delete(key)
    assert world.read(key) is None
    assert world.virsh("list", "--all", "--name") == ""
    assert not [
        path for folder in (world.settings.seed_dir, world.settings.console_dir) for path in folder.glob(f"*{uuid}*")
    ]
    assert "cst" not in world.host.exec(["ip", "-br", "link"]).stdout


async def test_delete_before_anything_was_ready(world: World) -> None:
    key = await world.instance(ready=False)
    await world.until(lambda: Path(world.settings.seed_dir, f"{world.uuid(key)}.iso").exists())
    await world.delete(key)
    assert world.read(key) is None


async def test_idle_guest_causes_no_writes(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    await world.until(lambda: world.status(key).guest, 60)  # what its agent says of it comes once
    guest = world.status(key).guest
    assert guest
    assert (guest.hostname, [each.mountpoint for each in guest.filesystems]) == ("vm1", ["/data"])
    before = len(world.server.log)
    await asyncio.sleep(2.5)
    assert len(world.server.log) == before


async def test_agent_restart_leaves_the_guest_alone(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    process, before = world.qemu(key), world.status(key)
    await world.kill_agent()
    assert world.qemu(key) == process
    await world.start_agent()
    await asyncio.sleep(1.0)
    assert world.qemu(key) == process
    assert world.status(key) == before
    assert world.writes(key) == 1


async def test_guest_that_ended_while_no_agent_ran_is_not_started_by_itself(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    await world.kill_agent()
    process = world.qemu(key)
    assert process
    os.kill(process, signal.SIGKILL)
    await world.start_agent()
    await world.until(lambda: world.status(key).power == Power.STOPPED)
    assert world.status(key).stop_reason == "Crashed"
    assert world.status(key).start_observed == 0


async def test_libvirtd_killed_and_back(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    process = world.qemu(key)
    world.host.stop_service("libvirtd", signal.SIGKILL)
    await world.until(lambda: not world.holds(key, "Realised"), 15)
    realised = condition(world.status(key).conditions, "Realised")
    assert realised and realised.reason == "HypervisorError"
    assert "libvirtd does not answer" in realised.message
    assert world.status(key).power == Power.RUNNING, "last seen"
    assert world.qemu(key) == process
    await asyncio.to_thread(world.host.start_service, "libvirtd")
    await world.until(lambda: world.holds(key, "Realised"), 15)
    assert world.qemu(key) == process
    assert process
    os.kill(process, signal.SIGKILL)  # events flow again
    await world.until(lambda: world.status(key).power == Power.STOPPED, 5)


async def test_host_boots_again_and_its_guests_with_it(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    started = world.status(key).started_at
    await asyncio.sleep(1.1)
    await asyncio.to_thread(world.host.kill)
    await world.kill_agent()
    await asyncio.to_thread(world.host.up)
    world.settings.run_dir.mkdir(exist_ok=True)
    await world.start_agent()
    await world.until(lambda: world.status(key).started_at != started and world.status(key).power == Power.RUNNING, 30)
    assert world.qemu(key)
    assert world.status(key).start_observed == 0


async def test_start_that_fails_says_why_and_heals(world: World) -> None:
    key = await world.instance(nics=1)  # the bridge is not there
    world.host.exec(["ip", "link", "del", "csbr900"], check=False)
    await world.until(lambda: world.status(key).conditions, 20)
    realised = condition(world.status(key).conditions, "Realised")
    assert realised and realised.reason == "HypervisorError"
    assert "csbr900" in realised.message
    world.host.exec(["ip", "link", "add", "csbr900", "type", "bridge"])
    await world.running(key, 30)


async def test_unknown_domains_are_reported_and_left_alone(world: World) -> None:
    await world.until(lambda: world.report(), 10)
    report = world.report()
    assert report and report.driver == "qemu" and report.cpus and report.libvirt.startswith("9.")
    stranger = "<domain type='qemu'><name>stranger</name><memory>65536</memory><os><type>hvm</type></os></domain>"
    path = world.disks / "stranger.xml"
    path.write_text(stranger)
    world.virsh("create", str(path))
    await world.until(lambda: (found := world.report()) and found.unknown_domains == ("stranger",), 10)
    await world.kill_agent()
    await world.start_agent()
    assert world.virsh("list", "--name") == "stranger"
    world.virsh("destroy", "stranger")
    await world.until(lambda: (found := world.report()) and found.unknown_domains == (), 10)


async def test_user_data_runs(world: World) -> None:
    key = await world.instance(user_data="#!/bin/sh\necho from-user-data >/dev/console\n")
    said = await world.booted(key)
    log = Path(world.settings.console_dir, f"{world.uuid(key)}.log")
    await world.until(lambda: "TINY USERDATA exit=0" in log.read_text(errors="replace"), 30)
    assert "from-user-data" in log.read_text(errors="replace"), said


def test_kvm_is_taken_only_once_it_proved_itself(world: World) -> None:
    import libvirt

    from agents.hypervisor import accelerator

    connection = libvirt.open(world.host.libvirt_uri)
    try:
        scratch = world.host.root / "cloudstack/probe"
        chosen = accelerator.choose(connection, "auto", world.settings.run_dir, scratch)
        assert chosen in ("kvm", "qemu")
        assert Path(world.settings.run_dir, "accelerator").read_text().strip() == chosen
        assert list(scratch.iterdir()) == []
        assert not [each for each in connection.listAllDomains() if each.name().startswith(accelerator.PREFIX)]
        nobody = None  # What is known by now is asked of no libvirtd.
        assert accelerator.choose(nobody, "auto", world.settings.run_dir, scratch) == chosen
    finally:
        connection.close()


def test_no_process_is_left(world: World) -> None:
    found = world.host.exec(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], check=False).stdout
    assert "libvirtd" in found and "guest=team-a-vm" not in found


async def test_pause_and_reset(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    first = world.qemu(key)
    await world.change(key, paused=True)
    await world.until(lambda: world.status(key).power == Power.PAUSED)
    assert world.holds(key, "Realised")
    await world.kill_agent()
    await world.start_agent()
    await world.change(key, paused=False)
    await world.until(lambda: world.status(key).power == Power.RUNNING)
    assert world.qemu(key) == first, "the very guest went on"
    await world.change(key, paused=True)
    await world.until(lambda: world.status(key).power == Power.PAUSED)
    await world.change(key, paused=False, reset_request=2)
    took = await world.until(lambda: world.status(key).reset_observed == 2)
    assert took < 10, "not asked, but cut off"
    assert world.status(key).power == Power.RUNNING
    await world.booted(key)
    again = world.qemu(key)
    assert again != first
    await world.change(key, power=Power.STOPPED, stop_deadline=Duration(0))
    await world.until(lambda: world.status(key).power == Power.STOPPED, 10)


async def test_processors_and_memory_of_a_running_guest(world: World) -> None:
    key = await world.instance(memory=192)
    await world.change(key, max_cpus=3, power=Power.STOPPED)
    await world.until(lambda: world.status(key).power == Power.STOPPED, 40)
    await world.change(key, max_cpus=3, max_memory=Quantity(192 * MIB), power=Power.RUNNING, start_request=1)
    await world.until(lambda: world.status(key).start_observed == 1, 40)  # the log is a new one from here on
    await world.booted(key)
    name, first = world.virsh("list", "--name"), world.qemu(key)
    await world.change(key, cpus=3, memory=Quantity(128 * MIB))
    await world.until(lambda: "3" in world.virsh("vcpucount", name, "--live", "--active", check=False).split())

    def given_back() -> bool:
        said = dict(line.split() for line in world.virsh("dommemstat", name).splitlines())
        return int(said["actual"]) == 128 * 1024

    await world.until(given_back, 60)  # the guest's own balloon has to do it
    assert world.holds(key, "Realised")
    assert world.qemu(key) == first
    await world.change(key, memory=Quantity(192 * MIB))
    await world.until(lambda: not given_back(), 60)
