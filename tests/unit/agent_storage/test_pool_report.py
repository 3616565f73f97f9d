"""What is said of pools: true, rounded, and steady."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.storage.pools.model import Probe, Seen
from agents.storage.pools.observe import strangers, uid_of
from agents.storage.pools.plan import MOST, step_of, storage_report
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST_REPORT

GIB = 1 << 30


def report(storage: Any = None) -> Any:
    status = {"storage": to_wire(storage)} if storage is not None else {}
    return HOST_REPORT.parse({"metadata": {"name": "h"}, "spec": {"hostName": "h"}, "status": status})


@given(
    capacity=st.integers(1, 1 << 45),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_free_space_is_never_overstated_and_hardly_understated(capacity: int, shares: list[float]) -> None:
    said = None
    step = step_of(capacity)
    for share in shares:
        free = int(capacity * share)
        said = storage_report(report(said), Seen((Probe("p", capacity=capacity, free=free),)))
        assert said.pools[0].free <= free < said.pools[0].free + 2 * step


def test_small_changes_are_not_told() -> None:
    seen = [
        Seen((Probe("p", capacity=50 * GIB, free=free),)) for free in (20 * GIB, 20 * GIB + 5, 21 * GIB, 22 * GIB - 1)
    ]
    first = storage_report(report(), seen[0])
    assert all(storage_report(report(first), each) == first for each in seen)
    assert (
        storage_report(report(first), Seen((Probe("p", capacity=50 * GIB, free=20 * GIB - 1),))).pools[0].free
        == 19 * GIB
    )


def test_offline_pool_says_why_and_unknown_files_are_capped() -> None:
    said = storage_report(report(), Seen((Probe("p", problem="unplugged"),), tuple(f"p/f{n:04}" for n in range(500))))
    assert (said.pools[0].online, said.pools[0].message) == (False, "unplugged")
    assert len(said.unknown_files) == MOST + 1 and said.unknown_files[-1] == "and 400 more"


def test_only_our_own_names_count_as_files_in_the_making() -> None:
    uid = "12345678-1234-4234-8234-123456789abc"
    assert uid_of(f"volumes/.{uid}.part") == uid_of(f"images/.{uid}.conv") == uid
    for other in (f"volumes/{uid}.part", "volumes/.notes.part", f"elsewhere/.{uid}.part", f"volumes/.{uid}.part.bak"):
        assert uid_of(other) == ""
    known = frozenset({"volumes/a.qcow2"})
    files = ("volumes/a.qcow2", "volumes/b.qcow2", f"volumes/.{uid}.part")
    assert list(strangers(files, known, frozenset({uid}))) == ["volumes/b.qcow2"]
    assert list(strangers(files, known, frozenset())) == ["volumes/b.qcow2", f"volumes/.{uid}.part"]
