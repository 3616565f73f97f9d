"""Disks that come to, grow under and go from a running guest, as the guest itself sees them."""

import asyncio
import base64
import json
import os
import signal
import subprocess
from dataclasses import replace
from typing import Any

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.instances import InstanceDisk
from operators.contract.meta import Key, ObjectRef, condition
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK, DiskLimits, DiskSpec
from tests.host.hypervisor.conftest import MIB, NODE, SPACE, World


async def volume(world: World, name: str, mib: int = 32, form: str = "qcow2", **spec: Any) -> InstanceDisk:
    """A Disk as Storage and its agent make it."""
    path = world.disks / f"{name}.{form}"
    subprocess.run(["qemu-img", "create", "-q", "-f", form, str(path), f"{mib}M"], check=True, timeout=30)
    key = Key(SPACE, names.disk(name))
    said = DiskSpec(NODE, "local", path.name, ObjectRef(name, f"u-{name}"), Quantity(mib * MIB), format=form)
    store = world.user.as_manager("storage")
    await store.apply(DISK, DISK.body(key, spec=to_wire(replace(said, **spec))))
    ready = {"path": str(path), "conditions": [{"type": "Provisioned", "status": "True", "reason": "AsSpecified"}]}
    await store.apply_status(DISK, key, ready, resource_version="")
    return InstanceDisk(names.disk(name), name, name)


async def change(world: World, name: str, **fields: Any) -> None:
    """What Storage changes of a Disk."""
    body = world.server.read(DISK, Key(SPACE, names.disk(name)))
    assert body is not None
    spec = to_wire(replace(DISK.parse(body).spec, **fields))
    await world.user.as_manager("storage").apply(DISK, DISK.body(Key(SPACE, names.disk(name)), spec=spec))


async def inside(world: World, key: Key, script: str) -> str:
    """Run a script in the guest by its agent; what it printed."""
    instance = world.read(key)
    assert instance
    domain = instance.spec.domain

    async def ask(what: dict[str, Any]) -> Any:
        said = await asyncio.to_thread(world.virsh, "qemu-agent-command", domain, json.dumps(what))
        return json.loads(said)["return"]

    arguments = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True}
    pid = (await ask({"execute": "guest-exec", "arguments": arguments}))["pid"]
    while not (done := await ask({"execute": "guest-exec-status", "arguments": {"pid": pid}}))["exited"]:
        await asyncio.sleep(0.05)
    out = base64.b64decode(done.get("out-data", "")).decode()
    assert done["exitcode"] == 0, out + base64.b64decode(done.get("err-data", "")).decode()
    return out.strip()


def disks(world: World, key: Key) -> dict[str, str]:
    """What the agent says that the guest has."""
    return {each.volume: str(each.size) for each in world.status(key).disks}


