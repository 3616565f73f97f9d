"""Read a Flow, its target and all that was made for it from the cache."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW, Operation
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache
from operators.orchestration.drafts import drafts
from operators.orchestration.flows.model import Seen, Wanted
from operators.orchestration.record import VM, Flow, ended, newest, target_key


def observe(cache: Cache, key: Key, now: datetime, ttl: float) -> tuple[Wanted, Seen] | None:
    """What is to be carried out, and what there is of it; None for a Flow that is gone."""
    flow = cache.get(FLOW, key)
    if flow is None:
        return None
    uid = flow.spec.target.uid
    vm = cache.get(VIRTUAL_MACHINE, target_key(flow))
    if vm is not None and vm.meta.uid != uid:
        vm = None
    siblings = cache.by(FLOW, "target", uid)
    counts = newest(siblings)
    seen = Seen(
        now=now,
        vm=vm,
        ports={port.meta.name: port for port in cache.owned(PORT, uid)},
        roots={volume.meta.name: volume for volume in cache.owned(VOLUME, uid) if _ours(volume.meta.labels, uid)},
        volumes={} if vm is None else {name: cache.get(VOLUME, Key(key.namespace, name)) for name in _volume_names(vm)},
        instances=cache.by(INSTANCE, "vm", uid),
        taken=frozenset() if vm is None else _taken(cache, vm, flow),
        newest=counts.meta.name if counts else "",
        unfinished=tuple(each.meta.name for each in siblings if each.key != key and _ends_first(each)),
    )
    return Wanted(flow, ttl), seen


def _ends_first(other: Flow) -> bool:
    """Whether a deletion waits for it: not for another deletion, which would wait for the first, and does the same."""
    return other.spec.operation is not Operation.DESTROY and not ended(other)


def _ours(labels: Mapping[str, str], uid: str) -> bool:
    """Whether we made it. A user may make the VirtualMachine own a data Volume, for Kubernetes to delete."""
    return labels.get(names.LABEL_VM_UID) == uid


def _volume_names(vm: VM) -> tuple[str, ...]:
    spec = vm.spec
    return tuple(name for name in (spec.root_volume, *spec.volumes, spec.cdrom) if name)


def _taken(cache: Cache, vm: VM, flow: Flow) -> frozenset[str]:
    """Objects of a name that is needed which are somebody else's, or an earlier VirtualMachine's."""
    taken = set()
    for draft in drafts(vm, flow.meta.name):
        found = cache.get(draft.kind, draft.key)
        if found is not None and all(owner.uid != vm.meta.uid for owner in found.meta.owner_references):
            taken.add(str(draft))
    return frozenset(taken)
