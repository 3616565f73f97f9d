"""Snapshots of whole virtual machines, as users state them."""

from __future__ import annotations

from dataclasses import dataclass

from operators.contract import names
from operators.contract.meta import Condition, Kind
from operators.contract.quantity import Quantity
from operators.contract.snapshots import Quiesce


@dataclass(frozen=True, slots=True)
class VirtualMachineSnapshotSpec:
    """All disks of a VirtualMachine as they are at one moment. It outlives the VirtualMachine."""

    virtual_machine: str
    """In the same namespace."""
    quiesce: Quiesce = Quiesce.IF_POSSIBLE
    memory: bool = False
    """Whether the memory of its running guest is kept too. The guest stands still while that is written down."""
    revert_request: int = 0
    """Raise it to have the disks' content replaced by the snapshot's, once: while the VirtualMachine is stopped; with
    memory, while it is to run, and then the guest goes on from where it was."""


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """The snapshot of one of the disks."""

    volume: str
    volume_uid: str
    volume_snapshot: str
    """Name of the VolumeSnapshot."""
    revert: int = 0
    """The VolumeSnapshot's own `revertRequest` by which the present one is done."""


@dataclass(frozen=True, slots=True)
class GuestShape:
    """What a guest had whose memory was kept, which it must have again to go on from there."""

    cpus: int
    memory: Quantity
    max_cpus: int = 0
    max_memory: Quantity | None = None
    ports: tuple[str, ...] = ()
    """Names of its Ports, in the order of its NICs."""


@dataclass(frozen=True, slots=True)
class VirtualMachineSnapshotStatus:
    """Written by Compute."""

    observed_generation: int = 0
    phase: str = ""
    """For printing only."""
    virtual_machine_uid: str = ""
    """Of the VirtualMachine that it found under the name."""
    parts: tuple[SnapshotPart, ...] = ()
    """Its disks in the guest's order; chosen once it is begun."""
    attempt: int = 0
    """How often it was begun anew, since the disks' copies were not of one moment."""
    guest_started_at: str = ""
    """When the guest had last been started as it was begun, by which it is known whether it was started meanwhile."""
    taken_at: str = ""
    quiesced: bool = False
    """Whether the guest held still; else the disks are as a power cut would leave them."""
    running: bool = False
    """Whether the guest ran."""
    guest: GuestShape | None = None
    """What the guest had whose memory is kept."""
    stored: Quantity | None = None
    """What its files take on the pools."""
    parent: str = ""
    """The VirtualMachineSnapshot that the disks were at before; empty for a root of the tree."""
    current: bool = False
    """Whether the disks are what they were at this one, and what was written since."""
    current_since: str = ""
    """When it last became the current one: it was taken, or brought back."""
    reverting: int = 0
    """The newest `spec.revertRequest` that was begun. Until it is done the VirtualMachine is not started."""
    resume_start: int = 0
    """With memory, once the disks of a revert are back: the start of the guest that brings its memory back."""
    revert_observed: int = 0
    """The newest `spec.revertRequest` that was done."""
    conditions: tuple[Condition, ...] = ()
    """`Ready`, `Reverted`."""


VIRTUAL_MACHINE_SNAPSHOT = Kind(
    names.COMPUTE,
    "VirtualMachineSnapshot",
    "virtualmachinesnapshots",
    VirtualMachineSnapshotSpec,
    VirtualMachineSnapshotStatus,
)

KINDS: tuple[Kind[object, object], ...] = (VIRTUAL_MACHINE_SNAPSHOT,)
