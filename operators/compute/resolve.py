"""Resolves a VirtualMachine into what is to run, with no name left to look up; or says what is missing."""

from __future__ import annotations

from dataclasses import replace

from operators.compute import passwords
from operators.compute.firstboot import Unusable, keys, secrets, user_data
from operators.compute.model import VM, PortView, Seen, VolumeView
from operators.compute.scheduler import DiskNeed, Need
from operators.compute.sizes import refusal, size_of
from operators.contract import names
from operators.contract.compute import ComputeOfferingSpec, Power
from operators.contract.instances import CloudInit, InstanceDisk, InstanceNic, InstanceSpec
from operators.contract.meta import ObjectRef
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked

SERIAL = 20
"""Bytes of a virtio disk's serial number."""


def missing(vm: VM, seen: Seen) -> Blocked | None:
    """What keeps the virtual machine from being placed at all, whatever the hosts; None when nothing does."""
    if seen.offering is None:
        name = vm.spec.offering
        return Blocked(Reason.OFFERING_NOT_FOUND, f"there is no ComputeOffering {name}: make it, or name another")
    if (why := refusal(vm, seen.offering)) != "":
        return Blocked(Reason.INVALID, why)
    zone = vm.spec.placement.zone
    if zone and zone not in seen.zones:
        return Blocked(Reason.ZONE_NOT_FOUND, f"there is no Zone {zone}: make it, or take it out of spec.placement")
    if seen.unknown_group:
        message = (
            f"there is no AffinityGroup {seen.unknown_group} in this namespace: make it, or take it out of the spec"
        )
        return Blocked(Reason.AFFINITY_GROUP_NOT_FOUND, message)
    if (taken := port_taken(seen)) is not None:
        return taken
    return next((found for volume in seen.volumes if (found := unusable(volume)) is not None), None)


def port_taken(seen: Seen) -> Blocked | None:
    """What is said where somebody's own Port has the name of one that is needed."""
    return next((_name_taken("Port", port.name) for port in seen.ports if port.taken), None)


def _name_taken(kind: str, name: str) -> Blocked:
    message = f"{kind} {name} is somebody's own, and the virtual machine needs one of that name: delete it, or "
    return Blocked(Reason.NAME_TAKEN, f"{message}name the virtual machine otherwise")


def unusable(volume: VolumeView, host: str = "") -> Blocked | None:
    """Why a Volume cannot be had, on a host if one is given; or None."""
    name = volume.name
    if host and volume.bound and volume.host not in ("", host):
        message = f"Volume {name} is on host {volume.host}, which host {host} does not reach: move it, or take it out"
        return Blocked(Reason.NO_HOST_FITS, message)
    if volume.taken:
        return _name_taken("Volume", name)
    if volume.used_by:
        message = f"Volume {name} is attached to VirtualMachine {volume.used_by}: take it out of that one's spec first"
        return Blocked(Reason.STILL_ATTACHED, message)
    if volume.deleting and volume.expected:
        return Blocked(Reason.DELETING, f"Volume {name} of an earlier virtual machine is still being removed")
    if volume.deleting:
        return Blocked(Reason.VOLUME_NOT_FOUND, f"Volume {name} is being deleted: name another, or make it anew")
    if not volume.exists and not volume.expected:
        message = f"there is no Volume {name} in this namespace: make it, or take it out of the spec"
        return Blocked(Reason.VOLUME_NOT_FOUND, message)
    if volume.settling:
        message = f"Volume {name} is being made from its snapshot, on the host where that is"
        return Blocked(Reason.WAITING_FOR_VOLUMES, message)
    if volume.image_on is not None and not volume.image_on:
        message = f"the Image of Volume {name} is not made yet, so nobody knows where it will be; see its conditions"
        return Blocked(Reason.WAITING_FOR_IMAGE, message)
    if volume.offering:
        message = f"there is no DiskOffering {volume.offering} for Volume {name}: make it, or name another"
        return Blocked(Reason.OFFERING_NOT_FOUND, message)
    return None


def need(vm: VM, offering: ComputeOfferingSpec, seen: Seen) -> Need:
    """What the scheduler is to find a host for."""
    placement, size = vm.spec.placement, size_of(vm, offering)
    return Need(
        namespace=vm.meta.namespace,
        cpus=size.cpus,
        memory=int(size.memory),
        host_tags=offering.host_tags,
        zone=placement.zone,
        group=placement.group,
        host=placement.host,
        disks=disks(vm, seen),
        groups=seen.groups,
    )


def disks(vm: VM, seen: Seen) -> tuple[DiskNeed, ...]:
    """What its Volumes ask of pools."""
    return tuple(
        DiskNeed(each.name, each.size, each.tags, each.pool, each.bound, each.host, vm.meta.namespace, each.image_on)
        for each in seen.volumes
    )


def instance_spec(vm: VM, offering: ComputeOfferingSpec, seen: Seen, host: str, start_request: int) -> InstanceSpec:
    """The Instance on a host, to be started."""
    name, namespace, size = vm.meta.name, vm.meta.namespace, size_of(vm, offering)
    return InstanceSpec(
        host_name=host,
        virtual_machine=ObjectRef(name, vm.meta.uid, namespace, vm.kind.kind),
        domain=names.domain(namespace, name, vm.meta.uid),
        cpus=size.cpus,
        memory=size.memory,
        max_cpus=size.max_cpus,
        max_memory=size.memory,
        cpu_weight=offering.cpu_weight,
        cpu_limit=offering.cpu_limit,
        disks=tuple(disk_of(volume, host) for volume in seen.volumes),
        nics=tuple(nic_of(port, host, offering.network_rate) for port in seen.ports if not port.deleting),
        boot_from=vm.spec.boot_from,
        cloud_init=CloudInit(
            instance_id=vm.meta.uid,
            hostname=vm.spec.hostname or name,
            ssh_keys=keys(vm, seen),
            user_data=_user_data(vm, seen),
        ),
        power=Power.RUNNING,
        paused=vm.spec.paused,
        stop_deadline=vm.spec.stop_deadline,
        reboot_request=vm.spec.reboot_request,
        reset_request=vm.spec.reset_request,
        start_request=start_request,
        password=passwords.handed(vm, seen),
        offering=offering.display_name or vm.spec.offering,
        zone=_zone(seen, host),
    )


