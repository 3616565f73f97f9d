"""Chooses the host of a VirtualMachine: filters say where it cannot go and why, scores say where it should."""

from operators.compute.scheduler.choose import Choice, choose
from operators.compute.scheduler.model import DiskNeed, HostView, Need, PoolView
from operators.compute.scheduler.scores import Policy

__all__ = ["Choice", "DiskNeed", "HostView", "Need", "Policy", "PoolView", "choose"]
