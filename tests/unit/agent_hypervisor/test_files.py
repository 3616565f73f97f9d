"""What the agent leaves on a host: the NoCloud disk, console logs, the boot's mark; and the XML it hands to libvirt."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pycdlib
import pytest

from agents.hypervisor import boot, console, domainxml, seed
from agents.hypervisor.accelerator import SECTOR
from agents.hypervisor.domainxml import METADATA, Machine
from agents.hypervisor.driver import DiskDevice, DomainSpec, NicDevice, Record
from agents.hypervisor.settings import Settings
from operators.contract.instances import CloudInit

KEY = "ssh-ed25519 AAAA somebody@example"
TEXT = "#cloud-config\nruncmd: [true]\n"


def read(image: bytes, name: str) -> str:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    out = io.BytesIO()
    iso.get_file_from_iso_fp(out, joliet_path=f"/{name}")
    assert iso.pvd.volume_identifier.strip() == b"cidata"
    iso.close()
    return out.getvalue().decode()


def test_seed_says_who_the_guest_is_and_gives_user_data_as_it_was_written() -> None:
    image = seed.image(CloudInit("uid-1", "web", (KEY,), TEXT))
    meta = read(image, "meta-data")
    assert meta == f'instance-id: "uid-1"\nlocal-hostname: "web"\npublic-keys:\n  - "{KEY}"\n'
    assert read(image, "user-data") == TEXT


def test_a_hostile_host_name_stays_one_scalar() -> None:
    meta = seed.files(CloudInit("u", 'a"\npublic-keys:\n  - evil'))["meta-data"]
    assert len(meta.splitlines()) == 2


def test_seed_is_written_whole_for_root_only_and_known_by_its_digest(tmp_path: Path) -> None:
    path, content = tmp_path / "seeds/u.iso", CloudInit("u", "web", (), TEXT)
    assert seed.written(path) == ""
    seed.write(path, content)
    seed.write(path, content)
    assert path.stat().st_mode & 0o777 == 0o600
    assert seed.written(path) == seed.digest(content)
    assert seed.digest(content) != seed.digest(replace(content, user_data="other"))
    assert [each.name for each in path.parent.iterdir()] == ["u.iso"]


def test_console_is_begun_afresh_cut_and_removed(tmp_path: Path) -> None:
    path = console.path_of(tmp_path, "u")
    assert not console.exists(path)
    path.write_text("first boot")
    console.fresh(path)
    assert not path.exists() and (tmp_path / "u.log.1").read_text() == "first boot"
    with path.open("a") as guest:
        guest.write("x" * 100)
        guest.flush()
        assert console.trim(tmp_path, 64) == 1
        guest.write("after")
    assert path.read_text() == "after"
    assert console.trim(tmp_path, 64) == 0
    console.remove(path)
    assert not console.exists(path)


def test_boot_is_marked_once(tmp_path: Path) -> None:
    assert boot.read(tmp_path) == boot.read(tmp_path)
    (tmp_path / "boot-id").unlink()
    assert boot.read(tmp_path) == boot.read(tmp_path)
    assert boot.read(tmp_path / "missing") == boot.KERNEL.read_text().strip()
    assert [each.name for each in tmp_path.iterdir()] == ["boot-id"]


RECORD = Record("i", 2, 1, "boot", "2026-11-21T12:00:00Z")
SPEC = DomainSpec(
    uuid="7c1f9a0e-0000-4000-8000-000000000001",
    name="team-a-web-7c1f9a0e",
    cpus=2,
    memory=200 * 1024 * 1024 + 1,
    cpu_weight=300,
    record=RECORD,
    disks=(DiskDevice("/p/a.qcow2", "web-root"), DiskDevice("/p/b.qcow2", "ledger")),
    nics=(NicDevice("csbr7", "cst0", "02:00:00:00:00:01", 1450),),
    seed="/s/u.iso",
    console="/c/u.log",
)


def test_domain_has_what_was_asked_for_in_order() -> None:
    root = ET.fromstring(domainxml.domain(SPEC, Machine()))
    assert root.get("type") == "qemu"
    assert root.findtext("uuid") == SPEC.uuid
    assert (root.findtext("memory"), root.findtext("vcpu"), root.findtext("cputune/shares")) == ("201", "2", "300")
    disks = root.findall("devices/disk[@device='disk']")
    assert [disk.find("target").get("dev") for disk in disks] == ["vda", "vdb"]  # type: ignore[union-attr]
    assert [disk.findtext("serial") for disk in disks] == ["web-root", "ledger"]
    assert root.find("devices/interface/mtu").get("size") == "1450"  # type: ignore[union-attr]
    assert root.find("devices/serial/log").get("file") == "/c/u.log"  # type: ignore[union-attr]
    assert root.find("devices/disk[@device='cdrom']/source").get("file") == "/s/u.iso"  # type: ignore[union-attr]
    assert root.find("cpu").get("mode") == "maximum"  # type: ignore[union-attr]


def test_domain_on_kvm_without_shares() -> None:
    root = ET.fromstring(domainxml.domain(SPEC, Machine("kvm", shares=False)))
    assert root.get("type") == "kvm"
    assert root.find("cputune") is None
    assert root.find("features/tcg") is None


def test_no_text_becomes_an_element() -> None:
    evil = "/p/'/><interface type='direct'/><x a='.qcow2"
    root = ET.fromstring(domainxml.domain(replace(SPEC, disks=(DiskDevice(evil, "</serial><evil/>"),)), Machine()))
    assert root.find("devices/disk/source").get("file") == evil  # type: ignore[union-attr]
    assert root.find(".//evil") is None
    assert len(root.findall("devices/interface")) == 1


def test_record_survives_the_domain_s_metadata() -> None:
    root = ET.fromstring(domainxml.domain(SPEC, Machine()))
    element = root.find(f"metadata/{{{METADATA}}}instance")
    assert element is not None
    assert domainxml.parse_record(ET.tostring(element, encoding="unicode")) == RECORD
    assert domainxml.parse_record(domainxml.record_text(RECORD)) == RECORD
    assert domainxml.parse_record("<instance uid='i'/>") is None
    assert domainxml.parse_record("no xml") is None


def test_proof_is_a_boot_sector() -> None:
    assert len(SECTOR) == 512
    assert SECTOR.endswith(b"\x55\xaa")


def test_settings_name_the_variable_that_is_wrong() -> None:
    assert Settings.read({"NODE_NAME": "n"}) == Settings("n")
    assert Settings.read({"STOP_DEADLINE": "5", "HOST_RESERVED_MEMORY": "2Gi"}).reserved_memory == 2 * 1024**3
    with pytest.raises(ValueError, match="HYPERVISOR_DRIVER"):
        Settings.read({"HYPERVISOR_DRIVER": "xen"})


def test_an_emulated_guest_that_may_be_given_processors_has_room_for_their_code() -> None:
    def cache(cpus: int, max_cpus: int) -> str | None:
        text = domainxml.domain(replace(SPEC, cpus=cpus, max_cpus=max_cpus), Machine())
        return ET.fromstring(text).findtext("features/tcg/tb-cache")

    assert cache(2, 0) == cache(2, 2) == "32"
    assert cache(1, 4) == "256"
