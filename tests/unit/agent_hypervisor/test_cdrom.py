"""The CD drive in libvirt's XML, and what is decided about media."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from agents.hypervisor import domainxml
from agents.hypervisor.driver import DiskDevice, DomainSpec, Record, medium

ROOT = DiskDevice("/pools/local/volumes/a.qcow2", "root")
DATA = DiskDevice("/pools/local/volumes/b.raw", "data", "raw")
CD = DiskDevice("/pools/local/volumes/c.qcow2", medium("/pools/local/volumes/c.qcow2"), cdrom=True)


def text(*disks: DiskDevice, boots_cdrom: bool = False) -> str:
    record = Record("uid", 1, 0, "boot")
    spec = DomainSpec("u", "n", 1, 1 << 27, 100, record, disks=disks, boots_cdrom=boots_cdrom, seed="/seed.iso")
    return domainxml.domain(spec, domainxml.Machine())


def order(xml: str) -> dict[str, str]:
    found = {}
    for disk in ET.fromstring(xml).iterfind("devices/disk"):
        target, boot = disk.find("target"), disk.find("boot")
        if target is not None and boot is not None:
            found[boot.get("order", "")] = target.get("dev", "")
    return found


@pytest.mark.parametrize(("first", "wanted"), [(False, {"1": "vda", "2": "sdb"}), (True, {"1": "sdb", "2": "vda"})])
def test_order_of_booting(first: bool, wanted: dict[str, str]) -> None:
    assert order(text(ROOT, CD, DATA, boots_cdrom=first)) == wanted


def test_a_cd_takes_no_disks_letter_and_is_read_only() -> None:
    root = ET.fromstring(text(ROOT, CD, DATA))
    targets = [each.get("dev") for each in root.iterfind("devices/disk/target")]
    assert targets == ["vda", "vdb", "sdb", "sda"]
    drive = root.find("devices/disk/target[@dev='sdb']/..")
    assert drive is not None and drive.find("readonly") is not None and drive.get("device") == "cdrom"


def test_an_empty_drive_holds_nothing_and_the_seed_does_not_count() -> None:
    assert domainxml.has_drive(text(ROOT))
    assert [each.device.serial for each in domainxml.attached(text(ROOT))] == ["root"]
    assert [(each.target, each.device.serial, each.device.cdrom) for each in domainxml.attached(text(ROOT, CD))] == [
        ("vda", "root", False),
        ("sdb", "cd:c.qcow2", True),
    ]


def test_a_guest_of_an_earlier_release_has_no_drive() -> None:
    assert not domainxml.has_drive(
        "<domain><devices><disk device='cdrom'><target dev='sda'/></disk></devices></domain>"
    )