async def test_a_disk_comes_grows_is_limited_and_goes_while_the_guest_runs(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    root = world.read(key).spec.disks  # type: ignore[union-attr]
    assert disks(world, key) == {"vm1-root": "96Mi"}
    data = await volume(world, "data")
    await world.change(key, disks=(*root, data))
    await world.until(lambda: "data" in disks(world, key))
    where = await inside(world, key, "until [ -b /dev/vdb ]; do sleep 0.1; done; cat /sys/block/vdb/serial; echo; "
                                     "/sbin/mke2fs -q -t ext4 /dev/vdb && mkdir -p /mnt && mount /dev/vdb /mnt && "
                                     "echo kept > /mnt/file && sync && cat /sys/block/vdb/size")  # fmt: skip
    assert where.split() == ["data", str(32 * MIB // 512)]
    await change(world, "data", size=Quantity(64 * MIB))
    await world.until(lambda: disks(world, key)["data"] == "64Mi")
    assert await inside(world, key, "cat /sys/block/vdb/size") == str(64 * MIB // 512)
    await change(world, "data", size=Quantity(64 * MIB), limits=DiskLimits(iops=77, throughput=Quantity(MIB)))
    domain = world.virsh("list", "--name")
    await world.until(lambda: "77" in world.virsh("blkdeviotune", domain, "vdb"))
    assert str(MIB) in world.virsh("blkdeviotune", domain, "vdb")
    await inside(world, key, "umount /mnt")
    await world.change(key, disks=root)
    await world.until(lambda: disks(world, key) == {"vm1-root": "96Mi"})
    assert await inside(world, key, "[ -b /dev/vdb ] && echo there || echo gone") == "gone"
    assert world.holds(key, "Realised")
    await world.change(key, disks=(*root, data))
    await world.until(lambda: "data" in disks(world, key))
    said = await inside(world, key, "until [ -b /dev/vdb ]; do sleep 0.1; done; mount /dev/vdb /mnt; cat /mnt/file")
    assert said == "kept"


async def test_an_idle_guest_with_disks_costs_no_write_and_a_new_agent_changes_nothing(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    root = world.read(key).spec.disks  # type: ignore[union-attr]
    raw = await volume(world, "raw", form="raw")
    await world.change(key, disks=(*root, raw))
    await world.until(lambda: "raw" in disks(world, key))
    before, pid = world.writes(key), world.qemu(key)
    await world.kill_agent()
    await world.start_agent()
    await asyncio.sleep(1.0)
    assert (world.writes(key), world.qemu(key)) == (before, pid)


async def test_a_guest_that_does_not_let_go_is_said_to_and_asked_again(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    root = world.read(key).spec.disks  # type: ignore[union-attr]
    data = await volume(world, "data")
    await world.change(key, disks=(*root, data))
    await world.until(lambda: "data" in disks(world, key))
    # The guest is in its boot loader or early kernel: nobody there hears of a disk that shall go.
    await world.change(key, disks=root)
    await world.until(lambda: (said := condition(world.status(key).conditions, "Realised")) and not said.true, 10)
    told = condition(world.status(key).conditions, "Realised")
    assert told and told.reason == "Detaching" and "data" in disks(world, key)
    await world.until(lambda: "data" not in disks(world, key), 60)
    assert world.holds(key, "Realised")


async def test_a_pool_that_fills_up_pauses_the_guest_and_space_lets_it_go_on(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    root = world.read(key).spec.disks  # type: ignore[union-attr]
    pool = world.disks / "small"
    pool.mkdir()
    world.host.exec(["mount", "-t", "tmpfs", "-o", "size=4m", "small", str(pool)])
    try:
        path = pool / "data.qcow2"
        world.host.exec(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "64M"])
        data = await volume(world, "data", 64)
        store = world.user.as_manager("storage")
        ready = {"path": str(path), "conditions": [{"type": "Provisioned", "status": "True", "reason": "AsSpecified"}]}
        await store.apply_status(DISK, Key(SPACE, data.disk), ready, resource_version="")
        await world.change(key, disks=(*root, data))
        await world.until(lambda: "data" in disks(world, key))
        fill = "until [ -b /dev/vdb ]; do sleep 0.1; done; dd if=/dev/urandom of=/dev/vdb bs=1M count=16 conv=fsync"
        writing = asyncio.create_task(inside(world, key, f"({fill} && echo done > /run/filled) >/dev/null 2>&1 &"))
        await world.until(lambda: world.status(key).power == "Paused", 60)
        await writing
        told = condition(world.status(key).conditions, "Realised")
        assert told and told.reason == "StorageError" and "free space" in told.message
        assert world.virsh("domstate", world.virsh("list", "--name"), "--reason") == "paused (I/O error)"
        world.host.exec(["mount", "-o", "remount,size=64m", str(pool)])
        await world.until(lambda: world.status(key).power == "Running", 60)
        assert world.holds(key, "Realised")
        assert await inside(world, key, "until [ -e /run/filled ]; do sleep 0.1; done; cat /run/filled") == "done"
    finally:
        for name in world.virsh("list", "--name", check=False).split():
            world.virsh("destroy", name, check=False)
        world.host.exec(["umount", "-l", str(pool)])


async def test_a_disk_moves_to_another_pool_under_the_guest_and_killed_anywhere_no_write_is_lost(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    root = world.read(key).spec.disks  # type: ignore[union-attr]
    data = await volume(world, "data")
    await world.change(key, disks=(*root, data))
    await world.until(lambda: "data" in disks(world, key))
    prepare = "until [ -b /dev/vdb ]; do sleep 0.1; done; /sbin/mke2fs -q -t ext4 /dev/vdb && mkdir -p /mnt && mount /dev/vdb /mnt"
    await inside(world, key, f"{prepare}; dd if=/dev/urandom of=/mnt/blob bs=1M count=4; sync")
    before = await inside(world, key, "md5sum < /mnt/blob")
    elsewhere = await volume(world, "elsewhere", replaces=data.disk)
    await world.change(key, disks=(*root, replace(data, move_to=elsewhere.disk)))
    await world.until(lambda: used(world, key) == elsewhere.disk)
    await inside(world, key, "echo after > /mnt/late; sync; echo 3 > /proc/sys/vm/drop_caches")
    assert await inside(world, key, "md5sum < /mnt/blob; cat /mnt/late") == f"{before}\nafter"
    # QEMU and the agent are killed before Storage takes note: the guest starts from the disk that has its writes.
    await world.kill_agent()
    pid = world.qemu(key)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await world.until(lambda: world.virsh("list", "--name") == "")
    await world.start_agent()
    await world.until(lambda: world.status(key).power == "Stopped")
    assert used(world, key) == elsewhere.disk, "Storage can still learn of it"
    await world.change(key, disks=(*root, replace(data, move_to=elsewhere.disk)), start_request=1)
    await world.running(key)
    await world.booted(key)
    said = await inside(world, key, "mkdir -p /mnt; mount /dev/vdb /mnt; cat /mnt/late; md5sum < /mnt/blob")
    assert said == f"after\n{before}"
    # Storage takes note: nothing happens to the guest, and the old file is free.
    await change(world, "elsewhere", filled=True)
    await world.change(key, disks=(*root, replace(elsewhere, volume="data", serial="data")))
    await world.until(lambda: world.holds(key, "Realised"))
    assert used(world, key) == elsewhere.disk
    subprocess.run(["qemu-img", "info", str(world.disks / "data.qcow2")], check=True, capture_output=True, timeout=30)


def used(world: World, key: Key) -> str:
    """The Disk that the guest's second device is."""
    return next((each.disk for each in world.status(key).disks if each.volume in ("data", "elsewhere")), "")
