"""Reads the cache into the model; modifies nothing, and never waits (see `capacity.Ledger`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from operators.compute import images, limits
from operators.compute.capacity import Ledger
from operators.compute.groups import group_needs, unknown_group
from operators.compute.hosts import host_views
from operators.compute.model import VM, HostNow, Instance, PortView, Seen, Volume, VolumeView, Wanted
from operators.compute.plan import refused
from operators.compute.scheduler import DiskNeed, Policy
from operators.compute.sizes import live
from operators.compute.snapshots.asked import brought_back
from operators.contract import names
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE, Nic, Power, RunPolicy
from operators.contract.fabric import HOST, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.keypairs import SSH_KEY_PAIR
from operators.contract.meta import Key, Meta, condition
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW, FlowState, OnFailure, Operation
from operators.contract.reasons import Reason, Type
from operators.contract.storage import DISK_OFFERING, VOLUME
from operators.kernel.cache import Cache


def observe(
    key: Key,
    cache: Cache,
    ledger: Ledger,
    *,
    catalogue: str,
    policy: Policy,
    grace: float,
    now: float,
    waited: float,
    said: float,
    avoid: str = "",
    secrets: tuple[str, Mapping[str, Mapping[str, str] | None]] | None = None,
) -> tuple[Wanted, Seen]:
    """Everything that the plan of one VirtualMachine needs to know."""
    vm = cache.get(VIRTUAL_MACHINE, key)
    uid = vm.meta.uid if vm else ""
    named = cache.by(INSTANCE, "vm", str(key))
    of_it = [each for each in named if each.spec.virtual_machine.uid == uid]
    own = sorted((each for each in of_it if not expects(each)), key=_standing)
    orphans = tuple(each for each in named if each.spec.virtual_machine.uid != uid)
    if vm is None:
        return Wanted(key, None), Seen(orphans=orphans, now=now, waited=waited)
    seen = survey(vm, cache, ledger, catalogue, policy, hosts=_to_place(vm, own, cache))
    return Wanted(key, vm), replace(
        seen,
        moving=_moving(own, of_it),
        reverting=brought_back(vm, own[0] if own else None, cache),
        untaken=_untaken(own, seen.volumes),
        ports=tuple(_port(vm, nic, cache) for nic in vm.spec.interfaces),
        instances=tuple(own),
        orphans=orphans,
        host=host_now(cache, own[0].spec.host_name) if own else None,
        given_up=_given_up(vm, cache),
        uncertain=_uncertain(vm, ledger) if not own else None,
        now=now,
        waited=waited,
        said=said if _says_no_host_fits(vm) else None,
        avoid=avoid,
        grace=grace,
        secrets=secrets[1] if secrets and secrets[0] == uid else None,
    )


def survey(vm: VM, cache: Cache, ledger: Ledger, catalogue: str, policy: Policy, *, hosts: bool = True) -> Seen:
    """What the scheduler reckons with: what a virtual machine needs, and what each host has."""
    offering = cache.get(COMPUTE_OFFERING, Key("", vm.spec.offering))
    return Seen(
        offering=offering.spec if offering else None,
        volumes=tuple(volumes_of(vm, cache, ledger, catalogue)),
        zones=frozenset(zone.meta.name for zone in cache.all(ZONE)) if vm.spec.placement.zone else frozenset(),
        hosts=host_views(cache, ledger, vm.meta.namespace, vm.meta.uid) if hosts else (),
        groups=tuple(group_needs(vm, cache, ledger)) if hosts else (),
        rooms=limits.rooms(vm, cache, ledger) if hosts else (),
        unknown_group=unknown_group(vm, cache),
        keys=_keys(vm, cache),
        policy=policy,
    )


def _keys(vm: VM, cache: Cache) -> dict[str, str]:
    """The public keys of the SSHKeyPairs it names, as far as they are there."""
    pairs = ((name, cache.get(SSH_KEY_PAIR, Key(vm.meta.namespace, name))) for name in vm.spec.ssh_key_pairs)
    return {name: pair.status.public_key for name, pair in pairs if pair and pair.status.public_key}


def expects(instance: Instance) -> bool:
    """Whether a guest is to arrive there with a Migration, which alone sees to that Instance until it has."""
    return instance.spec.incoming is not None and not instance.spec.incoming.committed


def _standing(instance: Instance) -> tuple[bool, bool, str, str]:
    """The order in which several Instances of one VirtualMachine count: one that stays before one that goes.

    One whose guest was to leave comes after one that is not expecting it any more: it has arrived."""
    meta = instance.meta
    return meta.deleting, instance.spec.outgoing is not None, meta.creation_timestamp, meta.name


def _moving(own: Sequence[Instance], of_it: Iterable[Instance]) -> str:
    """Where the guest moves to; empty when it stays, or has moved."""
    if own and own[0].spec.outgoing is not None:
        return own[0].spec.outgoing.to_host
    return next((each.spec.host_name for each in of_it if expects(each) and not (own and each.meta.deleting)), "")


def _untaken(of_it: Iterable[Instance], volumes: Iterable[VolumeView]) -> frozenset[str]:
    """Instances that a guest has come to with disks of which Storage has yet to take the new place as theirs.

    Once such an Instance were gone, nobody could tell which of two copies is the data."""
    there = {volume.name: volume.disk_host for volume in volumes if volume.host and not volume.deleting}
    return frozenset(
        each.meta.name
        for each in of_it
        if each.spec.incoming is not None
        and each.spec.incoming.committed
        and each.spec.outgoing is None  # it has moved on
        and any(there.get(disk.volume, each.spec.host_name) != each.spec.host_name for disk in each.spec.disks)
    )


def _to_place(vm: VM, own: list[Instance], cache: Cache) -> bool:
    """Whether the scheduler is asked: nothing else needs to look at all hosts."""
    if vm.spec.wanted is not RunPolicy.RUNNING:
        return False
    if not own or own[0].spec.power is not Power.RUNNING or refused(own[0]):
        return True
    offering, now = cache.get(COMPUTE_OFFERING, Key("", vm.spec.offering)), own[0].spec
    asked = live(vm, offering.spec if offering else None, now)
    return asked.cpus > now.cpus or asked.memory > now.memory


def _says_no_host_fits(vm: VM) -> bool:
    ready = condition(vm.status.conditions, Type.READY)
    return ready is not None and ready.reason == Reason.NO_HOST_FITS and ready.observed_generation == vm.meta.generation


def _uncertain(vm: VM, ledger: Ledger) -> Key | None:
    """The Instance of a claim whose write was not answered."""
    claim = ledger.pending(vm.key)
    return Key(vm.meta.namespace, names.instance(vm.meta.name)) if claim else None


def host_now(cache: Cache, name: str) -> HostNow:
    """A host, as far as an Instance on it is concerned."""
    host = cache.get(HOST, Key("", name))
    if host is None:
        return HostNow(name, exists=False, reachable=False, message="there is no Host of that name any more")
    reachable = condition(host.status.conditions, Type.REACHABLE)
    # A host that nobody has looked at yet is no news about its guests.
    up = reachable is None or reachable.status != "False"
    return HostNow(name, reachable=up, message=reachable.message if reachable else "")


def volumes_of(vm: VM, cache: Cache, ledger: Ledger, catalogue: str) -> Iterable[VolumeView]:
    """The Volumes that a virtual machine lists, its root disk first."""
    root = vm.spec.root_of(vm.meta.name)
    yield _volume(vm, root, cache, ledger, catalogue, made=not vm.spec.root_volume)
    for name in vm.spec.volumes:
        yield _volume(vm, name, cache, ledger, catalogue, made=False)
    if vm.spec.cdrom:
        yield replace(_volume(vm, vm.spec.cdrom, cache, ledger, catalogue, made=False), cdrom=True)


def _volume(vm: VM, name: str, cache: Cache, ledger: Ledger, catalogue: str, *, made: bool) -> VolumeView:
    """A Volume; `made` says that Orchestration makes it for this very VirtualMachine."""
    key = Key(vm.meta.namespace, name)
    volume = cache.get(VOLUME, key)
    users = ledger.users(key, cache.by(INSTANCE, "volume", str(key)), without=vm.meta.uid)
    used_by = next(iter(users), "")
    root = made or name == vm.spec.root_volume
    if volume is not None and made and _strange(volume.meta, vm):
        # An earlier virtual machine's root disk: it is on its way out, and nothing about it binds this one.
        return VolumeView(
            name, root, expected=True, deleting=volume.meta.deleting, used_by=used_by, disk=names.disk(name)
        )
    if volume is not None and made and _taken(volume.meta, vm):
        return VolumeView(name, root, expected=True, taken=True, used_by=used_by, disk=names.disk(name))
    offering_name = volume.spec.disk_offering if volume else vm.spec.root_disk_offering or "standard"
    offering = cache.get(DISK_OFFERING, Key("", offering_name))
    if volume is None:
        size = int(vm.spec.root_disk_size or 0) if made else 0
        image = images.find(vm.spec.image, vm.meta.namespace, cache, catalogue) if made else None
        return VolumeView(
            name,
            root,
            expected=made,
            exists=False,
            used_by=used_by,
            disk=names.disk(name),
            size=max(size, images.size(image)),
            image_on=images.pools(image),
            tags=offering.spec.tags if offering else frozenset(),
            offering=offering_name if made and offering is None else "",
        )
    status, ready = volume.status, condition(volume.status.conditions, Type.READY)
    asks = disk_need(volume, cache, catalogue)
    return VolumeView(
        name,
        root,
        expected=made,
        deleting=volume.meta.deleting,
        settling=bool(volume.spec.source.snapshot or volume.spec.source.volume) and not status.pool,
        ready=ready is not None and ready.true,
        reason=ready.reason if ready else "",
        message=ready.message if ready else "",
        used_by=used_by,
        disk=status.disk or names.disk(name),
        disk_host=status.disk_host,
        move_to=status.move_to,
        pool=asks.pool,
        asked_pool=volume.spec.pool,
        host=asks.host,
        bound=asks.bound,
        size=asks.size,
        image_on=asks.image_on,
        tags=asks.tags,
        offering=offering_name if offering is None and not status.pool else "",
    )


def disk_need(volume: Volume, cache: Cache, catalogue: str) -> DiskNeed:
    """What a Volume asks of a pool."""
    spec, status = volume.spec, volume.status
    offering = cache.get(DISK_OFFERING, Key("", spec.disk_offering))
    size = int(status.size or spec.size or (offering.spec.size if offering else 0) or 0)
    image = images.find(spec.source.image, volume.meta.namespace, cache, catalogue)
    return DiskNeed(
        volume.meta.name,
        max(size, images.size(image)),
        offering.spec.tags if offering else frozenset(),
        status.pool or spec.pool,
        bound=bool(status.pool),
        host=status.host_name,
        namespace=volume.meta.namespace,
        image_on=None if status.pool else images.pools(image),
    )


def _taken(meta: Meta, vm: VM) -> bool:
    """Whether the object has the name of one that Orchestration makes for the VirtualMachine, and nobody's owner."""
    return not any(owner.kind == vm.kind.kind for owner in meta.owner_references)