def _zone(seen: Seen, host: str) -> str:
    """That of the host, which does not change under a guest."""
    found = next((each.zone for each in seen.hosts if each.name == host), "")
    return found or (seen.instance.spec.zone if seen.instance else "")


def live_disks(seen: Seen, instance: InstanceSpec) -> tuple[InstanceDisk, ...]:
    """The disks that a running guest is to have: those it has and keeps, in their order, then those that come.

    What cannot be had is left out, but is not taken from a guest that has it."""
    host, now = instance.host_name, {disk.volume: disk for disk in instance.disks}
    asked = {volume.name: volume for volume in seen.volumes}
    kept = [disk for disk in instance.disks if disk.volume in asked]
    moved = {name: disk_of(volume, host) for name, volume in asked.items()}
    had = (disk if unusable(asked[disk.volume], host) else moved[disk.volume] for disk in kept)
    new = (moved[name] for name, volume in asked.items() if name not in now and unusable(volume, host) is None)
    return (*had, *new)


def disk_of(volume: VolumeView, host: str) -> InstanceDisk:
    """A Volume as an Instance on a host lists it."""
    there = volume.disk_host in ("", host)
    return InstanceDisk(
        disk_on(volume, host),
        volume.name,
        serial(volume.name),
        move_to=volume.move_to if there else "",
        cdrom=volume.cdrom,
    )


def kept_disks(seen: Seen, instance: InstanceSpec) -> tuple[InstanceDisk, ...]:
    """The disks that a stopped guest keeps: a Volume that it is no longer to have is free at once.

    What is to come is listed when it starts."""
    asked = {volume.name for volume in seen.volumes}
    return tuple(disk for disk in instance.disks if disk.volume in asked)


def nic_of(port: PortView, host: str, rate: int) -> InstanceNic:
    """A NIC as an Instance on a host lists it."""
    return InstanceNic(port.name, names.port_binding(port.name, host), rate, port.default)


def nics(seen: Seen, instance: InstanceSpec) -> tuple[InstanceNic, ...]:
    """The NICs that an Instance is to have, whether or not its guest runs: in the order of the spec.

    A Port that is being deleted is let go of, for another one of its name; one that is not there yet is not listed
    before it is, so that what is listed is never that which goes. What is there, stays."""
    has = {nic.port: nic for nic in instance.nics}
    rate = seen.offering.network_rate if seen.offering is not None else 0
    kept = (port for port in seen.ports if not port.deleting and (port.exists or port.name in has))
    return tuple(
        replace(has[port.name], default_route=port.default)
        if port.name in has
        else nic_of(port, instance.host_name, rate)
        for port in kept
    )


def disk_on(volume: VolumeView, host: str) -> str:
    """The Disk by which a host reaches a Volume: its own, or one that shows it to another host of a shared pool."""
    return volume.disk if volume.disk_host in ("", host) else names.disk_on(volume.name, host)


def _user_data(vm: VM, seen: Seen) -> str:
    """Its user data; that which its guest has already while its Secrets are not at hand, which they are for a start."""
    if not secrets(vm) <= (seen.secrets or {}).keys():
        has = seen.instance.spec.cloud_init if seen.instance else None
        return has.user_data if has else ""
    try:
        return user_data(vm, seen)
    except Unusable:
        return ""  # and it is not started: see `firstboot.lack`


def serial(volume: str) -> str:
    """What the guest finds the disk by (`/dev/disk/by-id/virtio-<serial>`): the Volume's name, where it fits."""
    return volume if len(volume) <= SERIAL else f"{volume[: SERIAL - 9]}-{names.digest(volume)}"


def differences(now: InstanceSpec, asked: InstanceSpec) -> str:
    """What only a stop and a start would bring about, in words; empty when nothing."""
    said = []
    if now.cpus != asked.cpus:
        said.append(f"{asked.cpus} CPUs instead of {now.cpus}")
    if now.memory != asked.memory:
        most = f" (more than it was started with, {Quantity(now.most_memory)}, a running guest is not given)"
        why = most if asked.memory > now.most_memory else ""
        said.append(f"{asked.memory} of memory instead of {now.memory}{why}")
    if now.cpu_weight != asked.cpu_weight:
        said.append(f"CPU weight {asked.cpu_weight} instead of {now.cpu_weight}")
    if now.cpu_limit != asked.cpu_limit:
        said.append(f"a CPU limit of {asked.cpu_limit}% instead of {now.cpu_limit}%")
    before, after = ([disk.volume for disk in spec.disks] for spec in (now, asked))
    if before != after and set(before) == set(after):  # others come and go while it runs
        said.append("its Volumes in another order")
    if now.boot_from != asked.boot_from:
        said.append(f"booting from {asked.boot_from}")
    if now.cloud_init != asked.cloud_init:
        said.append("its host name, SSH keys or user data (which most guests read at their first boot only)")
    return ", ".join(said)
