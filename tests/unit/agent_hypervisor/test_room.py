"""The host's last word on whether one more guest may start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.hypervisor.model import Instance
from agents.hypervisor.room import Limits, Room
from operators.contract.fabric import HypervisorReport, Overcommit
from operators.contract.instances import INSTANCE, InstanceSpec, InstanceStatus
from operators.contract.meta import Meta, Obj, ObjectRef
from operators.contract.quantity import Quantity

GIB = 1 << 30


def guest(uid: str, cpus: int = 1, memory: int = GIB) -> Instance:
    spec = InstanceSpec("a", ObjectRef(uid, uid), uid, cpus, Quantity(memory))
    return Obj(INSTANCE, Meta(uid, "team-a", f"i-{uid}"), spec, InstanceStatus())


def test_limits_are_those_that_compute_reckons_with() -> None:
    report = HypervisorReport(cpus=8, memory=Quantity(10 * GIB))
    assert Limits.of(report, Overcommit("1.5", "2")) == Limits(12, 20 * GIB)


@pytest.mark.parametrize(
    ("cpus", "memory", "why"),
    [
        (1, GIB, ""),
        (2, 2 * GIB, ""),
        (3, GIB, "3 CPUs needed, 2 of 4 free"),
        (1, 3 * GIB, "3Gi of memory needed, 2Gi of 4Gi free"),
    ],
)
def test_refusal(cpus: int, memory: int, why: str) -> None:
    room = Room()
    room.seed([guest("old", 2, 2 * GIB)])
    assert room.refusal(guest("new", cpus, memory), Limits(4, 4 * GIB)) == why


def test_a_guest_is_never_refused_for_what_it_holds_itself() -> None:
    room = Room()
    room.hold(guest("web", 4, 4 * GIB))
    assert not room.refusal(guest("web", 4, 4 * GIB), Limits(4, 4 * GIB))
    assert room.leave("web")
    assert not room.leave("web")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 4), st.integers(1, 4)), max_size=40))
def test_whatever_comes_and_goes_the_limits_hold(steps: list[tuple[bool, int, int, int]]) -> None:
    room, limits, running = Room(), Limits(6, 6 * GIB), dict[str, Instance]()
    for starts, number, cpus, memory in steps:
        one = guest(str(number), cpus, memory * GIB)
        if not starts:
            running.pop(str(number), None)
            room.leave(str(number))
        elif str(number) not in running and not room.refusal(one, limits):
            room.hold(one)
            running[str(number)] = one
        assert sum(each.spec.cpus for each in running.values()) <= limits.cpus
        assert sum(int(each.spec.memory) for each in running.values()) <= limits.memory
