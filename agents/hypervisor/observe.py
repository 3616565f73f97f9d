"""Reads the cache and the host into the model; modifies nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from agents.hypervisor import seed
from agents.hypervisor.driver import DiskDevice, Domain, Hypervisor, HypervisorError, NicDevice, medium
from agents.hypervisor.files import Files
from agents.hypervisor.model import Instance, Leaving, Part, Seen, Wanted
from agents.hypervisor.plan import remembers
from operators.contract import names
from operators.contract.instances import InstanceDisk, InstanceNic
from operators.contract.meta import Condition, Key, Meta, condition
from operators.contract.migrations import DiskCopy
from operators.contract.networking import PORT_BINDING
from operators.contract.reasons import Type
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK, DiskSpec
from operators.kernel.cache import Cache
from operators.kernel.clock import Clock, stamp

USUAL_WEIGHT = 100
"""The CPU weight of who asks for none: nobody misses it."""
STRANGE = "it is that of an earlier virtual machine of this name, and goes"


@dataclass(frozen=True, slots=True)
class Timing:
    """What the agent remembers of one domain between runs, in seconds."""

    asked: float | None = None
    """Since the guest was first asked to end."""
    waited: float = 0.0
    """Since the plan is on its way without a word."""
    deadline: float = 30.0
    """That a guest gets to end."""
    hold: float = 0.0
    """Until a start that failed is tried again."""
    failure: str = ""
    leaving: Mapping[str, Leaving] = field(default_factory=dict)
    """What the guest was asked to let go of."""
    holding: bool = False
    """Whether it is to stand still while its memory is written down."""
    mirrored: Mapping[str, float] = field(default_factory=dict)
    """Since a disk was last begun to be copied elsewhere."""


async def observe(
    instance: Instance, cache: Cache, hypervisor: Hypervisor, files: Files, clock: Clock, timing: Timing
) -> tuple[Wanted, Seen]:
    """Everything that the plan of one Instance needs to know."""
    wanted = Wanted(instance)
    domain, job, boot, trouble, tunes = None, None, "", "", True
    try:
        domain = await hypervisor.domain(wanted.uuid)
        if instance.spec.outgoing is not None and domain is not None:
            job = await hypervisor.moving(wanted.uuid)
        boot = await hypervisor.boot()
        if _tuned(instance) and domain is not None:
            tunes = await hypervisor.tunes()
    except HypervisorError as error:
        trouble = str(error)
    on_disk, log_exists = await files.look(wanted.uuid)
    spec = instance.spec
    return wanted, Seen(
        domain=domain,
        trouble=trouble,
        tunes=tunes,
        boot=boot,
        now=stamp(clock.now()),
        disks=tuple(_disk(cache, instance, each) for each in spec.disks),
        nics=tuple(replace(_nic(cache, instance, each), port=each.port) for each in spec.nics),
        owners=_owners(cache, instance, domain),
        seed=on_disk,
        seed_wanted=seed.digest(spec.cloud_init) if spec.cloud_init else "",
        seed_path=files.seed_path(wanted.uuid),
        console_path=files.console_path(wanted.uuid),
        console_exists=log_exists,
        asked=timing.asked,
        deadline=timing.deadline,
        hold=timing.hold,
        failure=timing.failure,
        leaving=timing.leaving,
        mirrored=timing.mirrored,
        unsettled=tuple(_unsettled(cache, domain)),
        waited=timing.waited,
        holding=timing.holding,
        memory=_memory(cache, instance, domain),
        job=job,
    )


def _tuned(instance: Instance) -> bool:
    """Whether the Instance asks for processors by weight or limit, which some hosts cannot give."""
    return instance.spec.cpu_limit > 0 or instance.spec.cpu_weight != USUAL_WEIGHT


def _disk(cache: Cache, instance: Instance, wanted: InstanceDisk) -> Part:
    device, why = _device(cache, instance, wanted.disk, wanted.serial)
    if wanted.cdrom and device is not None:
        inserted = DiskDevice(device.path, medium(device.path), device.format, cdrom=True)
        return Part(wanted.disk, inserted, inserted.serial)
    move = _device(cache, instance, wanted.move_to, wanted.serial)[0] if wanted.move_to else None
    disk = cache.get(DISK, Key(instance.meta.namespace, wanted.disk))
    return Part(wanted.disk, device, wanted.serial, move, why, _copy(disk.spec) if disk is not None else DiskCopy.NONE)


def _memory(cache: Cache, instance: Instance, domain: Domain | None) -> Part | None:
    """The memory that the start which is due brings back; None where it boots."""
    kept = instance.spec.resume_from
    if kept is None or not remembers(instance, domain.record if domain else None):
        return None
    found = cache.get(DISK_SNAPSHOT, Key(instance.meta.namespace, kept.snapshot))
    if found is None or found.meta.deleting:
        return Part(kept.snapshot, why="it is gone: raise spec.resetRequest to have the guest boot from its disks")
    if not found.status.memory:
        return Part(kept.snapshot, why="its file of the guest's memory is not there")
    return Part(kept.snapshot, DiskDevice(found.status.memory, "memory"))


def _device(cache: Cache, instance: Instance, name: str, serial: str) -> tuple[DiskDevice | None, str]:
    """A Disk as a device, or why it is none yet."""
    disk = cache.get(DISK, Key(instance.meta.namespace, name))
    if disk is None:
        return None, "it is not made yet"
    if disk.meta.deleting or _strange(disk.meta, instance):
        return None, "it is being deleted" if disk.meta.deleting else STRANGE
    provisioned = condition(disk.status.conditions, Type.PROVISIONED)
    if provisioned is None or not provisioned.true or not disk.status.path:
        return None, _why(provisioned)
    spec, limits = disk.spec, disk.spec.limits
    return DiskDevice(disk.status.path, serial, spec.format, int(spec.size), limits.iops, int(limits.throughput)), ""


def _unsettled(cache: Cache, domain: Domain | None) -> Iterator[str]:
    """The disks that a guest went over to while Storage still takes the others for its data."""
    for serial, path in domain.record.moved if domain and domain.record else ():
        if any(disk.spec.replaces and not disk.spec.filled for disk in cache.by(DISK, "path", path)):
            yield serial


def _copy(disk: DiskSpec) -> DiskCopy:
    if not disk.copy_of:
        return DiskCopy.NONE
    return DiskCopy.FULL if disk.copy_whole else DiskCopy.INCREMENTAL


def _nic(cache: Cache, instance: Instance, wanted: InstanceNic) -> Part:
    binding = cache.get(PORT_BINDING, Key(instance.meta.namespace, wanted.port_binding))
    if binding is None:
        return Part(wanted.port_binding, why="it is not made yet")
    if binding.meta.deleting:
        return Part(wanted.port_binding, why="it is being deleted")
    if _strange(binding.meta, instance):
        return Part(wanted.port_binding, why=STRANGE)
    programmed = condition(binding.status.conditions, Type.PROGRAMMED)
    if programmed is None or not programmed.true:
        return Part(wanted.port_binding, why=_why(programmed))
    spec = binding.spec
    return Part(wanted.port_binding, NicDevice(spec.bridge, spec.tap, spec.mac, spec.mtu))


def _owners(cache: Cache, instance: Instance, domain: Domain | None) -> dict[str, str]:
    """Whose the NICs of a guest are: as its PortBindings say, and else as was said when these were there."""
    said = {nic.device: nic.port for nic in instance.status.nics if nic.port}
    owners = {}
    for nic in domain.nics if domain is not None else ():
        found = next(iter(cache.by(PORT_BINDING, "tap", nic.tap)), None)
        if port := found.spec.port.name if found is not None else said.get(nic.tap, ""):
            owners[nic.tap] = port
    return owners


def _strange(meta: Meta, instance: Instance) -> bool:
    """Whether it was made for another virtual machine: an earlier one of the same name."""
    return meta.labels.get(names.LABEL_VM_UID, "") not in ("", instance.spec.virtual_machine.uid)


def _why(told: Condition | None) -> str:
    return "its agent has not taken it up yet" if told is None else told.message or told.reason


def names_of(instance: Instance) -> Iterable[str]:
    """The Disks and PortBindings that an Instance waits for, as `namespace/name`."""
    for disk in instance.spec.disks:
        yield f"{instance.meta.namespace}/{disk.disk}"
        if disk.move_to:
            yield f"{instance.meta.namespace}/{disk.move_to}"
    for nic in instance.spec.nics:
        yield f"{instance.meta.namespace}/{nic.port_binding}"
    if instance.spec.resume_from is not None:
        yield f"{instance.meta.namespace}/{instance.spec.resume_from.snapshot}"