def _strange(meta: Meta, vm: VM) -> bool:
    """Whether a VirtualMachine owns the object, and not this one."""
    owners = [owner.uid for owner in meta.owner_references if owner.kind == vm.kind.kind]
    return bool(owners) and vm.meta.uid not in owners


def _port(vm: VM, nic: Nic, cache: Cache) -> PortView:
    name = names.port(vm.meta.name, nic.name)
    view = PortView(name, nic.name, nic.network, nic.default)
    port = cache.get(PORT, Key(vm.meta.namespace, name))
    if port is None or _strange(port.meta, vm):
        return view
    if port.meta.deleting:
        return replace(view, deleting=True)
    if _taken(port.meta, vm):
        return replace(view, taken=True)
    ready = condition(port.status.conditions, Type.READY)
    return replace(
        view,
        exists=True,
        ready=ready is not None and ready.true,
        ip=port.status.ip,
        mac=port.status.mac,
        reason=ready.reason if ready else "",
        message=ready.message if ready else "",
    )


def _given_up(vm: VM, cache: Cache) -> str:
    """Why the newest operation on the virtual machine asks for no Instance: a deployment that was given up."""
    flows = [
        flow
        for flow in cache.by(FLOW, "target", vm.meta.uid)
        if flow.meta.name
        == names.flow(vm.meta.name, vm.meta.uid, flow.spec.operation.value, flow.spec.target_generation)
    ]
    newest = max(
        flows,
        key=lambda flow: (flow.spec.target_generation, flow.meta.creation_timestamp, flow.meta.name),
        default=None,
    )
    if newest is None or newest.spec.operation is not Operation.DEPLOY:
        return ""
    state, compensates = newest.status.state, newest.spec.on_failure is OnFailure.COMPENSATE
    if state == FlowState.CANCELLED:
        return f"its deployment was cancelled (Flow {newest.meta.name}); change the spec to begin anew"
    if state == FlowState.COMPENSATING or (state == FlowState.FAILED and compensates):
        error = newest.status.error.text if newest.status.error else "see its steps"
        return f"its deployment failed and was taken back (Flow {newest.meta.name}): {error}"
    return ""
