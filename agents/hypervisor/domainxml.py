"""Libvirt's XML: a domain from its typed fields, and the record that is kept in its metadata.

Built as a tree, never from text, so that nothing a tenant names can become an element of a domain.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from agents.hypervisor.driver import (
    Attached,
    DiskDevice,
    DomainSpec,
    HypervisorError,
    NicDevice,
    Record,
    medium,
)

METADATA = "https://cloudstack.dev/xmlns/instance/1"
"""XML namespace of the record."""
PREFIX = "cloudstack"
MIB = 1024 * 1024
TB_CACHE = 32
"""MiB for translated code, per guest under software emulation; QEMU's default is a gibibyte."""
TB_CACHE_TO_GROW = 256
"""The same for a guest that may be given processors. Each takes a region of it, and where none is left, QEMU 7.2 ends
(`tcg_region_initial_alloc__locked: assertion failed`). A boot leaves few of 32 MiB; what is unused costs no memory."""
PERIOD = 100_000
"""Microseconds over which a limit of processor time is held."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
DRIVE = "sdb"
"""The CD drive for media that come and go; `sda` is the NoCloud disk."""

ET.register_namespace(PREFIX, METADATA)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a host's hypervisor can do, which the XML has to suit."""

    accelerator: str = "qemu"
    """`kvm`, or `qemu` for software emulation."""
    shares: bool = True
    """Whether libvirt may weigh guests against each other (it has the cpu cgroup)."""


