"""Scores: each says how well a host would suit, from 0 to 1; a policy weighs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from operators.compute.scheduler.model import HostView, Need, Policy

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


def preferences(need: Need, host: HostView) -> float:
    """The share of the preferred groups whose rule a host keeps."""
    wishes = [group for group in need.groups if not group.strict and group.members]
    kept = sum((host.name in group.members) is group.together for group in wishes)
    return kept / len(wishes) if wishes else 0.0


WEIGHTS: Mapping[Policy, tuple[tuple[Score, float], ...]] = {
    Policy.SPREAD: ((free_memory, 2.0), (free_cpus, 1.0), (apart, 1.0)),
    Policy.PACK: ((used_memory, 1.0),),
}


PREFERENCE = 2.0
"""A preferred group's wish outweighs everything else together, which is at most 1."""


def score(need: Need, host: HostView, policy: Policy) -> float:
    """How well a host suits under its zone's policy, or the given one; from 0 to 1, the higher the better.

    Each policy's scores are normalised, so that hosts of zones that are filled differently can be compared."""
    weights = WEIGHTS[host.policy or policy]
    suits = sum(weight * each(need, host) for each, weight in weights) / sum(weight for _, weight in weights)
    if not any(group.members for group in need.groups if not group.strict):
        return suits
    return (suits + PREFERENCE * preferences(need, host)) / (1 + PREFERENCE)
