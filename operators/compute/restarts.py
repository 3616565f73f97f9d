"""When a guest that ended by itself is started again.

At once the first time, then after 1, 2, 4, … seconds, up to five minutes. Once it has run for ten minutes its past is
forgotten, as the kubelet does with containers that crash in a loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from operators.compute.model import Instance, Restarts
from operators.contract import names
from operators.contract.meta import condition
from operators.contract.reasons import Type

FIRST, LONGEST = 1.0, 300.0
WELL = 600.0
"""Seconds of running after which the next end counts as the first."""

TOTAL = f"{names.COMPUTE}/restarts"
IN_A_ROW = f"{names.COMPUTE}/restarts-in-a-row"


def kept(annotations: Mapping[str, str]) -> Restarts:
    """The counters as an Instance's annotations have them."""
    return Restarts(_number(annotations.get(TOTAL, "")), _number(annotations.get(IN_A_ROW, "")))


def as_annotations(restarts: Restarts) -> dict[str, str]:
    """The annotations that keep the counters; none while there is nothing to keep."""
    if restarts == Restarts():
        return {}
    return {TOTAL: str(restarts.total), IN_A_ROW: str(restarts.in_a_row)}


def due(instance: Instance) -> tuple[float, Restarts]:
    """When the guest may be started again, in seconds since 1970, and the counters once it is."""
    ended, started = _ended(instance), _seconds(instance.status.started_at)
    before = kept(instance.meta.annotations)
    in_a_row = 0 if started and ended - started >= WELL else before.in_a_row
    wait = 0.0 if in_a_row == 0 else min(LONGEST, FIRST * 2.0 ** min(in_a_row - 1, 20))
    return ended + wait, Restarts(before.total + 1, in_a_row + 1)


def _ended(instance: Instance) -> float:
    """When the guest ended: when its agent first said so, and not before it last started."""
    realised = condition(instance.status.conditions, Type.REALISED)
    since = _seconds(realised.last_transition_time) if realised and not realised.true else 0.0
    return max(since, _seconds(instance.status.started_at))


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() if stamp else 0.0


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
