"""How large virtual machines are: their offering's size, or of a custom offering what their owner chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from operators.api import errors
from operators.api.cloud import ComputeOffering
from operators.contract.codec import Json
from operators.contract.compute import CustomRange, VirtualMachineSpec
from operators.contract.quantity import Quantity

MIB = 2**20
CPUS, MEMORY = "cpunumber", "memory"
"""Keys of `details`, in which callers choose; the parser has them in lower case."""
IGNORED = frozenset({"cpuspeed"})
ABOUT = "The size, of a custom offering: details[0].cpuNumber=2&details[0].memory=1024 (MB)"


@dataclass(frozen=True, slots=True)
class Size:
    """What a guest gets."""

    cpus: int
    memory: int
    """In MiB."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The part of the size that a caller chose; the offering's own where nothing was."""

    cpus: int = 0
    memory: Quantity | None = None

    @property
    def spec(self) -> Json:
        """The fields of a VirtualMachine's spec, to be merged: what is left to the offering is taken away."""
        return {"cpus": self.cpus or None, "memory": str(self.memory) if self.memory is not None else None}


def size_of(offering: ComputeOffering | None, asked: VirtualMachineSpec | Choice) -> Size:
    """The size of a virtual machine; nothing while its offering does not exist."""
    if offering is None:
        return Size(0, 0)
    spec = offering.spec
    if spec.custom is None:
        return Size(spec.cpus, int(spec.memory) // MIB)
    return Size(asked.cpus or spec.cpus, int(asked.memory or spec.memory) // MIB)


def chosen(command: str, offering: ComputeOffering, details: Sequence[Mapping[str, str]]) -> Choice:
    """What the caller chose, within what the offering leaves to it."""
    said = {key: value for each in details for key, value in each.items() if key not in IGNORED and value}
    for key in sorted(said.keys() - {CPUS, MEMORY}):
        raise errors.parameter_not_yet(command, f"details.{key}")
    custom = offering.spec.custom
    if custom is None:
        if said:
            raise errors.invalid(f"Service offering {offering.meta.name} is of one size: leave details out")
        return Choice()
    cpus, memory = _number(command, said, CPUS), _number(command, said, MEMORY)
    _within(custom, cpus, memory)
    return Choice(cpus or 0, Quantity(memory * MIB) if memory is not None else None)


def _within(custom: CustomRange, cpus: int | None, memory: int | None) -> None:
    if cpus is not None and not custom.min_cpus <= cpus <= custom.max_cpus:
        limits = f"{custom.min_cpus} and {custom.max_cpus}"
        raise errors.invalid(f"Invalid CPU cores value, specify a value between {limits}")
    if memory is not None and not custom.min_memory <= memory * MIB <= custom.max_memory:
        limits = f"{-(-int(custom.min_memory) // MIB)} and {int(custom.max_memory) // MIB}"
        raise errors.invalid(f"Invalid memory value, specify a value between {limits}")


def _number(command: str, said: Mapping[str, str], key: str) -> int | None:
    text = said.get(key, "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise errors.bad_value(command, f"details.{key}", text)
    return int(text)
