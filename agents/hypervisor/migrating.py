"""How a guest moves from one libvirtd to another. Runs in threads, each on one connection.

libvirt alone may run a guest twice: where its answer to the source is lost after the target has let it go on, the
source lets it go on as well (libvirt's virDomainMigrateVersion3: "the lock manager plugins should take care of safety
in this scenario"). So the target keeps it paused (VIR_MIGRATE_PAUSED), libvirt at the source kills and forgets it, and
only when the source is seen to know nothing of it any more is it let go on at the target. See docs/adr/0017.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import structlog

from agents.hypervisor.driver import HypervisorError, Job, Move, Moved
from operators.contract.migrations import DiskCopy

log = structlog.get_logger()

FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_PAUSED
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    # libvirt judges by the type of file system whether disks are safe to share; here the type of their pool says it.
    | libvirt.VIR_MIGRATE_UNSAFE
)


_UNFINISHED = frozenset(
    (libvirt.VIR_DOMAIN_PAUSED, reason)
    for reason in (libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP)
)
"""State and reason of a guest of which not all is there."""


@dataclass(frozen=True, slots=True)
class Peers:
    """How other hosts' hypervisors are reached."""

    uri: str
    tls: bool

    def uri_of(self, address: str) -> str:
        """The URI of the libvirtd at an address."""
        return self.uri.replace("{address}", f"[{address}]" if ":" in address else address)


def migrate(connection: Any, uuid: str, move: Move, peers: Peers) -> Moved:
    """Move a guest; see the port."""
    found = connection.lookupByUUIDString(uuid)
    uri = peers.uri_of(move.address)
    try:
        peer = libvirt.open(uri)  # first of all: without it the guest could not be let go on there
    except libvirt.libvirtError as error:
        raise HypervisorError(f"the hypervisor of the other host cannot be reached at {uri}: {error}") from error
    try:
        began = time.monotonic()
        found.migrateToURI3(uri, _parameters(found, move), _flags(move, peers))
        if _knows(connection, uuid):
            raise HypervisorError("libvirt says that the guest has moved, but still knows it here")
        there = peer.lookupByUUIDString(uuid)
        _go_on(there)
        return _result(there, time.monotonic() - began)
    finally:
        peer.close()


def moving(connection: Any, uuid: str) -> Job | None:
    """A guest's move away from here."""
    try:
        stats = connection.lookupByUUIDString(uuid).jobStats()
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            return None  # nothing moves that has no power
        raise
    if stats.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
        return None
    return Job(stats.get("data_total", 0), stats.get("data_processed", 0))


def stay(connection: Any, uuid: str) -> None:
    """Give up a guest's move."""
    if moving(connection, uuid) is not None:
        try:
            connection.lookupByUUIDString(uuid).abortJob()
        except libvirt.libvirtError:
            if moving(connection, uuid) is not None:
                raise


def drop_copy(connection: Any, uuid: str, address: str, peers: Peers) -> None:
    """End what has come of a guest to the other host, while the guest is still here.

    A move that is given up waits for the other host, and that for a QEMU which may answer nobody (seen on a host under
    load). Without it the move fails at once. A copy that is whole is left alone: the guest may have left by now.
    """
    if not connection.lookupByUUIDString(uuid).isActive():
        return
    peer = libvirt.open(peers.uri_of(address))
    try:
        copy = peer.lookupByUUIDString(uuid)
        if tuple(copy.state()) in _UNFINISHED:
            copy.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
    finally:
        peer.close()


def _flags(move: Move, peers: Peers) -> int:
    copies = {disk.copy for disk in move.disks}
    flags: int = FLAGS | (libvirt.VIR_MIGRATE_TLS if peers.tls else 0)
    if DiskCopy.FULL in copies:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
    elif DiskCopy.INCREMENTAL in copies:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC
    return flags


def _parameters(found: Any, move: Move) -> dict[str, Any]:
    """What libvirt is told of the other host: where it listens, and the guest as it is to be there."""
    secure = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
    live = there(found.XMLDesc(secure), move)
    parameters: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_URI: f"tcp://{f'[{move.address}]' if ':' in move.address else move.address}",
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: live,
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: there(found.XMLDesc(secure | libvirt.VIR_DOMAIN_XML_INACTIVE), move),
    }
    copied = {disk.serial for disk in move.disks if disk.copy is not DiskCopy.NONE}
    if copied:
        parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = [
            target for serial, target in _targets(live).items() if serial in copied
        ]
    return parameters


def there(text: str, move: Move) -> str:
    """A domain's XML with its disks where they are on the other host."""
    tree = ET.fromstring(text)  # noqa: S314 - libvirt's own
    paths = {disk.serial: disk.path for disk in move.disks}
    for disk in tree.iterfind("devices/disk[serial]"):
        source, path = disk.find("source"), paths.get(disk.findtext("serial", ""))
        if source is not None and path:
            source.set("file", path)
        for chain in disk.findall("backingStore"):
            disk.remove(chain)  # of this host; the other one finds its own
    return ET.tostring(tree, encoding="unicode")


def _targets(text: str) -> dict[str, str]:
    """The device (`vda`) of each disk by its serial number."""
    disks = ET.fromstring(text).iterfind("devices/disk[serial]")  # noqa: S314 - libvirt's own
    return {
        disk.findtext("serial", ""): target.get("dev", "")
        for disk in disks
        if (target := disk.find("target")) is not None
    }


def _knows(connection: Any, uuid: str) -> bool:
    try:
        connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return True


def _go_on(guest: Any) -> None:
    """Let it go on at the target. If that fails, its agent there does, once Compute has committed the move."""
    try:
        guest.resume()
    except libvirt.libvirtError as error:
        log.warning("not_resumed_at_the_target", error=str(error))


def _result(guest: Any, took: float) -> Moved:
    """What libvirt measured until the guest was whole at the target; what passed since counts as standing still too."""
    try:
        stats = guest.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    except libvirt.libvirtError:
        return Moved(0, 0)
    since = int(took * 1000) - int(stats.get("time_elapsed", took * 1000))
    return Moved(int(stats.get("downtime", 0)) + max(0, since), int(stats.get("data_processed", 0)))
