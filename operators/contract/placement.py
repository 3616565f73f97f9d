"""The compute group: which machines stay together or apart, and where one would go."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from operators.contract import names
from operators.contract.compute import CatalogueStatus, Placement
from operators.contract.meta import Condition, Kind
from operators.contract.quantity import Duration, Quantity

PLAN_IS_KEPT = Duration(600)


class AffinityType(StrEnum):
    """Whether the members of a group share a host."""

    AFFINITY = "Affinity"
    ANTI_AFFINITY = "AntiAffinity"


class AffinityPolicy(StrEnum):
    """Whether a member waits rather than break its group's rule."""

    STRICT = "Strict"
    PREFERRED = "Preferred"


@dataclass(frozen=True, slots=True)
class AffinityGroupSpec:
    """Virtual machines of one namespace that are to share a host, or to be on different ones."""

    type: AffinityType = AffinityType.ANTI_AFFINITY
    policy: AffinityPolicy = AffinityPolicy.STRICT
    description: str = ""


@dataclass(frozen=True, slots=True)
class PlacementPlanSpec:
    """A question: where would this virtual machine go? Either one that there is, or one as it would be."""

    virtual_machine: str = ""
    """A VirtualMachine of the same namespace, as it is; then nothing else but `time_to_live` is stated."""
    offering: str = ""
    image: str = ""
    root_disk_size: Quantity | None = None
    root_disk_offering: str = ""
    volumes: tuple[str, ...] = ()
    placement: Placement = field(default_factory=Placement)
    affinity_groups: tuple[str, ...] = ()
    time_to_live: Duration = PLAN_IS_KEPT
    """Seconds after which the plan is deleted."""


@dataclass(frozen=True, slots=True)
class HostVerdict:
    """What one host is to the virtual machine."""

    host: str
    fits: bool
    score: int = 0
    """0 to 100, the higher the better; 0 where it does not fit."""
    filter: str = ""
    """The filter that refused it, one of the scheduler's."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class PlacementPlanStatus:
    """The answer, as things were when it was given. Written by Compute, once for each generation."""

    observed_generation: int = 0
    host: str = ""
    """Where it would go; empty where no host fits."""
    fitting: int = 0
    """How many hosts fit."""
    hosts: tuple[HostVerdict, ...] = ()
    """The best first, then those that do not fit; at most 64."""
    conditions: tuple[Condition, ...] = ()


AFFINITY_GROUP = Kind(names.COMPUTE, "AffinityGroup", "affinitygroups", AffinityGroupSpec, CatalogueStatus)
PLACEMENT_PLAN = Kind(names.COMPUTE, "PlacementPlan", "placementplans", PlacementPlanSpec, PlacementPlanStatus)

KINDS: tuple[Kind[object, object], ...] = (
    AFFINITY_GROUP,
    PLACEMENT_PLAN,
)
