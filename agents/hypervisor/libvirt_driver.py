"""The hypervisor port on libvirt and QEMU."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import structlog

from agents.hypervisor import accelerator, asking, backups, boot, consoles, domainxml, migrating
from agents.hypervisor.domainxml import METADATA, PREFIX, Machine
from agents.hypervisor.driver import (
    Attached,
    Backup,
    DiskDevice,
    Domain,
    DomainSpec,
    Facts,
    HypervisorError,
    Job,
    Listeners,
    Move,
    Moved,
    NicDevice,
    Record,
)
from agents.hypervisor.guestinfo import Sample
from agents.hypervisor.link import Link
from agents.hypervisor.migrating import Peers
from agents.hypervisor.settings import Settings
from operators.contract.compute import GuestInfo, Power
from operators.contract.consoles import ConsoleType

log = structlog.get_logger()

_POWER = {
    libvirt.VIR_DOMAIN_RUNNING: Power.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: Power.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: Power.RUNNING,  # on its way; STOPPED follows
    libvirt.VIR_DOMAIN_PAUSED: Power.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: Power.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: Power.STOPPED,
    libvirt.VIR_DOMAIN_CRASHED: Power.STOPPED,
}
_STOPPED = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: "Shutdown",
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: "Destroyed",
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: "Crashed",
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: "Crashed",
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: "Crashed",  # QEMU was gone when libvirtd came back
}
_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: "IOError",
    libvirt.VIR_DOMAIN_PAUSED_USER: "User",
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: "Crashed",
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION: "Migration",
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: "StartingUp",
}
_ASK = libvirt.VIR_DOMAIN_SHUTDOWN_DEFAULT  # the guest's agent if it is connected, else the power button
_INSIST = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN


class LibvirtHypervisor:
    """The libvirtd of one host."""

    def __init__(self, settings: Settings) -> None:
        self._link = Link(settings.libvirt_uri)
        self._accelerate = settings.accelerator
        self._run_dir = settings.run_dir
        self._scratch = settings.seed_dir
        self._peers = Peers(settings.migration_uri, settings.migration_tls)
        self._known: Machine | None = None
        self._finding_out = asyncio.Lock()

    async def run(self, listeners: Listeners) -> None:
        await self._link.run(listeners.changed, listeners.link)

    async def _machine(self) -> Machine:
        """What this host can do. Finding out may take two seconds, while guests that run are looked after already."""
        async with self._finding_out:
            if self._known is None:
                chosen = await self._link.call(accelerator.choose, self._accelerate, self._run_dir, self._scratch)
                self._known = Machine(chosen)
            return self._known

    async def boot(self) -> str:
        return boot.read(self._run_dir)

    async def facts(self) -> Facts:
        return await self._link.call(_facts, (await self._machine()).accelerator)

    async def domains(self) -> tuple[Domain, ...]:
        return await self._link.call(_domains)

    async def domain(self, uuid: str) -> Domain | None:
        return await self._link.call(_domain, uuid)

    async def define(self, spec: DomainSpec) -> None:
        xml = domainxml.domain(spec, await self._machine())
        await self._link.call(lambda connection: connection.defineXML(xml))

    async def start(self, uuid: str) -> None:
        try:
            await self._link.call(_start, uuid)
        except HypervisorError as error:
            machine = await self._machine()
            if not (machine.shares and any(word in str(error).lower() for word in ("cgroup", "cpu tuning"))):
                raise
            log.warning("no_cpu_shares", error=str(error))
            self._known = replace(machine, shares=False)
            await self._link.call(_without_shares, uuid)
            await self._link.call(_start, uuid)

    async def record(self, uuid: str, record: Record) -> None:
        await self._link.call(_record, uuid, record)

    async def shutdown(self, uuid: str, *, insist: bool) -> None:
        await self._link.call(_shutdown, uuid, _INSIST if insist else _ASK)

    async def destroy(self, uuid: str) -> None:
        await self._link.call(_destroy, uuid)

    async def suspend(self, uuid: str) -> None:
        await self._link.call(_suspend, uuid)

    async def resume(self, uuid: str) -> None:
        await self._link.call(lambda connection: connection.lookupByUUIDString(uuid).resume())

    async def resize(self, uuid: str, cpus: int, memory: int) -> None:
        await self._link.call(_resize, uuid, cpus, memory)

    async def guest(self, uuid: str) -> GuestInfo | None:
        return await self._link.ask(asking.guest, uuid)

    async def set_password(self, uuid: str, user: str, text: str) -> None:
        await self._link.ask(asking.set_password, uuid, user, text)

    async def console(self, uuid: str, type_: ConsoleType) -> socket.socket:
        return await self._link.call(consoles.open_console, uuid, type_)

    async def samples(self, at: float) -> Mapping[str, Sample]:
        return await self._link.call(asking.samples, at)

    async def tunes(self) -> bool:
        return (await self._machine()).shares

    async def migrate(self, uuid: str, move: Move) -> Moved:
        return await self._link.call_long(migrating.migrate, uuid, move, self._peers)

    async def moving(self, uuid: str) -> Job | None:
        return await self._link.call(migrating.moving, uuid)

    async def stay(self, uuid: str) -> None:
        await self._link.call(migrating.stay, uuid)

    async def drop_copy(self, uuid: str, address: str) -> None:
        await self._link.call_long(migrating.drop_copy, uuid, address, self._peers)

    async def undefine(self, uuid: str) -> None:
        await self._link.call(_undefine, uuid)

    async def attach(self, uuid: str, disk: DiskDevice) -> None:
        await self._link.call(_attach, uuid, disk)

    async def detach(self, uuid: str, target: str) -> None:
        await self._link.call(_detach, uuid, target)

    async def attach_nic(self, uuid: str, nic: NicDevice) -> None:
        await self._link.call(_attach_nic, uuid, nic)

    async def detach_nic(self, uuid: str, tap: str) -> None:
        await self._link.call(_detach_nic, uuid, tap)

    async def grow(self, uuid: str, target: str, size: int) -> None:
        flags = libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES
        await self._link.call(lambda connection: connection.lookupByUUIDString(uuid).blockResize(target, size, flags))

    async def mirror(self, uuid: str, target: str, disk: DiskDevice) -> None:
        await self._link.call(_mirror, uuid, target, disk)

    async def pivot(self, uuid: str, target: str) -> None:
        how = libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT
        await self._link.call(lambda connection: connection.lookupByUUIDString(uuid).blockJobAbort(target, how))

    async def unmirror(self, uuid: str, target: str) -> None:
        await self._link.call(_unmirror, uuid, target)

    async def throttle(self, uuid: str, target: str, disk: DiskDevice) -> None:
        limits, live = domainxml.limits(disk), libvirt.VIR_DOMAIN_AFFECT_LIVE
        await self._link.call(
            lambda connection: connection.lookupByUUIDString(uuid).setBlockIoTune(target, limits, live)
        )

    async def backup(self, uuid: str) -> Backup | None:
        return await self._link.call(backups.running, uuid)

    async def begin_backup(self, uuid: str, copies: Mapping[str, str]) -> None:
        await self._link.call(backups.begin, uuid, copies)

    async def backup_failure(self, uuid: str) -> str | None:
        return await self._link.call(backups.failure, uuid)

    async def end_backup(self, uuid: str) -> None:
        await self._link.call(backups.end, uuid)

    async def save_memory(self, uuid: str, path: str) -> None:
        await self._link.call_long(backups.save_memory, uuid, path)

    async def restore(self, spec: DomainSpec, path: str) -> None:
        text = domainxml.domain(spec, await self._machine())
        await self._link.call_long(backups.restore, spec, text, path)

    async def freeze(self, uuid: str) -> None:
        await self._link.call(backups.freeze, uuid)

    async def thaw(self, uuid: str) -> None:
        await self._link.call(backups.thaw, uuid)


# What follows runs in threads, each on one connection.


def _find(connection: Any, uuid: str) -> Any:
    try:
        return connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _domain(connection: Any, uuid: str) -> Domain | None:
    found = _find(connection, uuid)
    try:
        return None if found is None else _seen(found, with_record=True)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:  # undefined a moment ago
            return None
        raise


def _domains(connection: Any) -> tuple[Domain, ...]:
    return tuple(_seen(each, with_record=False) for each in connection.listAllDomains())


def _seen(found: Any, *, with_record: bool) -> Domain:
    state, reason = found.state()
    power = _POWER.get(state, Power.STOPPED)
    off = power is Power.STOPPED
    try:
        record = _read_record(found, off) if with_record else None
        xml = found.XMLDesc() if with_record and not off else ""
        disks, nics = (_disks(found, xml), domainxml.nics(xml)) if xml else ((), ())
    except libvirt.libvirtError as error:
        if off or error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise
        # The guest ended between the two questions. What is known of it must be of one moment: a guest that runs with
        # no record would pass for one whose start was cut off, and a reboot that is due for done.
        return _seen(found, with_record=with_record)
    return Domain(
        uuid=found.UUIDString(),
        name=found.name(),
        power=power,
        stop_reason=("Crashed" if state == libvirt.VIR_DOMAIN_CRASHED else _STOPPED.get(reason, "")) if off else "",
        pause_reason=_PAUSED.get(reason, "Unknown") if power is Power.PAUSED else "",
        record=record,
        disks=disks,
        nics=nics,
    )


def _disks(found: Any, xml: str) -> tuple[Attached, ...]:
    """The disks of a guest, each with the size that the guest sees."""
    return tuple(
        replace(each, device=replace(each.device, size=found.blockInfo(each.target)[0]))
        for each in domainxml.attached(xml)
    )


def _attach_nic(connection: Any, uuid: str, nic: NicDevice) -> None:
    found = connection.lookupByUUIDString(uuid)
    if all(each.tap != nic.tap for each in domainxml.nics(found.XMLDesc())):
        found.attachDeviceFlags(domainxml.nic_text(nic), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _detach_nic(connection: Any, uuid: str, tap: str) -> None:
    """Ask, and return at once, as `_detach` does."""
    found = connection.lookupByUUIDString(uuid)
    if alias := domainxml.nic_alias(found.XMLDesc(), tap):
        found.detachDeviceAlias(alias, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _attach(connection: Any, uuid: str, disk: DiskDevice) -> None:
    found = connection.lookupByUUIDString(uuid)
    there = domainxml.attached(found.XMLDesc())
    if disk.cdrom:
        _insert(found, disk)
    elif all(each.device.serial != disk.serial for each in there):
        text = domainxml.disk_text(disk, (each.target for each in there))
        found.attachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _insert(found: Any, disk: DiskDevice | None) -> None:
    """Put a medium into the CD drive in place of what is in there, or take that out, mounted or not."""
    if not domainxml.has_drive(found.XMLDesc()):
        raise HypervisorError("the guest has no CD drive yet: stop and start it once")
    how = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
    found.updateDeviceFlags(domainxml.drive_text(disk), how)


def _mirror(connection: Any, uuid: str, target: str, disk: DiskDevice) -> None:
    """Into the file that the storage agent has made. Once ready, a write is not done before it is in both."""
    found = connection.lookupByUUIDString(uuid)
    there = next((each for each in domainxml.attached(found.XMLDesc()) if each.target == target), None)
    if there is not None and not there.mirror:
        flags = (
            libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT
            | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
            | libvirt.VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES
        )
        found.blockCopy(target, domainxml.mirror_text(disk), flags=flags)


def _unmirror(connection: Any, uuid: str, target: str) -> None:
    found = connection.lookupByUUIDString(uuid)
    if any(each.target == target and each.mirror for each in domainxml.attached(found.XMLDesc())):
        found.blockJobAbort(target)


def _detach(connection: Any, uuid: str, target: str) -> None:
    """Ask, and return at once: `detachDeviceFlags` would hold a thread for the seconds that the guest takes."""
    found = connection.lookupByUUIDString(uuid)
    if target == domainxml.DRIVE:
        _insert(found, None)
        return
    for element in ET.fromstring(found.XMLDesc()).iterfind("devices/disk"):  # noqa: S314
        where, alias = element.find("target"), element.find("alias")
        if where is not None and where.get("dev") == target and alias is not None:
            found.detachDeviceAlias(alias.get("name"), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _read_record(found: Any, off: bool) -> Record | None:
    """The record of the definition that the running guest was started with, or of the one for the next start."""
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG if off else libvirt.VIR_DOMAIN_AFFECT_LIVE
    try:
        return domainxml.parse_record(found.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, METADATA, flags))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise


def _start(connection: Any, uuid: str) -> None:
    found = connection.lookupByUUIDString(uuid)
    try:
        found.create()
    except libvirt.libvirtError:
        if not found.isActive():
            raise


def _record(connection: Any, uuid: str, record: Record) -> None:
    found = connection.lookupByUUIDString(uuid)
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if found.isActive() else 0)
    text = domainxml.record_text(record)
    try:
        found.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, PREFIX, METADATA, flags)
    except libvirt.libvirtError:
        if found.isActive() or not flags & libvirt.VIR_DOMAIN_AFFECT_LIVE:
            raise
        config = libvirt.VIR_DOMAIN_AFFECT_CONFIG  # it ended meanwhile
        found.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, PREFIX, METADATA, config)


def _shutdown(connection: Any, uuid: str, how: int) -> None:
    found = _find(connection, uuid)
    try:
        if found is not None and found.isActive():
            found.shutdownFlags(how)
    except libvirt.libvirtError:
        if found.isActive():
            raise


def _destroy(connection: Any, uuid: str) -> None:
    found = _find(connection, uuid)
    try:
        if found is not None and found.isActive():
            found.destroy()
    except libvirt.libvirtError:
        if found.isActive():
            raise


def _suspend(connection: Any, uuid: str) -> None:
    found = _find(connection, uuid)
    try:
        if found is not None and found.isActive():
            found.suspend()
    except libvirt.libvirtError:
        if found.isActive() and _POWER.get(found.state()[0]) is not Power.PAUSED:
            raise


def _resize(connection: Any, uuid: str, cpus: int, memory: int) -> None:
    found = connection.lookupByUUIDString(uuid)
    _, _, has_memory, has_cpus, _ = found.info()
    if has_cpus != cpus:
        found.setVcpusFlags(cpus, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    if has_memory != memory // 1024:
        found.setMemoryFlags(memory // 1024, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _undefine(connection: Any, uuid: str) -> None:
    found = _find(connection, uuid)
    if found is not None:
        found.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        )


def _without_shares(connection: Any, uuid: str) -> None:
    """Take the shares out of a definition, on a host whose libvirtd has no cpu cgroup."""
    tree = ET.fromstring(connection.lookupByUUIDString(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))  # noqa: S314
    for tune in tree.findall("cputune"):
        tree.remove(tune)
    connection.defineXML(ET.tostring(tree, encoding="unicode"))


def _facts(connection: Any, chosen: str) -> Facts:
    info = connection.getInfo()
    host = ET.fromstring(connection.getCapabilities()).find("host/cpu/model")  # noqa: S314
    return Facts(
        cpus=info[2],
        memory=info[1] * 1024 * 1024,
        cpu_model=(host.text if host is not None else None) or str(info[0]),
        driver=chosen,
        libvirt=_version(connection.getLibVersion()),
        qemu=_version(connection.getVersion()),
    )


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
