"""The ledger of a network's addresses: who has which MAC and IPv4 address. Pure.

It is the list of reservations in the Router's spec (see ADR 0003). What is reserved stays as it is until its Port goes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from operators.contract import names
from operators.contract.meta import Obj, ObjectRef
from operators.contract.networking import NetworkSpec, PortSpec, PortStatus, Reservation
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked

PortObj = Obj[PortSpec, PortStatus]


@dataclass(frozen=True, slots=True)
class Pool:
    """The addresses of a network."""

    network: IPv4Network
    gateway: IPv4Address
    first: IPv4Address
    """The first that may be chosen; a Port that names its address may name any of the network."""
    last: IPv4Address

    @property
    def gateway_with_prefix(self) -> str:
        """Such as `10.1.1.1/24`."""
        return f"{self.gateway}/{self.network.prefixlen}"

    def choices(self) -> Iterator[str]:
        """The addresses that may be chosen, lowest first."""
        ends = (self.network.network_address, self.network.broadcast_address, self.gateway)
        for number in range(int(self.first), int(self.last) + 1):
            address = IPv4Address(number)
            if address not in ends:
                yield str(address)

    def wrong(self, text: str) -> str:
        """Why a Port may not have that address; empty when it may."""
        address = IPv4Address(text)
        if address not in self.network:
            return f"{text} is not in {self.network}"
        if address in (self.network.network_address, self.network.broadcast_address):
            return f"{text} is the first or last address of {self.network}, which no guest can have"
        if address == self.gateway:
            return f"{text} is the gateway of the network"
        return ""


def pool(spec: NetworkSpec) -> Pool:
    """The addresses that a Network's spec gives. Raises ValueError with a message for the user."""
    network = IPv4Network(spec.cidr)
    if not 8 <= network.prefixlen <= 29:
        raise ValueError(f"the prefix of cidr {spec.cidr} must be between /8 and /29")
    gateway = IPv4Address(spec.gateway) if spec.gateway else network.network_address + 1
    ends = (network.network_address, network.broadcast_address)
    if gateway not in network or gateway in ends:
        raise ValueError(f"gateway {gateway} is not an address of a host within cidr {network}")
    first, last = network.network_address + 1, network.broadcast_address - 1
    if spec.dhcp_range is not None:
        first, last = IPv4Address(spec.dhcp_range.start), IPv4Address(spec.dhcp_range.end)
        if first not in network or last not in network or first > last:
            raise ValueError(f"dhcpRange {first} to {last} is not a range within cidr {network}")
    return Pool(network, gateway, first, last)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a Port has no reservation, for its user."""

    port: str
    """Its uid."""
    why: Blocked


def reserve(
    where: Pool,
    before: Sequence[Reservation],
    ports: Iterable[PortObj],
    freed: frozenset[str] = frozenset(),
    side: frozenset[str] = frozenset(),
) -> tuple[tuple[Reservation, ...], tuple[Refused, ...]]:
    """The ledger with a reservation for each Port that can have one, and why the others have none.

    `before` stays, without the Ports of the uids `freed`, so doing it again changes nothing. The Ports of the uids
    `side` are for NICs by which their guest does not reach the world.
    """
    live = {port.meta.uid: port for port in ports if not port.meta.deleting}
    held = {each.port.uid: each for each in before if each.port.uid not in freed}
    for uid, reservation in held.items():
        if uid in live:
            held[uid] = replace(reservation, hostname=hostname(live[uid]), default_route=uid not in side)
    refused: list[Refused] = []
    # Those who name an address or had one before come first, lest it be chosen for another.
    for port in sorted((port for uid, port in live.items() if uid not in held), key=_turn):
        found = _choose(where, port, held.values())
        if isinstance(found, Blocked):
            refused.append(Refused(port.meta.uid, found))
        else:
            held[port.meta.uid] = replace(found, default_route=port.meta.uid not in side)
    return tuple(sorted(held.values(), key=lambda each: int(IPv4Address(each.ip)))), tuple(refused)


def hostname(port: PortObj) -> str:
    """The name by which DNS knows the guest."""
    return port.spec.hostname or port.spec.virtual_machine or port.meta.name


def _turn(port: PortObj) -> tuple[bool, str, str]:
    return (not (port.spec.ip or port.spec.mac or port.status.ip), port.meta.creation_timestamp, port.meta.name)


def _choose(where: Pool, port: PortObj, held: Iterable[Reservation]) -> Reservation | Blocked:
    by_ip = {each.ip: each for each in held}
    macs = {each.mac: each for each in by_ip.values()}
    mac = port.spec.mac or port.status.mac
    if port.spec.mac and port.spec.mac in macs:
        return _in_use(port.spec.mac, macs[port.spec.mac])
    if not mac or mac in macs:
        mac = next(each for each in _macs(port.meta.uid) if each not in macs)
    if port.spec.ip:
        ip = str(ipaddress.IPv4Address(port.spec.ip))
        if wrong := where.wrong(ip):
            return Blocked(Reason.INVALID, f"{wrong}: make a new Port with another ip, or none to have one chosen")
        if ip in by_ip:
            return _in_use(ip, by_ip[ip])
        return _reservation(port, mac, ip)
    known = port.status.ip
    if known and known not in by_ip and not where.wrong(known):
        return _reservation(port, mac, known)
    chosen = next((each for each in where.choices() if each not in by_ip), "")
    if not chosen:
        full = f"all addresses from {where.first} to {where.last} of {where.network} are taken"
        return Blocked(Reason.NO_ADDRESS_LEFT, f"{full}: delete a Port that is not needed, or use another Network")
    return _reservation(port, mac, chosen)


def _reservation(port: PortObj, mac: str, ip: str) -> Reservation:
    return Reservation(ObjectRef(port.meta.name, port.meta.uid), mac, ip, hostname(port))


def _in_use(what: str, holder: Reservation) -> Blocked:
    return Blocked(
        Reason.ADDRESS_IN_USE,
        f"{what} belongs to Port {holder.port.name}: delete that one first, or make a new Port with another address",
    )


def _macs(uid: str) -> Iterator[str]:
    """MAC addresses to try, locally administered, always the same for one Port."""
    attempt = 0
    while True:
        digits = names.digest(uid, str(attempt), length=10)
        yield ":".join(["06", *(digits[at : at + 2] for at in range(0, 10, 2))])
        attempt += 1
