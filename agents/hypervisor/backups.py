"""Copies of a running guest's disk by libvirt's backup job, and guests that hold still. Runs in threads.

A backup in push mode is of the moment when it begins, and leaves the chain of the disk's files as it was, so that
neither migration nor anybody who names the disk by its path needs to know of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from agents.hypervisor.domainxml import resumed
from agents.hypervisor.driver import Backup, DomainSpec, HypervisorError

AGENT_ANSWER = 10
"""Seconds that a guest's agent gets to answer."""
_NONE = frozenset({libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_BACKUP, libvirt.VIR_ERR_OPERATION_INVALID})


def running(connection: Any, uuid: str) -> Backup | None:
    """The copy that is being made."""
    try:
        text = connection.lookupByUUIDString(uuid).backupGetXMLDesc()
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NONE:
            return None
        raise
    targets = ET.fromstring(text).iterfind("disks/disk[@backup='yes']/target")  # noqa: S314 - libvirt's own
    return Backup(tuple(target.get("file", "") for target in targets))


def begin(connection: Any, uuid: str, copies: Mapping[str, str]) -> None:
    """Begin to copy disks, all as they are at one moment. Raises HypervisorError when the guest lacks one of them."""
    found = connection.lookupByUUIDString(uuid)
    names = _disks(found)
    if lacking := sorted(copies.keys() - names.keys()):
        raise HypervisorError(f"the guest has no disk {', '.join(lacking)}")
    found.backupBegin(_backup_xml(names, copies), None, 0)


def _disks(found: Any) -> dict[str, str]:
    """The names of a guest's disks by the path of each one's file."""
    tree = ET.fromstring(found.XMLDesc())  # noqa: S314 - libvirt's own
    out = {}
    for disk in tree.iterfind("devices/disk"):
        source, name = disk.find("source"), disk.find("target")
        if source is not None and name is not None:
            out[source.get("file", "")] = name.get("dev", "")
    return out


def _backup_xml(names: dict[str, str], copies: Mapping[str, str]) -> str:
    top = ET.Element("domainbackup", mode="push")
    disks = ET.SubElement(top, "disks")
    for path, name in names.items():
        if path not in copies:
            ET.SubElement(disks, "disk", name=name, backup="no")
            continue
        disk = ET.SubElement(disks, "disk", name=name, backup="yes", type="file")
        ET.SubElement(disk, "driver", type="qcow2")
        ET.SubElement(disk, "target", file=copies[path])
    return ET.tostring(top, encoding="unicode")


def save_memory(connection: Any, uuid: str, path: str) -> None:
    """Write the memory of a paused guest into a file; libvirt keeps nothing of it, and the guest stays as it is."""
    found = connection.lookupByUUIDString(uuid)
    top = ET.Element("domainsnapshot")
    ET.SubElement(top, "memory", snapshot="external", file=path)
    disks = ET.SubElement(top, "disks")
    for name in _targets(found):
        ET.SubElement(disks, "disk", name=name, snapshot="no")
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    found.snapshotCreateXML(ET.tostring(top, encoding="unicode"), flags)


def _targets(found: Any) -> list[str]:
    tree = ET.fromstring(found.XMLDesc())  # noqa: S314 - libvirt's own
    return [target.get("dev", "") for target in tree.iterfind("devices/disk/target")]


def restore(connection: Any, spec: DomainSpec, text: str, path: str) -> None:
    """Define a domain, and have it stand where the guest stood whose memory is in the file."""
    found = connection.defineXML(text)
    if found.isActive():
        return
    image = connection.saveImageGetXMLDesc(path, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
    connection.restoreFlags(path, resumed(image, spec), libvirt.VIR_DOMAIN_SAVE_PAUSED)


def failure(connection: Any, uuid: str) -> str | None:
    """Why the job that ended last failed."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    try:
        said = connection.lookupByUUIDString(uuid).jobStats(flags)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NONE:
            return None
        raise
    if said.get(libvirt.VIR_DOMAIN_JOB_OPERATION) != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        return None
    if said.get("type") == libvirt.VIR_DOMAIN_JOB_COMPLETED and said.get(libvirt.VIR_DOMAIN_JOB_SUCCESS, True):
        return ""
    return str(said.get(libvirt.VIR_DOMAIN_JOB_ERRMSG) or "it was broken off")


def end(connection: Any, uuid: str) -> None:
    """Break a copy off."""
    if running(connection, uuid) is None:
        return
    try:
        connection.lookupByUUIDString(uuid).abortJob()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _NONE:
            raise


def freeze(connection: Any, uuid: str) -> None:
    """Have the guest hold still."""
    found = connection.lookupByUUIDString(uuid)
    found.agentSetResponseTimeout(AGENT_ANSWER)
    found.fsFreeze()


def thaw(connection: Any, uuid: str) -> None:
    """Have the guest go on. One without an agent was never frozen."""
    try:
        connection.lookupByUUIDString(uuid).fsThaw()
    except libvirt.libvirtError as error:
        codes = (*_NONE, libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_CONFIG_UNSUPPORTED)
        if error.get_error_code() not in codes:
            raise
