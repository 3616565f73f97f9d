"""The controller of Networks: one run sees to a network and all of its Ports' addresses."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract import names
from operators.contract.fabric import HOST, HOST_REPORT, IP_RANGE, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, condition, holds
from operators.contract.networking import (
    CLAIM,
    HOST_NETWORK,
    NETWORK,
    NETWORK_OFFERING,
    PORT,
    PORT_BINDING,
    ROUTER,
    NetworkStatus,
)
from operators.contract.reasons import Type
from operators.kernel.cache import AnyObj
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome, verdict_condition
from operators.kernel.report import Voice
from operators.networking import claims, lookup
from operators.networking.lookup import BY_HOST, BY_NAMESPACE
from operators.networking.networks import act, observe, summary
from operators.networking.networks.model import Action, NetworkObj, PortObj, Seen, Wanted
from operators.networking.networks.plan import plan

CENSUS = 30.0
"""Seconds for which the number of Ports that a Network shows may be late, where nothing else changes: a number for
people is not worth a write for every virtual machine."""


class Networks:
    """Keyed by Network."""

    name = "networks"
    kind = NETWORK
    workers = 4
    voice = Voice()

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cache = context.cache
        self._differs: dict[Key, float] = {}

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {
            NETWORK: self._with_neighbours,
            PORT: self._of_port,
            ROUTER: _network,
            HOST_NETWORK: _network,
            # Of a binding only its end matters here: the segment may then leave the host.
            PORT_BINDING: lambda binding: _network(binding) if binding.meta.deleting else [],
            INSTANCE: self._of_instance,
            CLAIM: self._of_claim,
            NETWORK_OFFERING: lambda offering: self._where(lambda each: each.spec.offering == offering.meta.name),
            ZONE: lambda zone: self._where(lambda each: each.spec.zone == zone.meta.name),
            IP_RANGE: lambda each: self._where(lambda network: network.spec.zone == each.spec.zone),
            HOST: lambda host: self._on_host(host.meta.name),
            HOST_REPORT: lambda report: self._on_host(report.spec.host_name),
        }

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        return await observe.observe(self._cache, self._context.store, key)

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        return plan(wanted, seen)

    async def act(self, action: Action) -> None:
        await act.act(self._context.store, action)

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        network = wanted.network
        if network is None:
            self._differs.pop(wanted.key, None)
            return ()
        if network.meta.deleting and isinstance(outcome, Done):
            return ()
        fields = summary.status(network, seen, outcome, network.status.ports)
        conditions = summary.conditions(network, seen)
        if _news(network, fields, outcome) or self._late(wanted.key, network.status.ports != len(seen.ports)):
            fields = dataclasses.replace(fields, ports=len(seen.ports))
        return (Report(network, fields, conditions),)

    def _late(self, key: Key, differs: bool) -> bool:
        """Whether the number of Ports has been another than what is shown for long enough."""
        if not differs:
            self._differs.pop(key, None)
            return False
        now = self._context.clock.monotonic()
        return now - self._differs.setdefault(key, now) >= CENSUS

    def _with_neighbours(self, network: NetworkObj) -> Iterable[Key]:
        """Its neighbours too, of which one may wait for its addresses."""
        yield network.key
        for other in self._cache.by(NETWORK, BY_NAMESPACE, network.meta.namespace):
            ready = condition(other.status.conditions, Type.READY)
            if other.key != network.key and (ready is None or not ready.true):
                yield other.key

    def _of_port(self, port: PortObj) -> Iterable[Key]:
        """Of a Port that is as it shall be, nothing more is to be done here."""
        status = port.status
        settled = holds(status.conditions, Type.READY) and status.observed_generation == port.meta.generation
        if not settled or port.meta.deleting or self._cache.get(PORT, port.key) is None:
            yield lookup.network_of(port)

    def _of_instance(self, instance: AnyObj) -> Iterable[Key]:
        """Its networks; of one that comes or stays, only those not on its host yet, or that tell it another route."""
        stays = not instance.meta.deleting and self._cache.get(INSTANCE, instance.key) is not None
        for port in self._ports_of(instance):
            network = lookup.network_of(port)
            if not (stays and self._there(network, instance.spec.host_name) and self._routed(network, port)):
                yield network

    def _used_by(self, instance: AnyObj) -> Iterable[Key]:
        return [lookup.network_of(port) for port in self._ports_of(instance)]

    def _ports_of(self, instance: AnyObj) -> Iterable[PortObj]:
        found = (self._cache.get(PORT, key) for key in lookup.of_machine(self._cache, instance))
        return [port for port in found if port is not None]

    def _routed(self, network: Key, port: PortObj) -> bool:
        """Whether the ledger says of a Port what its Instance does: whether it is the default NIC."""
        router = self._cache.get(ROUTER, Key(network.namespace, names.router(network.name)))
        entries = router.spec.reservations if router is not None else ()
        held = next((each for each in entries if each.port.uid == port.meta.uid), None)
        return held is None or held.default_route == lookup.lists_default(self._cache, port)

    def _there(self, network: Key, host: str) -> bool:
        found = self._cache.get(HOST_NETWORK, Key(network.namespace, names.host_network(network.name, host)))
        return found is not None and not found.meta.deleting

    def _of_claim(self, claim: AnyObj) -> Iterable[Key]:
        """Its owner; and, as it may have just become free, those that wait for one like it."""
        yield Key(claim.spec.owner.namespace, claim.spec.owner.name)
        if claim.spec.pool == claims.PUBLIC:
            yield from self._where(lambda network: not network.status.source_nat_address)

    def _on_host(self, name: str) -> Iterable[Key]:
        """Those with a router, a segment or a guest on the host, and those that have no router yet."""
        for kind in (ROUTER, HOST_NETWORK):
            for obj in self._cache.by(kind, BY_HOST, name):
                yield from _network(obj)
        for instance in self._cache.by(INSTANCE, BY_HOST, name):
            yield from self._used_by(instance)
        yield from self._where(lambda network: lookup.router(self._cache, network) is None)

    def _where(self, fits: Callable[[NetworkObj], bool]) -> Iterable[Key]:
        return [network.key for network in self._cache.all(NETWORK) if fits(network)]


def _network(obj: AnyObj) -> list[Key]:
    return [Key(obj.meta.namespace, obj.spec.network.name)]


def _news(network: NetworkObj, fields: NetworkStatus, outcome: Outcome) -> bool:
    """Whether the status is written anyway."""
    before = condition(network.status.conditions, Type.READY)
    now = verdict_condition(Type.READY, outcome)
    same = before is not None and (before.status, before.reason, before.message) == (
        now.status,
        now.reason,
        now.message,
    )
    rest = dataclasses.replace(fields, observed_generation=0, conditions=())
    return not same or rest != dataclasses.replace(network.status, observed_generation=0, conditions=())


async def census(context: Context) -> None:
    """Look now and then at the Networks whose number of Ports is not what they show."""
    while True:
        await context.clock.sleep(CENSUS / 3)
        for network in context.cache.all(NETWORK):
            if network.status.ports != len(context.cache.by(PORT, lookup.BY_NETWORK, str(network.key))):
                context.poke(Networks.name, network.key)


def background(context: Context) -> Sequence[Awaitable[None]]:
    """What runs beside the controller."""
    return [census(context)]
