"""What is decided for a Volume, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.quantity import Quantity
from operators.kernel.outcome import Blocked, Done, Rejected, Retry
from operators.storage.volumes.model import Seen
from operators.storage.volumes.plan import plan
from tests.unit.storage.objects import disk, holder, image, image_copy, offering, pool, seen, sight, volume

GIB = 1 << 30
READY = image_copy(ready=True, size="64Mi")
H2 = holder(host="h2")
BOTH: dict[str, Any] = {"shared": True, "reached": frozenset({"h1", "h2"})}
TINY: dict[str, Any] = {"image": image(), "virtual_size": Quantity.parse("64Mi"), "pools": (pool(copy=READY),)}


@pytest.mark.parametrize(
    ("want", "there", "actions", "outcome", "reason"),
    [
        # Placing.
        (volume(size="1Gi", protected=False), seen(holders=()), "Protect", Blocked, "WaitingForFirstConsumer"),
        (volume(size="1Gi"), seen(), "MakeDisk", Blocked, "Provisioning"),
        (volume(size="1Gi", protected=False), seen(), "Protect MakeDisk", Blocked, "Provisioning"),
        (volume(size="1Gi"), seen(offering=None), "", Blocked, "OfferingNotFound"),
        (volume(), seen(), "", Rejected, "Invalid"),
        (volume(), seen(offering=offering(size="5Gi")), "MakeDisk", Blocked, "Provisioning"),
        (volume(size="1Gi"), seen(offering=offering(size="5Gi")), "", Rejected, "Invalid"),
        (volume(size="1Gi"), seen(name_taken=True), "", Blocked, "Provisioning"),
        # Taking up its file again: the Disk was lost.
        (volume(size="1Gi", placed=True), seen(), "MakeDisk", Blocked, "Provisioning"),
        (volume(size="1Gi", placed=True), seen(holders=()), "", Blocked, "WaitingForFirstConsumer"),
        (volume(size="1Gi", placed=True), seen(pools=(pool("local-h2"),)), "", Blocked, "NoHostFits"),
        (volume(placed=True), seen(disk=disk(keep=True, deleting=True)), "", Blocked, "Provisioning"),
        # On a shared pool: another host sees the file, and takes it over once it alone uses it.
        (volume(placed=True), seen(disk=disk(), holders=(H2, holder()), **BOTH), "MakeDisk", Blocked, "Provisioning"),
        (volume(placed=True), seen(disk=disk(), holders=(H2,), **BOTH), "MakeDisk", Blocked, "Provisioning"),
        (
            volume(placed=True),
            seen(disk=disk(), sights=(sight(ready=None),), holders=(H2,), **BOTH),
            "",
            Blocked,
            "Provisioning",
        ),
        (
            volume(placed=True),
            seen(disk=disk(), sights=(sight(),), holders=(H2, holder()), **BOTH),
            "",
            Done,
            "AsSpecified",
        ),
        (volume(placed=True), seen(disk=disk(), sights=(sight(),), **BOTH), "DeleteDisk", Done, "AsSpecified"),
        (
            volume(placed=True),
            seen(disk=disk(), sights=(sight(),), holders=(H2,), **BOTH),
            "Adjust",
            Done,
            "AsSpecified",
        ),
        (
            volume(placed=True),
            seen(disk=disk(keep=True, deleting=True), sights=(sight(),), holders=(H2,), **BOTH),
            "",
            Done,
            "AsSpecified",
        ),
        (volume(placed=True), seen(sights=(sight(),), holders=(H2,)), "Adjust", Blocked, "Provisioning"),
        (volume(placed=True), seen(sights=(sight(deleting=True),), holders=()), "", Blocked, "Provisioning"),
        (
            volume(deleting=True),
            seen(disk=disk(), sights=(sight(),), holders=(), **BOTH),
            "DeleteDisk",
            Blocked,
            "Deleting",
        ),
        # Choosing a pool.
        (volume(size="1Gi"), seen(pools=()), "", Blocked, "NoPoolFits"),
        (volume(size="200Gi"), seen(), "", Blocked, "NoPoolFits"),
        (volume(size="1Gi"), seen(pools=(pool(promisable=0),)), "", Blocked, "NoPoolFits"),
        (volume(size="1Gi"), seen(pools=(pool(problem="offline: unplugged"),)), "", Blocked, "NoPoolFits"),
        (volume(size="1Gi"), seen(offering=offering(tags=["ssd"])), "", Blocked, "NoPoolFits"),
        (volume(size="1Gi", pool="other"), seen(), "", Blocked, "NoPoolFits"),
        # From an image.
        (volume(image="tiny"), seen(), "", Blocked, "ImageNotFound"),
        (volume(image="tiny"), seen(image=image(deleting=True)), "", Blocked, "ImageNotFound"),
        (volume(image="tiny"), seen(image=image()), "MakeCopy", Blocked, "Importing"),
        (volume(image="tiny"), seen(image=image(), pools=(pool(copy=image_copy()),)), "", Blocked, "Importing"),
        (volume(image="tiny"), seen(**TINY), "MakeDisk", Blocked, "Provisioning"),
        (volume(image="tiny", size="32Mi"), seen(**TINY), "", Rejected, "SizeTooSmall"),
        (
            volume(image="tiny", size="1Gi"),
            seen(**TINY | {"pools": (pool(),)}),
            "MakeCopy MakeDisk",
            Blocked,
            "Provisioning",
        ),
        (
            volume(image="tiny", size="1Gi"),
            seen(**TINY | {"image": image(minimumDisk="2Gi")}),
            "",
            Rejected,
            "SizeTooSmall",
        ),
        (
            volume(image="tiny"),
            seen(image=image(), pools=(pool(copy=image_copy(ready=False, reason="ChecksumMismatch")),)),
            "",
            Blocked,
            "ChecksumMismatch",
        ),
        (
            volume(image="tiny"),
            seen(image=image(), pools=(pool(copy=image_copy(of="uid-older")),)),
            "",
            Blocked,
            "WaitingForImage",
        ),
        # Placed.
        (volume(size="1Gi"), seen(disk=disk(ready=None)), "", Blocked, "Provisioning"),
        (volume(size="1Gi"), seen(disk=disk(ready=False, reason="PoolFull")), "", Blocked, "PoolFull"),
        (volume(size="1Gi"), seen(disk=disk()), "", Done, "AsSpecified"),
        (volume(size="1Gi"), seen(disk=disk(), holders=()), "", Done, "AsSpecified"),
        (volume(size="1Gi"), seen(disk=disk(), holders=(H2,)), "", Blocked, "NoHostFits"),
        (volume(size="1Gi"), seen(disk=disk(deleting=True)), "", Blocked, "StorageError"),
        (volume(size="1Gi"), seen(disk=disk(), offering=None), "", Done, "AsSpecified"),
        (volume(size="1Gi", reclaimPolicy="Retain"), seen(disk=disk()), "Adjust", Done, "AsSpecified"),
        # Growing.
        (volume(size="2Gi"), seen(disk=disk()), "Adjust", Blocked, "Growing"),
        (volume(size="2Gi"), seen(disk=disk(), holders=(holder(running=False),)), "Adjust", Blocked, "Growing"),
        (volume(size="2Gi"), seen(disk=disk(), holders=()), "Adjust", Blocked, "Growing"),
        (volume(size="2Gi"), seen(disk=disk("2Gi", made="1Gi"), holders=()), "", Blocked, "Growing"),
        (volume(size="2Gi"), seen(disk=disk("2Gi")), "", Done, "AsSpecified"),
        (volume(size="1Gi"), seen(disk=disk("2Gi")), "", Rejected, "SizeTooSmall"),
        (volume(), seen(disk=disk("2Gi")), "", Done, "AsSpecified"),
        # Limits.
        (volume(size="1Gi", limits={"iops": 100}), seen(disk=disk()), "Adjust", Done, "AsSpecified"),
        (volume(size="1Gi"), seen(disk=disk(), offering=offering(limits={"iops": 9})), "Adjust", Done, "AsSpecified"),
        # Deleting.
        (volume(deleting=True), seen(disk=disk()), "", Blocked, "StillAttached"),
        (volume(deleting=True), seen(disk=disk(), holders=()), "DeleteDisk", Blocked, "Deleting"),
        (
            volume(deleting=True, reclaimPolicy="Retain"),
            seen(disk=disk(), holders=()),
            "Adjust",
            Blocked,
            "Deleting",
        ),
        (volume(deleting=True), seen(disk=disk(deleting=True), holders=()), "", Blocked, "Deleting"),
        (
            volume(deleting=True),
            seen(disk=disk(deleting=True, released="PoolOffline"), holders=()),
            "",
            Blocked,
            "PoolOffline",
        ),
        (volume(deleting=True), seen(holders=()), "Unprotect", Done, "Released"),
    ],
)
def test_plan(want: Any, there: Seen, actions: str, outcome: type, reason: str) -> None:
    did, said = plan(want, there)
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)
    assert isinstance(said, Done) or said.message


@pytest.mark.parametrize(
    ("want", "there", "words"),
    [
        (
            volume(size="200Gi", pool="b"),
            seen(pools=(pool("a"), pool("b"), pool("c", problem="offline: unplugged"))),
            "no pool of host h1 can take 200Gi: a: the Volume asks for pool b; b: 100Gi free; c: the Volume asks for pool b",
        ),
        (volume(size="1Gi"), seen(offering=offering(tags=["ssd", "fast"])), "lacks the tags fast, ssd"),
        (volume(image="x/tiny"), seen(), "Image x/tiny does not exist that is public"),
        (volume(image="tiny", size="32Mi"), seen(**TINY), "needs 64Mi, not 32Mi"),
        (volume(size="2Gi"), seen(disk=disk()), "grows from 1Gi to 2Gi"),
        (volume(deleting=True), seen(disk=disk()), "VirtualMachine web on host h1 still has it"),
        (
            volume(image="tiny"),
            seen(image=image(), pools=(pool(copy=image_copy(ready=False, reason="PoolFull", message="no room")),)),
            "Image tiny on pool local-h1: no room",
        ),
    ],
)
def test_messages_say_what_to_do(want: Any, there: Seen, words: str) -> None:
    assert words in plan(want, there)[1].message


def test_passing_states_are_kept_quiet_for_a_while_and_others_are_not() -> None:
    assert plan(volume(size="1Gi"), seen(quiet=2.5))[1] == Retry(
        "Provisioning", "host h1 makes its disk on pool local-h1", after=2.5
    )
    assert isinstance(plan(volume(size="1Gi"), seen(quiet=2.5, offering=None))[1], Blocked)
    assert plan(volume(size="1Gi"), seen(quiet=2.5, disk=disk()))[1] == Done()


@pytest.mark.parametrize(
    ("pools", "chosen"),
    [
        ((pool("a", free=2 * GIB), pool("b", free=9 * GIB)), "b"),
        ((pool("a", free=2 * GIB, copy=READY), pool("b", free=9 * GIB)), "a"),
        ((pool("a", free=2 * GIB, copy=image_copy()), pool("b", free=9 * GIB, copy=READY)), "b"),
        ((pool("a", free=9 * GIB, copy=image_copy(ready=False, reason="PoolFull")), pool("b", free=2 * GIB)), "b"),
        ((pool("a"), pool("b")), "b"),
    ],
)
def test_the_pool_with_the_image_is_best_then_the_emptiest(pools: Any, chosen: str) -> None:
    actions, _ = plan(volume(image="tiny"), seen(**TINY | {"pools": pools}))
    assert [action.spec.pool for action in actions if type(action).__name__ == "MakeDisk"] == [chosen]


def test_a_file_that_is_taken_up_is_never_made_anew() -> None:
    (action,), _ = plan(volume(size="5Gi", placed=True), seen())
    assert (action.spec.adopt, str(action.spec.size)) == (True, "1Gi")  # type: ignore[union-attr]


def test_the_disk_is_made_of_uids_and_whole_sectors() -> None:
    (action,), _ = plan(volume(size="1000", uid="u1"), seen(**TINY | {"image": None}))
    spec = action.spec  # type: ignore[union-attr]
    assert (spec.path, int(spec.size), spec.volume.uid, spec.image_copy) == ("volumes/u1.qcow2", 1024, "u1", "")
    (action,), _ = plan(volume(image="tiny"), seen(**TINY))
    assert action.spec.image_copy.startswith("team/tiny-")  # type: ignore[union-attr]


def test_the_file_passes_to_the_host_that_uses_it_and_is_then_seen_to_there() -> None:
    heirs = (sight(host="h3"), sight())
    (action,), _ = plan(volume(placed=True), seen(sights=heirs, holders=(H2,)))
    spec = action.spec  # type: ignore[union-attr]
    assert (spec.host_name, spec.file_of, spec.adopt, spec.keep) == ("h2", "", True, False)


def test_a_disk_on_another_host_never_ends_the_file() -> None:
    (action,), _ = plan(volume(placed=True), seen(disk=disk(), holders=(H2, holder()), **BOTH))
    spec = action.spec  # type: ignore[union-attr]
    assert (spec.host_name, spec.file_of, spec.adopt, spec.keep) == ("h2", "data-d0", True, True)
    assert spec.path == disk().spec.path


@pytest.mark.parametrize(
    ("offered", "asked", "limits"),
    [
        ({}, {}, (0, "0")),
        ({"iops": 500, "throughput": "10Mi"}, {}, (500, "10Mi")),
        ({"iops": 500, "throughput": "10Mi"}, {"iops": 100, "throughput": "20Mi"}, (100, "10Mi")),
        ({"throughput": "10Mi"}, {"iops": 100}, (100, "10Mi")),
    ],
)
def test_the_stricter_limit_counts(offered: Any, asked: Any, limits: Any) -> None:
    want = volume(size="1Gi", **({"limits": asked} if asked else {}))
    (action,), _ = plan(want, seen(offering=offering(limits=offered)))
    found = action.spec.limits  # type: ignore[union-attr]
    assert (found.iops, str(found.throughput)) == limits
