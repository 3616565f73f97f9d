"""Decide the next steps for one Port. Pure."""

from __future__ import annotations

from operators.contract import names
from operators.contract.meta import condition, holds
from operators.contract.networking import PortBindingSpec, Reservation
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome
from operators.networking import ledger
from operators.networking.ports.model import (
    Action,
    Bind,
    BindingObj,
    InstanceObj,
    NetworkObj,
    PortObj,
    Protect,
    RouterObj,
    Seen,
    Unbind,
    Unprotect,
)

FINALIZER = names.finalizer("networking")


def plan(port: PortObj, seen: Seen) -> tuple[list[Action], Outcome]:
    """Bind the Port on the host of each Instance that lists it, and nowhere else."""
    if port.meta.deleting:
        return _farewell(port, seen)
    actions: list[Action] = [] if FINALIZER in port.meta.finalizers else [Protect(port)]
    hosts = sorted({each.spec.host_name for each in seen.instances})
    actions += [Unbind(each) for each in seen.bindings if not each.meta.deleting and each.spec.host_name not in hosts]
    reserved = reservation(port, seen.router)
    if reserved is None or seen.network is None or seen.router is None:
        return actions, _why_unreserved(port, seen)
    there = {each.spec.host_name: each for each in seen.bindings}
    wanted = sorted({each.spec.host_name for each in seen.instances if _lists(each, port) and not each.meta.deleting})
    if not seen.foreign:
        actions += [Bind(port, binding(port, seen.router, reserved, host)) for host in wanted if host not in there]
    return actions, _standing(port, seen, wanted, there)


def _lists(instance: InstanceObj, port: PortObj) -> bool:
    """Whether an Instance is to have a Port, as opposed to: has yet to let go of it."""
    return port.meta.name in instance.spec.ports


def reservation(port: PortObj, router: RouterObj | None) -> Reservation | None:
    """What the ledger has for this very Port."""
    entries = router.spec.reservations if router else ()
    return next((each for each in entries if each.port.uid == port.meta.uid), None)


def binding(port: PortObj, router: RouterObj, reserved: Reservation, host: str) -> PortBindingSpec:
    """What the agent of a host is to make of a Port."""
    return PortBindingSpec(
        host_name=host,
        port=reserved.port,
        network=router.spec.network,
        host_network=names.host_network(router.spec.network.name, host),
        bridge=router.spec.bridge,
        tap=names.tap(port.meta.uid),
        mac=reserved.mac,
        ip=reserved.ip,
        mtu=router.spec.mtu,
        gateway=router.spec.gateway.partition("/")[0],
    )


def bound_to(seen: Seen) -> BindingObj | None:
    """The binding that counts: on the host of an Instance that is to stay."""
    hosts = {each.spec.host_name for each in seen.instances if not each.meta.deleting}
    return next((each for each in seen.bindings if each.spec.host_name in hosts and not each.meta.deleting), None)


def _why_unreserved(port: PortObj, seen: Seen) -> Outcome:
    """Why the Port has no addresses yet."""
    name = port.spec.network
    network = seen.network
    if network is None:
        return Blocked(Reason.NETWORK_NOT_FOUND, f"there is no Network {name} in this namespace: create it")
    if network.meta.deleting:
        return Blocked(
            Reason.DELETING, f"Network {name} is being deleted: delete this Port, or wait for another Network"
        )
    if seen.router is None:
        ready = condition(network.status.conditions, Type.READY)
        if ready is not None and not ready.true and ready.reason != Reason.PROVISIONING:
            return Blocked(ready.reason, f"Network {name} is not ready: {ready.message}")
        return Blocked(Reason.WAITING_FOR_NETWORK, f"Network {name} is being made")
    return _refused(port, network, seen.router) or Blocked(Reason.PROGRESSING, "its addresses are being reserved")


def _refused(port: PortObj, network: NetworkObj, router: RouterObj) -> Blocked | None:
    """Why the ledger cannot take the Port; None when it will."""
    _, refused = ledger.reserve(ledger.pool(network.spec), router.spec.reservations, [port])
    return refused[0].why if refused else None


def _standing(port: PortObj, seen: Seen, hosts: list[str], there: dict[str, BindingObj]) -> Outcome:
    """How a Port with addresses stands."""
    if not hosts:
        if seen.instances:
            users = ", ".join(sorted({each.spec.host_name for each in seen.instances}))
            return Blocked(Reason.DETACHING, f"the guest on host {users} has yet to let go of it")
        if port.spec.virtual_machine:
            return Blocked(Reason.WAITING_FOR_HOST, f"VirtualMachine {port.spec.virtual_machine} is on no host yet")
        return Done(Reason.HELD, "its addresses are reserved; no virtual machine uses them yet")
    if seen.foreign:
        what = ", ".join(seen.foreign)
        return Blocked(Reason.PROGRESSING, f"an earlier Port of this name is being cleared away: {what}")
    for host in hosts:
        made = there.get(host)
        if made is not None and made.meta.deleting:
            return Blocked(Reason.PROGRESSING, f"its earlier binding on host {host} is being cleared away")
        if made is None or not holds(made.status.conditions, Type.PROGRAMMED):
            return _unmade(seen, host, made)
    return Done()


def _unmade(seen: Seen, host: str, made: BindingObj | None) -> Outcome:
    said = condition(made.status.conditions, Type.PROGRAMMED) if made else None
    if said is not None:
        return Blocked(said.reason, f"host {host}: {said.message}")
    if host in seen.silent:
        return Blocked(Reason.AGENT_SILENT, f"the network agent of host {host} has not reported: see its pod there")
    segment = seen.segments.get(host)
    if segment is not None and not segment.true:
        return Blocked(segment.reason, f"host {host}: {segment.message}")
    return Blocked(Reason.PROVISIONING, f"it is being made on host {host}")


def _farewell(port: PortObj, seen: Seen) -> tuple[list[Action], Outcome]:
    """Take the Port off its hosts, have its addresses freed, let it go."""
    if FINALIZER not in port.meta.finalizers:
        return [], Done()
    if seen.instances and seen.in_use:
        users = ", ".join(each.meta.name for each in seen.instances)
        message = f"Instance {users} uses it until its guest has let go of it, or its virtual machine is deleted"
        return [], Blocked(Reason.STILL_IN_USE, message)
    if seen.bindings:
        hosts = ", ".join(sorted(each.spec.host_name for each in seen.bindings))
        wait = Blocked(Reason.DELETING, f"it is being taken off host {hosts}")
        return [Unbind(each) for each in seen.bindings if not each.meta.deleting], wait
    if reservation(port, seen.router) is not None:
        return [], Blocked(Reason.DELETING, "its addresses are being freed")
    return [Unprotect(port)], Done()
