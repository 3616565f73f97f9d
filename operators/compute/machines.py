"""The controller of VirtualMachines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.compute import groups, limits, summary
from operators.compute.act import act, read_secrets
from operators.compute.capacity import Ledger, held
from operators.compute.claims import Claims
from operators.compute.groups import BY_GROUP
from operators.compute.model import VM, Action, Instance, Put, ReadSecrets, Remove, Seen, Volume, Wanted
from operators.compute.observe import observe
from operators.compute.plan import plan
from operators.compute.scheduler import Policy
from operators.compute.waiting import silent
from operators.contract import names
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE, Power
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.keypairs import SSH_KEY_PAIR
from operators.contract.meta import Key, Kind
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW, FlowState
from operators.contract.placement import AFFINITY_GROUP
from operators.contract.quantity import Duration
from operators.contract.reasons import Reason
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME
from operators.contract.tenancy import KINDS as TENANCY
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.cache import AnyObj
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome
from operators.kernel.report import Voice

GIVEN_UP = frozenset({FlowState.CANCELLED, FlowState.COMPENSATING, FlowState.FAILED})
"""States of a deployment after which there may have to be no Instance (see `observe`)."""


class Machines:
    """Gives every VirtualMachine its Instance, and sums up how it is.

    Keys run side by side although scheduling must be serial: a run decides and claims without awaiting anything in
    between (see `capacity.Ledger`), and only then writes.
    """

    name = "machines"
    kind = VIRTUAL_MACHINE
    workers = 8
    voice = Voice()

    def __init__(self, context: Context, ledger: Ledger, policy: Policy, catalogue: str) -> None:
        self._context = context
        self._cache = context.cache
        self._ledger = ledger
        self._claims = Claims(context.store, context.cache, context.clock)
        self._policy = policy
        self._grace = float(Duration.parse(context.env.get("EXPUNGE_DELAY") or "24h"))
        self._catalogue = catalogue
        self._placeless: set[Key] = set()
        """Keys that wait for a host; whatever may make room marks them."""
        self._silent: dict[Key, float] = {}
        """Since when each key is on its way without a word."""
        self._said: dict[Key, float] = {}
        """When each key last got a word."""
        self._refused: dict[Key, tuple[str, str]] = {}
        """The uid of a VirtualMachine, and the host that had no room for it."""
        self._secrets: dict[Key, tuple[str, Mapping[str, Mapping[str, str] | None]]] = {}
        """What was read for a start that is being prepared, with the uid of its VirtualMachine."""
        self._removed: set[str] = set()
        """uids of Instances whose deletion the API server has accepted."""
        cache = context.cache
        cache.index(INSTANCE, "vm", lambda each: (f"{each.meta.namespace}/{each.spec.virtual_machine.name}",))
        cache.index(INSTANCE, "volume", lambda each: {f"{each.meta.namespace}/{name}" for name in held(each)})
        groups.add_index(cache)
        limits.add_index(cache)
        cache.index(VIRTUAL_MACHINE, "volume", _volumes_of)
        cache.index(VIRTUAL_MACHINE, "offering", lambda vm: (vm.spec.offering,))
        cache.index(VIRTUAL_MACHINE, "key-pair", lambda vm: {f"{vm.meta.namespace}/{n}" for n in vm.spec.ssh_key_pairs})
        cache.index(FLOW, "target", lambda flow: (flow.spec.target.uid,))
        cache.index(STORAGE_POOL, "host", lambda pool: (pool.spec.host_name,))
        cache.index(HOST_REPORT, "host", lambda report: (report.spec.host_name,))

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """Which VirtualMachines a change concerns."""
        return {
            VIRTUAL_MACHINE: lambda vm: (vm.key,),
            INSTANCE: self._by_instance,
            SSH_KEY_PAIR: lambda pair: self._keys("key-pair", str(pair.key)),
            PORT: self._by_port,
            VOLUME: self._by_volume,
            FLOW: self._by_flow,
            COMPUTE_OFFERING: lambda each: self._keys("offering", each.meta.name),
            HOST: self._by_host,
            HOST_REPORT: self._waiting,
            STORAGE_POOL: self._waiting,
            ZONE: self._waiting,
            DISK_OFFERING: self._waiting,
            IMAGE: self._waiting,
            VIRTUAL_MACHINE_SNAPSHOT: _of_snapshot,
            **dict.fromkeys(TENANCY, self._waiting),
            AFFINITY_GROUP: lambda group: self._keys(BY_GROUP, str(group.key)),
        }

    def _by_instance(self, instance: Instance) -> Iterable[Key]:
        """Its own VirtualMachine, and those that wait for room or for one of its Volumes, if there may be some now."""
        room = self._ledger.changed(instance.spec.host_name)
        if instance.meta.deleting:
            self._removed.discard(instance.meta.uid)  # seen: the cache itself says so from here on
        yield Key(instance.meta.namespace, instance.spec.virtual_machine.name)
        if room:
            yield from tuple(self._placeless)

    def _by_port(self, port: Any) -> Iterable[Key]:
        """Not of a Port that says nothing yet, whose making was expected; but of one that an Instance may list now."""
        key = Key(port.meta.namespace, port.spec.virtual_machine)
        listing = [port.meta.name in each.spec.ports for each in self._cache.by(INSTANCE, "vm", str(key))]
        if port.spec.virtual_machine and (port.status.conditions or self._goes(port) or not all(listing)):
            yield key

    def _by_flow(self, flow: Any) -> Iterable[Key]:
        """Only where one of the target's Flows is given up: no other says anything to Compute."""
        flows = (flow, *self._cache.by(FLOW, "target", flow.spec.target.uid))
        if any(each.status.state in GIVEN_UP for each in flows):
            yield Key(flow.meta.namespace, flow.spec.target.name)

    def _goes(self, obj: AnyObj) -> bool:
        return obj.meta.deleting or self._cache.get(obj.kind, obj.key) is None

    def _by_volume(self, volume: Volume) -> Iterable[Key]:
        """Not of a root disk that says nothing yet; a Volume of the user's may have been waited for."""
        if volume.status.conditions or names.LABEL_VM_UID not in volume.meta.labels or self._goes(volume):
            yield from self._keys("volume", str(volume.key))
        if self._ledger.volume_changed(volume):
            yield from tuple(self._placeless)

    def _by_host(self, host: Any) -> Iterable[Key]:
        for instance in self._cache.by(INSTANCE, "host", host.meta.name):
            yield Key(instance.meta.namespace, instance.spec.virtual_machine.name)
        yield from tuple(self._placeless)

    def _waiting(self, _: Any) -> Iterable[Key]:
        return tuple(self._placeless)

    def _keys(self, index: str, value: str) -> Iterable[Key]:
        return [vm.key for vm in self._cache.by(VIRTUAL_MACHINE, index, value)]

    async def observe(self, key: Key) -> tuple[Wanted, Seen]:
        """Read one VirtualMachine and what surrounds it. Awaits nothing: see the class."""
        now = self._context.clock.monotonic()
        wanted, seen = observe(
            key,
            self._cache,
            self._ledger,
            catalogue=self._catalogue,
            policy=self._policy,
            grace=self._grace,
            secrets=self._secrets.get(key),
            now=self._context.clock.now().timestamp(),
            waited=now - self._silent.get(key, now),
            said=now - self._said.get(key, now),
            avoid=self._avoided(key),
        )
        if wanted.vm is None:
            self._placeless.discard(key)
            self._ledger.forget(key)
            self._refused.pop(key, None)
            self._silent.pop(key, None)
            self._said.pop(key, None)
        if wanted.vm is None or seen.instance is not None:
            self._ledger.settle(key)  # what is known of it is in the cache
        return wanted, seen

    def _avoided(self, key: Key) -> str:
        vm, (uid, host) = self._cache.get(VIRTUAL_MACHINE, key), self._refused.get(key, ("", ""))
        return host if vm is not None and vm.meta.uid == uid else ""

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """Decide, purely; then note who waits for a host, before anything that makes room can happen."""
        actions, outcome = plan(wanted, seen)
        if outcome.reason == Reason.SECRET_NOT_FOUND or wanted.vm is None:
            self._secrets.pop(wanted.key, None)  # so that it is read anew
        placed = seen.instance is not None and seen.instance.spec.power == "Running"
        placed = placed and outcome.reason != Reason.HOST_FULL
        if wanted.vm is None or isinstance(outcome, Done) or placed or actions:
            self._placeless.discard(wanted.key)
        else:
            self._placeless.add(wanted.key)
        return actions, outcome

    async def act(self, action: Action) -> None:
        """Do one action; a deletion only once, though other events bring us here before the watch tells of it."""
        if isinstance(action, Remove):
            if action.instance.meta.uid in self._removed:
                return
            if action.refused:
                spec = action.instance.spec
                key = Key(action.instance.meta.namespace, spec.virtual_machine.name)
                self._refused[key] = spec.virtual_machine.uid, spec.host_name
            await act(action, self._context.store, self._ledger, self._claims)
            self._removed.add(action.instance.meta.uid)
        elif isinstance(action, ReadSecrets):
            known = self._secrets.get(action.vm, ("", {}))
            kept = known[1] if known[0] == action.uid and not action.needed else {}
            self._secrets[action.vm] = action.uid, {**kept, **await read_secrets(action, self._context.store)}
        else:
            await act(action, self._context.store, self._ledger, self._claims)
            if isinstance(action, Put) and action.spec.power is Power.RUNNING:
                self._secrets.pop(action.vm.key, None)  # the next start reads them anew

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """What the VirtualMachine's status should say; nothing yet of what is on its way."""
        vm = wanted.vm
        if vm is None:
            return ()
        if silent(outcome, seen) or _said_goodbye(vm, outcome):
            self._silent.setdefault(vm.key, self._context.clock.monotonic())
            return ()
        self._silent.pop(vm.key, None)
        self._said[vm.key] = self._context.clock.monotonic()
        return (Report(vm, summary.status(vm, seen, outcome), summary.conditions(vm, seen, outcome)),)


def _said_goodbye(vm: VM, outcome: Outcome) -> bool:
    """Whether the VirtualMachine is as good as gone: nobody would read what is written now."""
    return vm.meta.deleting and isinstance(outcome, Done) and outcome.reason == Reason.DELETING


def _of_snapshot(snapshot: Any) -> Iterable[Key]:
    """Its VirtualMachine, which is not started while its disks are brought back."""
    if snapshot.status.reverting:
        return (Key(snapshot.meta.namespace, snapshot.spec.virtual_machine),)
    return ()


def _volumes_of(vm: VM) -> Iterable[str]:
    root = vm.spec.root_of(vm.meta.name)
    return (f"{vm.meta.namespace}/{name}" for name in (root, *vm.spec.volumes, vm.spec.cdrom) if name)
