"""Reads the cache into the model; modifies nothing, and never waits."""

from __future__ import annotations

from operators.compute.capacity import Ledger
from operators.compute.model import VM, Instance
from operators.compute.observe import expects
from operators.compute.snapshots.asked import BY_VM
from operators.compute.snapshots.model import Seen, SnapshotObj
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.cache import Cache


def observe(snapshot: SnapshotObj, cache: Cache, ledger: Ledger, now: str) -> Seen:
    """Everything that the plan of one VirtualMachineSnapshot needs to know."""
    space = snapshot.meta.namespace
    key = Key(space, snapshot.spec.virtual_machine)
    vm = cache.get(VIRTUAL_MACHINE, key)
    uid = snapshot.status.virtual_machine_uid or (vm.meta.uid if vm else "")
    mine = [each for each in cache.by(INSTANCE, BY_VM, str(key)) if each.spec.virtual_machine.uid == uid]
    here = sorted((each for each in mine if not expects(each)), key=_order)
    wanted = volumes_of(vm) if vm is not None else ()
    listed = dict.fromkeys((*wanted, *(part.volume for part in snapshot.status.parts)))
    volumes = ((name, cache.get(VOLUME, Key(space, name))) for name in listed)
    named = cache.by(VIRTUAL_MACHINE_SNAPSHOT, BY_VM, str(key))
    return Seen(
        vm=vm,
        instance=here[0] if here else None,
        moving=any(expects(each) or each.spec.outgoing is not None for each in mine),
        starting=ledger.pending(key) is not None,
        wanted=wanted,
        volumes={name: volume for name, volume in volumes if volume is not None},
        made={each.meta.name: each for each in cache.owned(VOLUME_SNAPSHOT, snapshot.meta.uid)},
        others=tuple(each for each in named if each.meta.uid != snapshot.meta.uid and _uid(each) in ("", uid)),
        now=now,
    )


def _order(instance: Instance) -> tuple[bool, bool, str]:
    return instance.meta.deleting, instance.spec.outgoing is not None, instance.meta.name


def _uid(snapshot: SnapshotObj) -> str:
    return snapshot.status.virtual_machine_uid


def volumes_of(vm: VM) -> tuple[str, ...]:
    """Names of the Volumes that a VirtualMachine lists, its root disk first."""
    return (vm.spec.root_of(vm.meta.name), *vm.spec.volumes)
