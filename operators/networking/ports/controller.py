"""The controller of Ports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract.fabric import HOST_REPORT
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, condition, holds
from operators.contract.networking import (
    HOST_NETWORK,
    NETWORK,
    PORT,
    PORT_BINDING,
    ROUTER,
    PortStatus,
)
from operators.contract.reasons import Reason, Type
from operators.kernel.cache import AnyObj
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome
from operators.kernel.report import Voice
from operators.networking import lookup
from operators.networking.lookup import BY_HOST, BY_NETWORK
from operators.networking.ports import act, observe
from operators.networking.ports.model import Action, PortObj, Seen
from operators.networking.ports.plan import bound_to, plan, reservation

PASSING = frozenset(
    {Reason.PROGRESSING, Reason.PROVISIONING, Reason.WAITING_FOR_NETWORK, Reason.WAITING_FOR_HOST, Reason.DELETING}
)
"""Reasons that nobody needs to be told of: they pass by themselves, and what they wait for tells its own story."""

LASTING = frozenset({Reason.WAITING_FOR_NETWORK, Reason.WAITING_FOR_HOST})
"""Those that may last, as for a virtual machine that nobody starts."""


class Ports:
    """Keyed by Port."""

    name = "ports"
    kind = PORT
    workers = 8
    voice = Voice()

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._cache = context.cache

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {
            PORT: lambda port: [port.key],
            NETWORK: lambda network: self._unready(network.key),
            ROUTER: self._of_router,
            HOST_NETWORK: lambda each: self._on_host(each.spec.host_name),
            PORT_BINDING: lambda binding: [Key(binding.meta.namespace, binding.spec.port.name)],
            INSTANCE: self._of_changed_instance,
            HOST_REPORT: lambda report: self._on_host(report.spec.host_name),
        }

    async def observe(self, key: Key) -> tuple[PortObj, Seen] | None:
        return observe.observe(self._cache, key)

    def plan(self, wanted: PortObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        await act.act(self._store, action)

    def report(self, wanted: PortObj, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """One write when all is done; before that only what somebody has to know."""
        if wanted.meta.deleting and isinstance(outcome, Done):
            return ()
        passing = not isinstance(outcome, Done) and outcome.reason in PASSING
        said = condition(wanted.status.conditions, Type.READY)
        # What was said once must not stand when it is over, even if nobody needs to be told of what comes next.
        over = said is not None and outcome.reason in LASTING and outcome.reason != said.reason
        if passing and not over and not (said and said.true):
            return ()
        reserved = reservation(wanted, seen.router)
        bound = bound_to(seen)
        fields = PortStatus(
            phase=_phase(wanted, outcome, bound is not None),
            ip=reserved.ip if reserved else wanted.status.ip,
            mac=reserved.mac if reserved else wanted.status.mac,
            gateway=seen.router.spec.gateway.partition("/")[0] if seen.router else "",
            host_name=bound.spec.host_name if bound else "",
            binding=bound.meta.name if bound else "",
        )
        return (Report(wanted, fields),)

    def _of_changed_instance(self, instance: AnyObj) -> Iterable[Key]:
        """Its Ports, and those that it listed before; of one that stays, only those that are not ready on its host."""
        stays = not instance.meta.deleting and self._cache.get(INSTANCE, instance.key) is not None
        listed = set(_of_instance(instance))
        for key in lookup.of_machine(self._cache, instance):
            port = self._cache.get(PORT, key)
            settled = port is not None and _ready(port) and port.status.host_name == instance.spec.host_name
            if not (stays and settled and key in listed):
                yield key

    def _unready(self, network: Key) -> Iterable[Key]:
        return [port.key for port in self._cache.by(PORT, BY_NETWORK, str(network)) if not _ready(port)]

    def _of_router(self, router: AnyObj) -> Iterable[Key]:
        """Those Ports of which the ledger says something new: nearly always one, of perhaps hundreds."""
        told = {each.port.uid: (each.ip, each.mac) for each in router.spec.reservations}
        network = f"{router.meta.namespace}/{router.spec.network.name}"
        for port in self._cache.by(PORT, BY_NETWORK, network):
            if not _ready(port) or told.get(port.meta.uid) != (port.status.ip, port.status.mac):
                yield port.key

    def _on_host(self, host: str) -> Iterable[Key]:
        """Those that are not ready of the guests on one host; what a network is elsewhere is none of their business."""
        for instance in self._cache.by(INSTANCE, BY_HOST, host):
            for key in _of_instance(instance):
                port = self._cache.get(PORT, key)
                if port is not None and not _ready(port):
                    yield key


def _of_instance(instance: AnyObj) -> Iterable[Key]:
    return [Key(instance.meta.namespace, nic.port) for nic in instance.spec.nics]


def _ready(port: PortObj) -> bool:
    return holds(port.status.conditions, Type.READY) and not port.meta.deleting


def _phase(port: PortObj, outcome: Outcome, bound: bool) -> str:
    if port.meta.deleting:
        return "Deleting"
    if isinstance(outcome, Done):
        return "Bound" if bound else "Reserved"
    return "Pending"
