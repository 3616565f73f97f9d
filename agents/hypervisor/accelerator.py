"""Whether guests run on KVM or under software emulation: KVM is taken once a guest proved that it works.

There are machines whose /dev/kvm is there and hangs its guests. So a tiny guest, one boot sector of two dozen bytes,
has to count to fifty million and say so on its serial port before the time is up. A KVM that works needs a third of a
second for that; the answer is kept until the host boots again.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import structlog

log = structlog.get_logger()

PROOF_TIMEOUT = 2.0
"""Seconds from the start of the guest to its word."""
LOOK = 0.05
PREFIX = "cloudstack-probe-"
"""How the domains of proofs are named; they are transient and nobody's guests."""

# 16-bit code: mov ecx, 50000000; dec ecx; jnz; then write "K" to the first serial port and halt.
SECTOR = (
    bytes.fromhex("66b980f0fa02 6649 75fc ba f803 b04b ee fa f4 ebfd".replace(" ", "")).ljust(510, b"\0") + b"\x55\xaa"
)


def choose(connection: Any, wanted: str, run_dir: Path, scratch: Path) -> str:
    """`kvm` or `qemu`, as wanted, or as the host proved when that is `auto`. Blocks for the proof's time at most."""
    if wanted != "auto":
        return wanted
    kept = run_dir / "accelerator"
    with contextlib.suppress(OSError):
        if (text := kept.read_text().strip()) in ("kvm", "qemu"):
            return text
    chosen = "kvm" if _offered(connection) and _proved(connection, scratch) else "qemu"
    log.info("accelerator_chosen", accelerator=chosen)
    with contextlib.suppress(OSError):
        if run_dir.is_dir():
            kept.write_text(f"{chosen}\n")
    return chosen


def _offered(connection: Any) -> bool:
    tree = ET.fromstring(connection.getCapabilities())  # noqa: S314 - libvirtd's own words
    return any(domain.get("type") == "kvm" for domain in tree.iter("domain"))


def _proved(connection: Any, scratch: Path) -> bool:
    name = PREFIX + uuid.uuid4().hex[:8]
    scratch.mkdir(parents=True, exist_ok=True)
    disk, said = scratch / f"{name}.img", scratch / f"{name}.log"
    disk.write_bytes(SECTOR)
    disk.chmod(0o644)  # QEMU may run as another user, and there is nothing to hide
    guest = None
    try:
        started = time.monotonic()
        guest = connection.createXML(_guest(name, disk, said), libvirt.VIR_DOMAIN_START_AUTODESTROY)
        while time.monotonic() - started < PROOF_TIMEOUT:
            with contextlib.suppress(OSError):
                if b"K" in said.read_bytes():
                    return True
            time.sleep(LOOK)  # in libvirt's thread; a serial port makes no events
        log.warning("kvm_does_not_work", why=f"a guest of one boot sector said nothing within {PROOF_TIMEOUT} s")
    except libvirt.libvirtError as error:
        log.warning("kvm_does_not_work", why=error.get_error_message())
    finally:
        if guest is not None:
            with contextlib.suppress(libvirt.libvirtError):
                guest.destroy()
        disk.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            said.unlink(missing_ok=True)
    return False


def _guest(name: str, disk: Path, said: Path) -> str:
    root = ET.Element("domain", type="kvm")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "memory", unit="MiB").text = "16"
    ET.SubElement(root, "vcpu").text = "1"
    system = ET.SubElement(root, "os")
    ET.SubElement(system, "type", arch="x86_64", machine="pc").text = "hvm"
    devices = ET.SubElement(root, "devices")
    drive = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(drive, "driver", name="qemu", type="raw")
    ET.SubElement(drive, "source", file=str(disk))
    ET.SubElement(drive, "target", dev="hda", bus="ide")
    ET.SubElement(ET.SubElement(devices, "serial", type="file"), "source", path=str(said))
    ET.SubElement(devices, "controller", type="usb", model="none")
    return ET.tostring(root, encoding="unicode")