def domain(spec: DomainSpec, machine: Machine) -> str:
    """The XML of a domain."""
    root = ET.Element("domain", type=machine.accelerator)
    _text(root, "name", spec.name)
    _text(root, "uuid", spec.uuid)
    ET.SubElement(root, "metadata").append(record_element(spec.record))
    _text(root, "memory", str(-(-spec.memory // MIB)), unit="MiB")
    most = max(spec.cpus, spec.max_cpus)
    _text(root, "vcpu", str(most), **({"current": str(spec.cpus)} if most > spec.cpus else {}))
    if machine.shares:
        tune = ET.SubElement(root, "cputune")
        _text(tune, "shares", str(max(2, spec.cpu_weight)))
        if spec.cpu_limit:
            _text(tune, "global_period", str(PERIOD))
            _text(tune, "global_quota", str(spec.cpu_limit * PERIOD // 100))
    os = ET.SubElement(root, "os")
    _text(os, "type", "hvm", arch="x86_64", machine="pc")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if machine.accelerator == "kvm":
        ET.SubElement(root, "cpu", mode="host-model")
    else:
        cache = TB_CACHE_TO_GROW if most > spec.cpus else TB_CACHE
        _text(ET.SubElement(features, "tcg"), "tb-cache", str(cache), unit="MiB")
        ET.SubElement(root, "cpu", mode="maximum")
    ET.SubElement(root, "clock", offset="utc")
    # The agent decides what follows an end: libvirt must start nothing by itself.
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "restart")
    _text(root, "on_crash", "destroy")
    _devices(ET.SubElement(root, "devices"), spec)
    return ET.tostring(root, encoding="unicode")


def _devices(devices: ET.Element, spec: DomainSpec) -> None:
    first, second = ("2", "1") if spec.boots_cdrom else ("1", "2")
    for number, disk in enumerate(each for each in spec.disks if not each.cdrom):
        element = _disk(devices, disk, f"vd{LETTERS[number]}")
        if number == 0:
            ET.SubElement(element, "boot", order=first)
    ET.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
    drive = _drive(devices, next((disk for disk in spec.disks if disk.cdrom), None))
    ET.SubElement(drive, "boot", order=second)
    if spec.seed:
        cdrom = ET.SubElement(devices, "disk", type="file", device="cdrom")
        ET.SubElement(cdrom, "driver", name="qemu", type="raw")
        ET.SubElement(cdrom, "source", file=spec.seed)
        ET.SubElement(cdrom, "target", dev="sda", bus="scsi")
        ET.SubElement(cdrom, "readonly")
    for nic in spec.nics:
        _nic(devices, nic)
    if spec.console:
        # A terminal for whoever opens the console; QEMU writes the log beside it, whether or not somebody does.
        serial = ET.SubElement(devices, "serial", type="pty")
        # Appending is what lets the agent cut a log that grew too long while the guest goes on writing it.
        ET.SubElement(serial, "log", file=spec.console, append="on")
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    # A screen without a port: only who is let in through libvirt's socket sees it.
    graphics = ET.SubElement(devices, "graphics", type="vnc")
    ET.SubElement(graphics, "listen", type="none")
    ET.SubElement(ET.SubElement(devices, "video"), "model", type="vga", vram="16384")
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "memballoon", model="virtio")
    ET.SubElement(devices, "panic", model="isa")


def _drive(devices: ET.Element, disk: DiskDevice | None) -> ET.Element:
    """The CD drive, which every domain has, for media come and go while a drive cannot."""
    element = ET.SubElement(devices, "disk", type="file", device="cdrom")
    ET.SubElement(element, "driver", name="qemu", type=disk.format if disk is not None else "raw")
    if disk is not None:
        ET.SubElement(element, "source", file=disk.path)
    ET.SubElement(element, "target", dev=DRIVE, bus="scsi")
    ET.SubElement(element, "readonly")
    return element


def _disk(devices: ET.Element, disk: DiskDevice, target: str) -> ET.Element:
    element = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(element, "driver", name="qemu", type=disk.format, cache="none", discard="unmap")
    ET.SubElement(element, "source", file=disk.path)
    ET.SubElement(element, "target", dev=target, bus="virtio")
    if disk.iops or disk.throughput:
        tune = ET.SubElement(element, "iotune")
        for name, value in limits(disk).items():
            _text(tune, name, str(value))
    _text(element, "serial", disk.serial)
    return element


def limits(disk: DiskDevice) -> dict[str, int]:
    """A disk's limits as libvirt names them; 0 is none."""
    return {"total_bytes_sec": disk.throughput, "total_iops_sec": disk.iops}


def disk_text(disk: DiskDevice, taken: Iterable[str]) -> str:
    """A disk to be plugged into a guest, as the first device that is not taken."""
    there = set(taken)
    target = next(f"vd{letter}" for letter in LETTERS if f"vd{letter}" not in there)
    root = ET.Element("devices")
    _disk(root, disk, target)
    return ET.tostring(root[0], encoding="unicode")


def drive_text(disk: DiskDevice | None) -> str:
    """The CD drive with a medium, or empty."""
    return ET.tostring(_drive(ET.Element("devices"), disk), encoding="unicode")


def has_drive(text: str) -> bool:
    """Whether a guest has the CD drive; one that was started by an earlier release has not."""
    return _root(text).find(f"devices/disk/target[@dev='{DRIVE}']") is not None


def attached(text: str) -> tuple[Attached, ...]:
    """The disks in a guest's XML, and the medium in its CD drive, without their sizes."""
    return tuple(_attached(element) for element in _root(text).iterfind("devices/disk") if _counts(element))


def _counts(element: ET.Element) -> bool:
    """Whether it is a disk, or a medium in the drive that is for them."""
    target, source = element.find("target"), element.find("source")
    inserted = source is not None and bool(source.get("file"))
    return element.get("device") == "disk" or (inserted and target is not None and target.get("dev") == DRIVE)


def _attached(element: ET.Element) -> Attached:
    source, driver, target = (element.find(name) for name in ("source", "driver", "target"))
    path, cdrom = source.get("file", "") if source is not None else "", element.get("device") == "cdrom"
    mirror, copy = element.find("mirror"), element.find("mirror/source")
    return Attached(
        target=target.get("dev", "") if target is not None else "",
        device=DiskDevice(
            path=path,
            serial=medium(path) if cdrom else element.findtext("serial", ""),
            format=driver.get("type", "") if driver is not None else "",
            iops=int(element.findtext("iotune/total_iops_sec", "0")),
            throughput=int(element.findtext("iotune/total_bytes_sec", "0")),
            cdrom=cdrom,
        ),
        mirror=copy.get("file", "") if copy is not None else "",
        mirrored=mirror is not None and mirror.get("ready") == "yes",
    )


def mirror_text(disk: DiskDevice) -> str:
    """The file that a disk is to be copied to, as virDomainBlockCopy takes it."""
    element = ET.Element("disk", type="file")
    ET.SubElement(element, "driver", name="qemu", type=disk.format)
    ET.SubElement(element, "source", file=disk.path)
    return ET.tostring(element, encoding="unicode")


def resumed(text: str, spec: DomainSpec) -> str:
    """The XML that a guest's memory was kept with, with the record of the present start.

    Its devices are those that the guest knows. What is behind them is where it is now: a disk is known by its serial
    number and a NIC by its mac. Raises HypervisorError where the guest had others than it is to have."""
    root = ET.fromstring(text)  # noqa: S314 - libvirt's own
    metadata = root.find("metadata")
    if metadata is None:
        metadata = ET.SubElement(root, "metadata")
    for old in metadata.findall(f"{{{METADATA}}}instance"):
        metadata.remove(old)
    metadata.append(record_element(spec.record))
    disks = {disk.serial: disk.path for disk in spec.disks if not disk.cdrom}
    nics = {nic.mac: nic for nic in spec.nics}
    had = {element.findtext("serial", ""): element for element in root.iterfind("devices/disk[@device='disk']")}
    plugged = {mac.get("address", ""): mac for mac in root.iterfind("devices/interface/mac")}
    if had.keys() != disks.keys() or plugged.keys() != nics.keys():
        raise HypervisorError("the guest had other disks or NICs when its memory was kept")
    for serial, element in had.items():
        source = element.find("source")
        if source is not None:
            source.set("file", disks[serial])
    for element in root.iterfind("devices/interface"):
        _rewire(element, nics)
    return ET.tostring(root, encoding="unicode")


def _rewire(element: ET.Element, nics: Mapping[str, NicDevice]) -> None:
    mac, source, target = element.find("mac"), element.find("source"), element.find("target")
    if mac is not None and source is not None and target is not None:
        nic = nics[mac.get("address", "")]
        source.set("bridge", nic.bridge)
        target.set("dev", nic.tap)


def _nic(devices: ET.Element, nic: NicDevice) -> None:
    element = ET.SubElement(devices, "interface", type="bridge")
    ET.SubElement(element, "mac", address=nic.mac)
    ET.SubElement(element, "source", bridge=nic.bridge)
    ET.SubElement(element, "target", dev=nic.tap)
    ET.SubElement(element, "model", type="virtio")
    ET.SubElement(element, "mtu", size=str(nic.mtu))
    ET.SubElement(element, "rom", enabled="no")


def nic_text(nic: NicDevice) -> str:
    """A NIC to be plugged into a guest."""
    root = ET.Element("devices")
    _nic(root, nic)
    return ET.tostring(root[0], encoding="unicode")


def nics(text: str) -> tuple[NicDevice, ...]:
    """The NICs in a guest's XML."""
    return tuple(_nic_seen(element) for element in _root(text).iterfind("devices/interface"))


def _nic_seen(element: ET.Element) -> NicDevice:
    def said(tag: str, attribute: str) -> str:
        found = element.find(tag)
        return found.get(attribute, "") if found is not None else ""

    return NicDevice(
        said("source", "bridge"), said("target", "dev"), said("mac", "address"), int(said("mtu", "size") or 0)
    )


def nic_alias(text: str, tap: str) -> str:
    """By what libvirt knows a guest's NIC; empty when the guest has none of that tap."""
    for element in _root(text).iterfind("devices/interface"):
        target, alias = element.find("target"), element.find("alias")
        if target is not None and target.get("dev") == tap and alias is not None:
            return alias.get("name", "")
    return ""


def _root(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - libvirt's own


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def record_element(record: Record) -> ET.Element:
    """A record as an element of a domain's metadata."""
    return ET.Element(
        f"{{{METADATA}}}instance",
        {
            "uid": record.instance,
            "start": str(record.start),
            "reboot": str(record.reboot),
            "boot": record.boot,
            "started-at": record.started_at,
            "reset": str(record.reset),
            "cpus": str(record.cpus),
            "memory": str(record.memory),
            "paused": "yes" if record.paused else "",
            "held": "yes" if record.held else "",
            "moved": json.dumps(record.moved) if record.moved else "",
        },
    )


def record_text(record: Record) -> str:
    """A record as libvirt's setMetadata takes it."""
    element = record_element(record)
    element.tag = "instance"
    return ET.tostring(element, encoding="unicode")


def parse_record(text: str) -> Record | None:
    """Read what libvirt gives back; None for what this release does not understand."""
    try:
        element = ET.fromstring(text)  # noqa: S314 - written by this agent, kept by libvirtd
        return Record(
            element.attrib["uid"],
            int(element.attrib["start"]),
            int(element.attrib["reboot"]),
            element.attrib["boot"],
            element.attrib.get("started-at", ""),
            int(element.attrib.get("reset", "0")),
            int(element.attrib.get("cpus", "0")),
            int(element.attrib.get("memory", "0")),
            bool(element.attrib.get("paused", "")),
            bool(element.attrib.get("held", "")),
            tuple((serial, path) for serial, path in json.loads(element.attrib.get("moved") or "[]")),
        )
    except (ET.ParseError, KeyError, ValueError):
        return None
