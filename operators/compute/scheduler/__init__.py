"""Chooses the host of a VirtualMachine: filters say where it cannot go and why, scores say where it should."""

from operators.compute.scheduler.choose import Choice, choose, refused
from operators.compute.scheduler.model import DiskNeed, GroupNeed, HostView, Need, Policy, PoolView
from operators.compute.scheduler.scores import score

__all__ = [
    "Choice",
    "DiskNeed",
    "GroupNeed",
    "HostView",
    "Need",
    "Policy",
    "PoolView",
    "choose",
    "refused",
    "score",
]
