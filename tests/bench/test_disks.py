"""What a disk costs beside raw libvirt and qemu-img: attached, detached, grown, cloned, taken a snapshot of. The agents alone, without a cluster.

The time of ours is from the change of the object in the API server to the status that says it is done. Nothing here
fails by the clock; the tables are printed, and copied into docs/benchmarks.md by whoever ran them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

libvirt = pytest.importorskip("libvirt")

from agents.hypervisor import backups, domainxml  # noqa: E402
from agents.hypervisor.driver import DiskDevice  # noqa: E402
from operators.contract.quantity import Quantity  # noqa: E402
from operators.contract.storage import DISK, IMAGE_COPY  # noqa: E402
from tests.host.hypervisor.conftest import MIB, World, host, world  # noqa: E402
from tests.host.hypervisor.test_hotplug import change, disks, volume  # noqa: E402
from tests.host.hypervisor.test_snapshots import Both, both  # noqa: E402
from tests.host.storage.harness import agent, image, source  # noqa: E402
from tests.support.measure import percentile, table  # noqa: E402

__all__ = ["both", "host", "world"]
RUNS = int(os.environ.get("BENCH_RUNS", "8"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def rows(raw: dict[str, list[float]], ours: dict[str, list[float]]) -> list[list[Any]]:
    """A line for each operation: medians, and their ratio."""
    out: list[list[Any]] = [["", "raw, s", "ours, s", "ratio"]]
    for name in raw:
        once, through = percentile(raw[name], 0.5), percentile(ours[name], 0.5)
        out.append([name, once, through, through / once])
    return out


async def until(holds: Callable[[], object]) -> None:
    while not holds():
        await asyncio.sleep(0.002)


async def test_attach_detach_grow_beside_raw_libvirt(world: World) -> None:
    key = await world.instance()
    await world.booted(key)
    root = world.read(key).spec.disks  # type: ignore[union-attr]
    connection = libvirt.open(world.host.libvirt_uri)
    domain = connection.lookupByUUIDString(world.uuid(key))
    raw: dict[str, list[float]] = {"attach": [], "grow": [], "detach": []}
    ours: dict[str, list[float]] = {"attach": [], "grow": [], "detach": []}

    def there() -> bool:
        return len(domainxml.attached(domain.XMLDesc())) > 1

    for number in range(RUNS + 1):
        path = world.disks / f"raw{number}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "32M"], check=True, timeout=30)
        text = domainxml.disk_text(DiskDevice(str(path), "raw"), ["vda"])
        await world.kill_agent()  # which would have the stranger go
        marks = [time.perf_counter()]
        await asyncio.to_thread(domain.attachDeviceFlags, text, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        marks.append(time.perf_counter())
        await asyncio.to_thread(domain.blockResize, "vdb", 64 * MIB, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        marks.append(time.perf_counter())
        await asyncio.to_thread(domain.detachDeviceFlags, text, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        await until(lambda: not there())
        marks.append(time.perf_counter())
        await world.start_agent()
        await world.until(lambda: world.holds(key, "Realised"))
        data = await volume(world, f"data{number}")
        said = [time.perf_counter()]
        await world.change(key, disks=(*root, data))
        await until(lambda name=data.volume: name in disks(world, key))  # type: ignore[misc]
        said.append(time.perf_counter())
        await change(world, data.volume, size=Quantity(64 * MIB))
        await until(lambda name=data.volume: disks(world, key)[name] == "64Mi")  # type: ignore[misc]
        said.append(time.perf_counter())
        await world.change(key, disks=root)
        await until(lambda name=data.volume: name not in disks(world, key))  # type: ignore[misc]
        said.append(time.perf_counter())
        if number:  # the first of everything is a warm-up
            for at, name in enumerate(raw):
                raw[name].append(marks[at + 1] - marks[at])
                ours[name].append(said[at + 1] - said[at])
    connection.close()
    table(f"Disks of a running guest beside raw libvirt, {RUNS} runs", rows(raw, ours))
    assert all(ours.values())


async def test_snapshots_beside_raw_libvirt(both: Both, tmp_path: Path) -> None:
    """Nobody is asked to hold still: a guest's answer would be measured with it."""
    key = await both.guest("vm1", copy="tiny")
    running, alone = "snapshot under a guest", "snapshot of a disk of no guest"
    raw: dict[str, list[float]] = {running: [], alone: []}
    ours: dict[str, list[float]] = {running: [], alone: []}
    connection = libvirt.open(both.world.host.libvirt_uri)
    uuid, used, spare = both.world.uuid(key), both.disk("vm1"), await both.storage.disk("spare", "96Mi", copy="tiny")
    await both.storage.verdict(DISK, "spare", "AsSpecified")

    async def taken(name: str, disk: Any) -> float:
        began = time.perf_counter()
        snapshot = await both.storage.snapshot(disk, name, quiesce="Never")
        await both.taken(name)
        ended = time.perf_counter()
        await both.storage.gone(snapshot)
        return ended - began

    async def under_a_guest(target: Path) -> float:
        began = time.perf_counter()
        await asyncio.to_thread(backups.begin, connection, uuid, {str(both.storage.pool / used.spec.path): str(target)})
        while await asyncio.to_thread(backups.running, connection, uuid) is not None:
            await asyncio.sleep(0.01)
        ended = time.perf_counter()
        target.unlink()
        return ended - began

    def of_no_guest(target: Path) -> float:
        began = time.perf_counter()
        command = ["qemu-img", "convert", "-O", "qcow2", str(both.storage.pool / spare.spec.path), str(target)]
        subprocess.run(command, check=True, timeout=60)
        ended = time.perf_counter()
        target.unlink()
        return ended - began

    for number in range(RUNS + 1):
        target = tmp_path / f"raw{number}.qcow2"
        found = await under_a_guest(target), await asyncio.to_thread(of_no_guest, target)
        own = await taken(f"used{number}", used), await taken(f"spare{number}", spare)
        if number:
            for at, name in enumerate(raw):
                raw[name].append(found[at])
                ours[name].append(own[at])
    connection.close()
    table(f"Snapshots beside raw libvirt and qemu-img, {RUNS} runs", rows(raw, ours))
    assert all(ours.values())


