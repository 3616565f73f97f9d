"""Which Disk an Instance names, by where it is and by what Storage says of the Volume."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operators.compute.model import Seen, VolumeView
from operators.compute.resolve import live_disks
from operators.contract import names
from operators.contract.compute import InstanceDisk, InstanceSpec
from operators.contract.meta import ObjectRef
from operators.contract.quantity import Quantity

ROOT = VolumeView("root", root=True, disk="root-d0", bound=True, pool="shared", disk_host="a")
DATA = replace(ROOT, name="data", root=False, disk="data-d0")
HAS = InstanceDisk("root-d0", "root", "root")


def instance(*disks: InstanceDisk, host: str = "a") -> InstanceSpec:
    return InstanceSpec(host, ObjectRef("web", "u"), "web", 1, Quantity(1 << 27), disks=disks or (HAS,))


@pytest.mark.parametrize(
    ("volume", "host", "disk", "move_to"),
    [
        (DATA, "a", "data-d0", ""),
        (replace(DATA, disk_host=""), "a", "data-d0", ""),
        (DATA, "b", names.disk_on("data", "b"), ""),
        (replace(DATA, move_to="data-to-x"), "a", "data-d0", "data-to-x"),
        (replace(DATA, move_to="data-to-x"), "b", names.disk_on("data", "b"), ""),
        (replace(DATA, disk="data-to-x"), "a", "data-to-x", ""),
    ],
)
def test_the_disk_of_a_volume_on_a_host(volume: VolumeView, host: str, disk: str, move_to: str) -> None:
    *_, found = live_disks(Seen(volumes=(ROOT, volume)), instance(host=host))
    assert (found.disk, found.volume, found.move_to) == (disk, "data", move_to)


def test_what_the_guest_has_keeps_its_order_and_what_comes_is_last() -> None:
    has = (HAS, InstanceDisk("data-d0", "data", "data"))
    more = replace(ROOT, name="more", root=False, disk="more-d0")
    found = live_disks(Seen(volumes=(ROOT, more, DATA)), instance(*has))
    assert [disk.volume for disk in found] == ["root", "data", "more"]
    assert [disk.volume for disk in live_disks(Seen(volumes=(ROOT,)), instance(*has))] == ["root"]


@pytest.mark.parametrize(
    "lacks", [{"exists": False}, {"deleting": True}, {"used_by": "rival"}, {"host": "b"}, {"offering": "gold"}]
)
def test_what_cannot_be_had_does_not_come_and_is_not_taken_away(lacks: dict[str, object]) -> None:
    gone = replace(DATA, **lacks)  # type: ignore[arg-type]
    has = InstanceDisk("data-d0", "data", "data")
    assert live_disks(Seen(volumes=(ROOT, gone)), instance()) == (HAS,)
    assert live_disks(Seen(volumes=(ROOT, gone)), instance(HAS, has)) == (HAS, has)
