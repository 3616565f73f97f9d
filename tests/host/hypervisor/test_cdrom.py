"""The CD drive: a guest that boots from a CD, and one whose CDs come and go while it runs, as the guest itself sees it."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import pycdlib
import pytest

from images.tiny.build import build
from operators.contract import names
from operators.contract.compute import BootDevice
from operators.contract.instances import InstanceDisk
from tests.host.hypervisor.conftest import World
from tests.host.hypervisor.test_hotplug import disks, inside, volume

pytestmark = pytest.mark.timeout(300)
SAYS = "booted from a CD"
# 16-bit code at 0x7c00: each byte of the text behind it goes to the first serial port; then the processor halts.
CODE = bytes.fromhex("be167cfc31c08ed8ac84c07406baf803eeebf5f4ebfd")


def iso(path: Path, label: str, *, bootable: bool = False) -> None:
    """A CD with one file; its boot record, if it has one, needs no emulation (El Torito)."""
    made = pycdlib.PyCdlib()
    made.new(vol_ident=label, joliet=3)
    text = f"this is {label}\n".encode()
    made.add_fp(io.BytesIO(text), len(text), "/README.;1", joliet_path="/readme")
    if bootable:
        code = (CODE + SAYS.encode() + b"\r\n\0").ljust(2048, b"\0")
        made.add_fp(io.BytesIO(code), len(code), "/BOOT.;1", joliet_path="/boot")
        made.add_eltorito("/BOOT.;1", bootcatfile="/BOOT.CAT;1", boot_load_size=4)
    made.write(str(path))
    made.close()


async def cd(world: World, label: str, *, bootable: bool = False) -> InstanceDisk:
    """A Disk of a Volume that is made from an ISO image: a qcow2 file on the image's copy, as the storage agent makes it."""
    raw, copy = world.disks / f"{label}.iso", world.disks / f"{label}-copy.qcow2"
    iso(raw, label, bootable=bootable)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, copy], check=True, timeout=60)
    listed = await volume(world, label)
    backing = ["-F", "qcow2", "-b", copy]
    file = world.disks / f"{label}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, file], check=True, timeout=60)
    return replace(listed, cdrom=True)


async def test_a_guest_with_a_blank_disk_boots_from_its_cd(world: World) -> None:
    inserted = await cd(world, "setup", bootable=True)
    key = await world.instance(ready=False)
    root = world.read(key).spec.disks[0]  # type: ignore[union-attr]
    blank = await volume(world, "blank")
    await world.change(key, disks=(replace(blank, serial=root.serial), inserted))
    await world.running(key)
    log = Path(world.settings.console_dir, f"{world.uuid(key)}.log")
    await world.until(lambda: SAYS in log.read_text(errors="replace"))
    assert set(disks(world, key)) == {"blank", "setup"}


async def test_what_it_boots_from_first_is_its_users_choice(world: World) -> None:
    inserted, system = await cd(world, "rescue", bootable=True), await volume(world, "system")
    backing = ["-F", "qcow2", "-b", build()]
    file = world.disks / "system.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, file, "96M"], check=True, timeout=60)
    key = await world.instance(ready=False)
    await world.change(key, disks=(system, inserted), boot_from=BootDevice.CDROM)
    await world.running(key)
    log = Path(world.settings.console_dir, f"{world.uuid(key)}.log")
    await world.until(lambda: SAYS in log.read_text(errors="replace"))


async def test_cds_come_and_go_while_the_guest_runs(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    root = world.read(key).spec.disks  # type: ignore[union-attr]
    first, second = await cd(world, "first"), await cd(world, "second")
    look = (
        "for d in /dev/sr*; do mkdir -p /cd; mount -t iso9660 -o ro $d /cd 2>/dev/null || continue; "
        "cat /cd/readme 2>/dev/null; umount /cd; done; true"
    )
    for inserted in (first, second):
        await world.change(key, disks=(*root, inserted))
        await world.until(lambda: set(disks(world, key)) == {"vm1-root", inserted.volume})  # noqa: B023
        assert await inside(world, key, look) == f"this is {inserted.volume}"
    pid = world.qemu(key)
    await world.kill_agent()
    await world.start_agent()
    await world.change(key, disks=root)
    await world.until(lambda: set(disks(world, key)) == {"vm1-root"})
    assert await inside(world, key, look) == ""
    assert world.qemu(key) == pid and world.holds(key, "Realised")
    assert names.disk("first") == first.disk
