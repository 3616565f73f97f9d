"""The InstanceGroup: a name that people sort virtual machines by."""

from __future__ import annotations

from dataclasses import dataclass

from operators.contract import names
from operators.contract.compute import CatalogueStatus
from operators.contract.meta import Kind


@dataclass(frozen=True, slots=True)
class InstanceGroupSpec:
    """Virtual machines of one namespace that people look at together: those with the label `names.LABEL_GROUP`."""

    description: str = ""


INSTANCE_GROUP = Kind(names.COMPUTE, "InstanceGroup", "instancegroups", InstanceGroupSpec, CatalogueStatus)

KINDS: tuple[Kind[object, object], ...] = (INSTANCE_GROUP,)
