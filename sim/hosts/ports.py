"""Puts the simulated hosts under the agents' own code, at the narrow places where that meets a real host.

Everything above those places runs unchanged. Which host is meant follows from the process that asks.
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
from typing import Any

from agents.hypervisor import handlers as hypervisor_handlers
from agents.hypervisor.handlers import Agent
from agents.hypervisor.settings import Settings as HypervisorSettings
from agents.network import links as network_links
from agents.network import namespaces, tools, wakeups
from agents.network.ports import observe as port_observe
from agents.network.rates import observe as rate_observe
from agents.network.report import controller as report_controller
from agents.network.routers import act as router_act
from agents.network.routers import controller as router_controller
from agents.network.routers import dnsmasq
from agents.network.routers import observe as router_observe
from agents.network.segments import controller as segment_controller
from agents.network.segments import observe as segment_observe
from agents.storage import folders, formats, locks, marks, places, qcow2, qemuimg, stores
from agents.storage.backups import layout, transfer
from agents.storage.directories import chains, contents, copying, disks, exporting, pool, taking
from agents.storage.directories import snapshots as disk_snapshots
from agents.storage.failure import Failed
from agents.storage.fetching import download, imports, inspection
from agents.storage.qemuimg import QemuImgError
from operators.contract.reasons import Reason
from operators.kernel.manager import Context
from sim.hosts import network, vault
from sim.hosts.filesystem import MARK, MARK_AT, SPARSE, Os, marked, moment_of
from sim.hosts.hypervisor import Driver, Files
from sim.loop import ACTOR

IMAGE_SIZE = 64 << 20
SOURCES: dict[str, str] = {}
"""What each url serves: `good`, `broken` (nobody answers), `evil` (it has a backing file), `cd` (no disk)."""


def install() -> None:
    """Once per Python process; the simulated world is found by the running actor, so that many runs can follow."""
    hypervisor_handlers.agent_of = _agent_of
    os_ = Os()
    for module in (
        chains, contents, copying, exporting, folders, formats, marks, places, qcow2, disks, disk_snapshots,
        download, inspection, pool, taking,
    ):  # fmt: skip
        module.os = os_  # type: ignore[attr-defined]
    for holder in (layout, transfer):
        setattr(holder, "PIECE", vault.PIECE)  # noqa: B010
    setattr(stores, "obstore", vault)  # noqa: B010
    setattr(stores.Stores, "_s3", _store)  # noqa: B010
    for name in ("create", "resize", "info", "convert", "copy", "compare", "extents"):
        setattr(qemuimg.QemuImg, name, globals()[f"_{name}"])
    locks.written = _locked
    for holder in (locks, disk_snapshots):
        setattr(holder, "keep_writers_out", _keep_writers_out)  # noqa: B010
    setattr(imports, "Download", Download)  # noqa: B010 - not exported for others than tests and us
    for name in ("ip", "ip_json", "fdb", "fdb_json", "nft", "nft_table", "tc", "tc_json"):
        setattr(tools, name, getattr(network, name))
    for holder in (network_links, segment_observe, router_observe, report_controller):
        holder.links = network.links  # type: ignore[attr-defined]
    for name in ("exists", "names", "within"):
        for holder in (namespaces, router_observe, router_act):
            if hasattr(holder, name):
                setattr(holder, name, getattr(network, name))
    for holder in (namespaces, router_observe):
        holder.leftover = lambda name: False  # type: ignore[attr-defined]
    for holder in (router_observe, router_act):
        holder.FORWARDING = network.FORWARDING  # type: ignore[attr-defined]
    router_observe.observe = network.observe
    for holder in (router_observe, port_observe, rate_observe):
        holder.socket = network.Interfaces  # type: ignore[attr-defined]
    router_act.announce = lambda action: None
    for name in ("running", "read", "write", "start", "stop", "reload", "clear"):
        setattr(dnsmasq, name, getattr(network, name))
    setattr(router_controller, "running", network.running)  # noqa: B010
    setattr(router_controller, "Exits", network.Exits)  # noqa: B010
    setattr(segment_controller, "Services", network.Services)  # noqa: B010
    wakeups.devices = network.devices
    wakeups.rules = network.rules  # type: ignore[attr-defined,unused-ignore]


def _agent_of(context: Context, settings: HypervisorSettings) -> Agent:
    host = ACTOR.get().host  # type: ignore[attr-defined]
    return Agent(context, settings, Driver(host), Files(host))


def _host() -> Any:
    return ACTOR.get().host  # type: ignore[attr-defined]


# qemu-img.


def header(size: int, backing: str = "") -> bytes:
    """A qcow2 file as short as its header."""
    name = backing.encode()
    fixed = struct.pack(">4sIQIIQI", b"QFI\xfb", 3, 104 if name else 0, len(name), 16, size, 0)
    return fixed.ljust(104, b"\0") + name


async def _tool(at_most: float = 0.05) -> None:
    host = _host()
    host.begun()
    await asyncio.sleep(host.rng.uniform(0.005, at_most))
    if host.chance(host.faults.qemu_img_fails):
        raise QemuImgError("qemu-img: simulated: it failed")
    if host.files.full:
        raise QemuImgError("qemu-img: No space left on device")


def _locked(fd: int) -> bool:
    host = _host()
    node = host.files.node(fd)
    return any(host.files.find(disk.path) is node for spec in host.machine.running.values() for disk in spec.disks)


def _keep_writers_out(fd: int) -> None:
    if _locked(fd):
        raise locks.InUse
    _host().files.guard(fd)


async def _create(self: Any, fd: int, size: int, backing: str = "", layout: Any = None) -> None:
    await _tool()
    node = _host().files.node(fd)
    node.data, node.size = header(size, backing), min(size, SPARSE)


async def _resize(self: Any, fd: int, size: int, layout: Any = None) -> None:
    await _tool()
    if _locked(fd):
        raise QemuImgError('qemu-img resize: Failed to get "write" lock')
    node = _host().files.node(fd)
    node.data = node.data[:24] + struct.pack(">Q", size) + node.data[32:]


async def _info(self: Any, fd: int, form: str, limits: Any) -> dict[str, Any]:
    await _tool()
    data = _host().files.node(fd).data
    return {"format": form, "virtual-size": struct.unpack_from(">Q", data, 24)[0]}


async def _convert(self: Any, source: int, target: int, limits: Any, form: str = "raw") -> None:
    await _tool(1.0)
    files = _host().files
    raw, node = files.node(source), files.node(target)
    made = header(max(raw.size, IMAGE_SIZE))
    node.data = marked(made, moment) if (moment := moment_of(raw.data)) else made
    node.copied = _host().loop.now


async def _extents(self: Any, fd: int) -> list[qemuimg.Extent]:
    """What is kept of a disk is at its beginning; the rest reads as zeros."""
    await _tool()
    size = struct.unpack_from(">Q", _host().files.node(fd).data, 24)[0]
    start = MARK_AT // 2  # a header of its own is none of a disk's data
    known = MARK_AT + MARK.size
    data = qemuimg.Extent(start, known - start, True, start)
    return [qemuimg.Extent(0, start, False, -1), data, qemuimg.Extent(known, size - known, False, -1)]


def _store(self: Any, name: str, spec: Any) -> stores.Store:
    return stores.Store(name, _host().vault, local=False)


async def _copy(self: Any, layers: Any, target: int, form: str = "qcow2", layout: Any = None) -> None:
    await _tool(1.0)
    if _locked(layers[0]):
        raise QemuImgError('qemu-img convert: Failed to get shared "write" lock')
    files = _host().files
    made = files.flattened(files.node(layers[0]), _host().loop.now)
    node = files.node(target)
    node.data, node.size, node.copied = made.data, made.size, made.copied


async def _compare(self: Any, layers: Any, copy: int, form: str = "qcow2") -> None:
    """Only headers are kept here, and they say nothing of what a disk holds."""
    await _tool(0.5)


# Images.


def image(url: str) -> bytes:
    """What a url serves."""
    if SOURCES.get(url) == "cd":
        return bytes(inspection.ISO_AT[0]) + b"CD001"
    return header(IMAGE_SIZE, "../../etc/shadow" if SOURCES.get(url) == "evil" else "") + url.encode()


def checksum(url: str) -> str:
    """Its checksum."""
    return hashlib.sha256(image(url)).hexdigest()


class Download:
    """Stands in for the storage agent's download: the bytes come from nowhere, slowly, and sometimes not at all."""

    def __init__(self, wanted: Any, fd: int, sources: Any, told: Any) -> None:
        self._wanted, self._fd, self._told = wanted, fd, told

    async def run(self) -> str:
        """Fetch it, in a few pieces; its checksum."""
        host = _host()
        for percent in (10, 40, 80):
            await asyncio.sleep(host.rng.uniform(0.05, 1.0))
            if SOURCES.get(self._wanted.url) == "broken" or host.chance(host.faults.download_fails):
                raise Failed(Reason.SOURCE_UNREACHABLE, f"{self._wanted.url} cannot be read")
            self._told(percent)
        data = image(self._wanted.url)
        host.files.pwrite(self._fd, data, 0)
        came = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self._wanted.checksum not in ("", came):
            host.files.ftruncate(self._fd, 0)
            raise Failed(Reason.CHECKSUM_MISMATCH, "the source served another file")
        return came
