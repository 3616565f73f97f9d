"""Scores: each says how well a host would suit, from 0 to 1; a policy weighs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeAlias

from operators.compute.scheduler.model import HostView, Need

Score: TypeAlias = Callable[[Need, HostView], float]


def free_memory(need: Need, host: HostView) -> float:
    """The share of the host's memory that stays free."""
    offered = host.memory_offered
    return max(0.0, (offered - host.memory_claimed - need.memory) / offered) if offered else 0.0


def used_memory(need: Need, host: HostView) -> float:
    """The share of the host's memory that is then given out."""
    return 1.0 - free_memory(need, host)


def free_cpus(need: Need, host: HostView) -> float:
    """The share of the host's processors that stays free."""
    offered = host.cpus_offered
    return max(0.0, (offered - host.cpus_claimed - need.cpus) / offered) if offered else 0.0


def apart(need: Need, host: HostView) -> float:
    """Fewest virtual machines of the same namespace, so that one host's failure takes few of them."""
    return 1.0 / (1 + host.neighbours)


class Policy(StrEnum):
    """How hosts are filled; environment SCHEDULER_POLICY."""

    SPREAD = "spread"
    PACK = "pack"


WEIGHTS: Mapping[Policy, tuple[tuple[Score, float], ...]] = {
    Policy.SPREAD: ((free_memory, 2.0), (free_cpus, 1.0), (apart, 1.0)),
    Policy.PACK: ((used_memory, 1.0),),
}


def score(need: Need, host: HostView, policy: Policy) -> float:
    """How well a host suits under a policy; the higher the better."""
    return sum(weight * each(need, host) for each, weight in WEIGHTS[policy])
