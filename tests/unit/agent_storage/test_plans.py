"""What is decided for Disks and ImageCopies on a host, as tables; and that doing it settles."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.storage.copies.model import Seen as CopySeen
from agents.storage.copies.plan import plan as plan_copy
from agents.storage.disks.model import Base, Create, Remove, Resize, Seen
from agents.storage.disks.plan import plan
from agents.storage.folders import Place, PoolFolder
from agents.storage.jobs import State
from agents.storage.qcow2 import Header
from operators.contract.storage import DISK, IMAGE_COPY
from operators.kernel.outcome import Blocked, Done, Rejected, Retry

POOL = PoolFolder("local", "/pools", "/pools/local", makes=True)
PLACE = Place(POOL, "volumes", "u.qcow2")
IMAGE_PLACE = Place(POOL, "images", "i.qcow2")
BACKING = "../images/i.qcow2"


def disk(size: str = "8Mi", *, deleting: bool = False, made: bool = False, released: bool = False, **spec: Any) -> Any:
    said = {
        "hostName": "h",
        "pool": "local",
        "path": "volumes/u.qcow2",
        "volume": {"name": "v", "uid": "u"},
        "size": size,
    }
    meta = {"name": "d", "uid": "duid", "generation": 1} | ({"deletionTimestamp": "now"} if deleting else {})
    status: dict[str, Any] = {"virtualSize": size, "path": PLACE.absolute} if made else {}
    if released:
        status["conditions"] = [{"type": "Released", "status": "True", "reason": "Released"}]
    return DISK.parse({"metadata": meta, "spec": said | spec, "status": status})


SUM = "sha256:" + "0" * 64


def copy(*, deleting: bool = False, status: Any = None, **said: Any) -> Any:
    spec = {"hostName": "h", "pool": "local", "path": "images/i.qcow2", "image": {"name": "tiny", "uid": "i"}}
    meta = {"name": "c", "uid": "cuid", "generation": 1} | ({"deletionTimestamp": "now"} if deleting else {})
    source = said or {"url": "http://x/y", "checksum": SUM}
    return IMAGE_COPY.parse({"metadata": meta, "spec": spec | source, "status": status or {}})


FILE = {"pool": "local", "path": "volumes/u.qcow2"}


def first(**more: Any) -> Any:
    """The copy that is made of a disk."""
    return copy(source=FILE, **more)


def at(**said: Any) -> Seen:
    return Seen(PLACE, **said)


MIB = 1 << 20


@pytest.mark.parametrize(
    ("want", "seen", "actions", "outcome", "reason"),
    [
        (disk(), at(), "Create", Done, "AsSpecified"),
        (disk(), at(file=Header(8 * MIB)), "", Done, "AsSpecified"),
        (disk(), at(file=Header(4 * MIB)), "Resize", Done, "AsSpecified"),
        (disk(), at(file=Header(16 * MIB)), "", Rejected, "SizeTooSmall"),
        (disk(), at(strange="u.qcow2 is not a regular file"), "", Retry, "StorageError"),
        (disk(), Seen(offline="unplugged"), "", Retry, "PoolOffline"),
        (disk(), at(offline="unplugged"), "", Retry, "PoolOffline"),
        (disk(made=True), at(), "", Retry, "StorageError"),
        (disk(adopt=True), at(), "", Retry, "StorageError"),
        (disk(adopt=True), at(file=Header(8 * MIB, BACKING)), "", Done, "AsSpecified"),
        (disk(imageCopy="n/c"), at(base=Base(problem="being fetched")), "", Blocked, "WaitingForImage"),
        (disk(imageCopy="n/c"), at(base=Base(problem="on h2", ours=False)), "", Retry, "WaitingForImage"),
        (disk(imageCopy="n/c"), at(base=Base(BACKING, 4 * MIB)), "Create", Done, "AsSpecified"),
        (disk(imageCopy="n/c"), at(base=Base(BACKING, 9 * MIB)), "", Rejected, "SizeTooSmall"),
        (disk(imageCopy="n/c"), at(file=Header(8 * MIB, BACKING)), "", Done, "AsSpecified"),
        (disk(imageCopy="n/c"), at(file=Header(8 * MIB)), "", Done, "AsSpecified"),
        (disk(), at(file=Header(8 * MIB, "/etc/shadow")), "", Retry, "StorageError"),
        (disk(deleting=True), at(file=Header(8 * MIB)), "Remove", Done, "Released"),
        (disk(deleting=True), at(), "Remove", Done, "Released"),
        (disk(deleting=True), Seen(offline="unplugged"), "", Retry, "PoolOffline"),
        (disk(deleting=True, released=True), at(), "", Done, "Released"),
        (disk(deleting=True, keep=True), at(file=Header(8 * MIB)), "", Done, "Released"),
    ],
)
def test_disk(want: Any, seen: Seen, actions: str, outcome: type, reason: str) -> None:
    did, said = plan(want, seen)
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("want", "seen", "actions", "outcome", "reason"),
    [
        (copy(), CopySeen(IMAGE_PLACE), "Fetch", Blocked, "Importing"),
        (copy(), CopySeen(IMAGE_PLACE, importing=State(True, 30)), "", Blocked, "Importing"),
        (copy(), CopySeen(IMAGE_PLACE, importing=State(False, 0, "PoolFull", "m", 3.0)), "", Retry, "PoolFull"),
        (copy(), CopySeen(IMAGE_PLACE, importing=State(False, 0, "PoolFull", "m", 0.0)), "Fetch", Blocked, "PoolFull"),
        (copy(), CopySeen(IMAGE_PLACE, importing=State(True, 0, "PoolFull", "m")), "", Blocked, "PoolFull"),
        (copy(), CopySeen(IMAGE_PLACE, file=Header(MIB)), "", Done, "AsSpecified"),
        (copy(), CopySeen(IMAGE_PLACE, file=Header(MIB), leftovers=(".cuid.part",)), "Tidy", Done, "AsSpecified"),
        (copy(), CopySeen(IMAGE_PLACE, strange="a link"), "", Retry, "StorageError"),
        (copy(), CopySeen(offline="unplugged"), "", Retry, "PoolOffline"),
        (copy(deleting=True), CopySeen(IMAGE_PLACE, disks=("team/d",)), "", Retry, "StillInUse"),
        (copy(deleting=True), CopySeen(IMAGE_PLACE), "Remove", Done, "Released"),
        (first(), CopySeen(IMAGE_PLACE, source=PLACE), "Fetch", Blocked, "Importing"),
        (first(), CopySeen(IMAGE_PLACE, importing=State(True)), "", Blocked, "Importing"),
        (
            first(),
            CopySeen(IMAGE_PLACE, importing=State(False, 0, "StillAttached", "m", 3)),
            "",
            Retry,
            "StillAttached",
        ),
        (first(), CopySeen(IMAGE_PLACE, file=Header(MIB), source=PLACE), "Fetch", Blocked, "Importing"),
        (first(), CopySeen(IMAGE_PLACE, file=Header(MIB), importing=State(True)), "", Blocked, "Importing"),
        (first(), CopySeen(IMAGE_PLACE, file=Header(MIB), checksum=SUM), "", Done, "AsSpecified"),
        (first(status={"checksum": SUM}), CopySeen(IMAGE_PLACE, checksum=SUM), "", Retry, "StorageError"),
        (first(deleting=True, status={"checksum": SUM}), CopySeen(IMAGE_PLACE), "Remove", Done, "Released"),
        (copy(source=FILE, checksum=SUM), CopySeen(IMAGE_PLACE, source=PLACE), "Fetch", Blocked, "Importing"),
        (copy(source=FILE, checksum=SUM), CopySeen(IMAGE_PLACE, file=Header(MIB)), "", Done, "AsSpecified"),
    ],
)
def test_copy(want: Any, seen: CopySeen, actions: str, outcome: type, reason: str) -> None:
    did, said = plan_copy(want, seen)
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)


SIZES = st.integers(1, 64)


@given(want=SIZES, there=st.none() | SIZES, base=st.none() | SIZES, deleting=st.booleans(), keep=st.booleans())
def test_a_disk_settles_in_one_step(want: int, there: int | None, base: int | None, deleting: bool, keep: bool) -> None:
    backing = BACKING if base else ""
    obj = disk(f"{want}Mi", deleting=deleting, keep=keep, **({"imageCopy": "n/c"} if base else {}))
    file = Header(there * MIB, backing) if there else None
    known = Base(backing, (base or 0) * MIB)
    for turn in range(3):
        actions, outcome = plan(obj, at(file=file, base=known if file is None else None))
        assert len(actions) <= 1
        for action in actions:
            match action:
                case Create(_, _, size, made_from):
                    assert file is None
                    file = Header(size, made_from)
                case Resize(_, size):
                    assert file is not None and file.virtual_size < size
                    file = Header(size, file.backing)
                case Remove():
                    assert deleting and not keep
                    file = None
        if turn:
            assert not actions or deleting
    assert not (deleting and not keep) or file is None
    assert isinstance(outcome, Done | Rejected)
