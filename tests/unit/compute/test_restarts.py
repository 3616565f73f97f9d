"""The back-off of guests that end by themselves, as a table."""

from __future__ import annotations

import pytest

from operators.compute import restarts
from operators.compute.model import Restarts
from operators.contract.instances import INSTANCE, InstanceSpec, InstanceStatus
from operators.contract.meta import Condition, Meta, Obj, ObjectRef
from operators.contract.quantity import Quantity

START = 1795262400.0  # 2026-11-21T12:00:00Z


@pytest.mark.parametrize(
    ("ran", "before", "wait", "after"),
    [
        (5, Restarts(0, 0), 0, Restarts(1, 1)),
        (5, Restarts(1, 1), 1, Restarts(2, 2)),
        (5, Restarts(2, 2), 2, Restarts(3, 3)),
        (5, Restarts(9, 9), 256, Restarts(10, 10)),
        (5, Restarts(10, 10), 300, Restarts(11, 11)),
        (5, Restarts(500, 500), 300, Restarts(501, 501)),
        (599, Restarts(7, 3), 4, Restarts(8, 4)),
        (600, Restarts(7, 3), 0, Restarts(8, 1)),
    ],
)
def test_due(ran: int, before: Restarts, wait: float, after: Restarts) -> None:
    minutes, seconds = divmod(ran, 60)
    ended = f"2026-11-21T12:{minutes:02d}:{seconds:02d}Z"
    realised = Condition("Realised", "False", "Crashed", last_transition_time=ended)
    instance = Obj(
        INSTANCE,
        Meta("web", annotations=restarts.as_annotations(before)),
        InstanceSpec("a", ObjectRef("web", "u"), "web", 1, Quantity(1)),
        InstanceStatus(started_at="2026-11-21T12:00:00Z", conditions=(realised,)),
    )
    assert restarts.due(instance) == (START + ran + wait, after)


def test_annotations_are_kept_and_survive_nonsense() -> None:
    assert restarts.kept(restarts.as_annotations(Restarts(3, 2))) == Restarts(3, 2)
    assert restarts.as_annotations(Restarts()) == {}
    assert restarts.kept({restarts.TOTAL: "many"}) == Restarts()