async def test_clones_beside_raw_qemu_img(tmp_path: Path) -> None:
    raw: dict[str, list[float]] = {"linked clone of an image": [], "full copy of a volume": []}
    ours: dict[str, list[float]] = {name: [] for name in raw}
    linked, full = raw
    async with agent(tmp_path / "pools") as storage, source(image(tmp_path, "64M")) as served:
        copy = await storage.copy(served.url, served.checksum)
        await storage.verdict(IMAGE_COPY, "tiny", "AsSpecified")
        base = storage.pool / copy.spec.path

        def run(*arguments: str) -> float:
            began = time.perf_counter()
            subprocess.run(["qemu-img", *arguments], check=True, timeout=60)
            return time.perf_counter() - began

        async def made(name: str, **spec: Any) -> float:
            began = time.perf_counter()
            await storage.disk(name, "64Mi", **spec)
            await storage.verdict(DISK, name, "AsSpecified")
            return time.perf_counter() - began

        first = await storage.disk("first", "64Mi", copy="tiny")
        await storage.verdict(DISK, "first", "AsSpecified")
        origin = storage.pool / first.spec.path
        for number in range(RUNS + 1):
            out = tmp_path / f"raw{number}.qcow2"
            once = run("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(out), "64M")
            through = await made(f"linked{number}", copy="tiny")
            whole = run("convert", "-O", "qcow2", str(origin), str(tmp_path / f"full{number}.qcow2"))
            copied = await made(f"full{number}", snapshot=first.spec.path)
            if number:
                raw[linked].append(once)
                ours[linked].append(through)
                raw[full].append(whole)
                ours[full].append(copied)
    table(f"Clones beside raw qemu-img, {RUNS} runs", rows(raw, ours))
    assert all(ours.values())
