"""The rules on guests' frames. Pure.

A frame from a tap of ours passes only if it bears the tap's own MAC and IPv4 address. A tap that nobody announced
passes nothing, so the rules may come before the tap or after it. (None of them asks for the state of a connection: not
every kernel tracks connections on bridges.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from agents.network.links import TAP_PREFIX
from agents.network.metadata import place
from agents.network.rules import (
    ACCEPT,
    DROP,
    NOTRACK,
    Chain,
    Element,
    ElementSet,
    Table,
    any_of,
    concat,
    match,
    meta,
    payload,
)
from operators.contract.networking import PortBindingSpec

TABLE = "cloudstack"
RARP = 0x8035
MACS = "macs"
ADDRESSES = "addresses"
METADATA = "metadata"
"""Tap and address at which its guest finds the metadata service."""
_BEFORE_ALL = -300
_NO_ADDRESS = "0.0.0.0"  # noqa: S104 - what a guest says before it has an address
_NOT_TO_THE_HOST = (f"{TAP_PREFIX}*", "csvx*", "csri*", "csmi*")


def guests(
    bindings: Sequence[PortBindingSpec], others: Mapping[str, frozenset[Element]] = MappingProxyType({})
) -> Table:
    """The table that every bridged frame passes; `others` is what else is let through, by set."""
    let = {(each.tap, each.mac, each.ip) for each in bindings} | others.get(ADDRESSES, frozenset())
    metadata = {(each.tap, address) for each in bindings for address in (place.ADDRESS, each.gateway) if address}
    iifname, mac, arp_mac = meta("iifname"), payload("ether", "saddr"), payload("arp", "saddr ether")
    prerouting = Chain(
        "prerouting",
        "prerouting",
        _BEFORE_ALL,
        [
            [match(iifname, "!=", f"{TAP_PREFIX}*"), ACCEPT],
            [match(concat(iifname, mac), "!=", f"@{MACS}"), DROP],
            # Asks whether somebody else has the address before it is used (RFC 5227): tells nobody anything false.
            [
                match(payload("arp", "saddr ip"), "==", _NO_ADDRESS),
                match(concat(iifname, arp_mac), "==", f"@{MACS}"),
                ACCEPT,
            ],
            [
                match(concat(iifname, arp_mac, payload("arp", "saddr ip")), "!=", f"@{ADDRESSES}"),
                DROP,
            ],
            [
                match(payload("ip", "saddr"), "==", _NO_ADDRESS),
                match(payload("udp", "sport"), "==", 68),
                match(payload("udp", "dport"), "==", 67),
                ACCEPT,
            ],
            # The router answers DHCP, not a guest.
            [match(payload("udp", "sport"), "==", 67), DROP],
            [match(concat(iifname, mac, payload("ip", "saddr")), "!=", f"@{ADDRESSES}"), DROP],
            # RARP is how QEMU tells the switches where a guest is now that it has moved; of its own MAC only.
            [match(payload("ether", "type"), "!=", any_of("ip", "arp", RARP)), DROP],
            [
                match(concat(iifname, payload("ip", "daddr")), "==", f"@{METADATA}"),
                match(payload("tcp", "dport"), "==", any_of(*place.PORTS)),
                {"mangle": {"key": payload("ether", "daddr"), "value": place.MAC}},
            ],
        ],
    )
    # The host itself is no party on a guests' network: without this it would answer their ARP for its own addresses.
    to_host = Chain("input", "input", _BEFORE_ALL, [[match(iifname, "==", name), DROP] for name in _NOT_TO_THE_HOST])
    # The metadata service of this host is for the guests of this host.
    oifname = meta("oifname")
    across = Chain(
        "forward",
        "forward",
        _BEFORE_ALL,
        [
            [match(iifname, "==", "csvx*"), match(oifname, "==", "csmi*"), DROP],
            [match(iifname, "==", "csmi*"), match(oifname, "!=", f"{TAP_PREFIX}*"), DROP],
        ],
    )
    macs = frozenset((tap, mac) for tap, mac, _ in let)
    return Table(
        "bridge",
        TABLE,
        [prerouting, to_host, across],
        [
            ElementSet(MACS, ("ifname", "ether_addr"), macs),
            ElementSet(ADDRESSES, ("ifname", "ether_addr", "ipv4_addr"), frozenset(let)),
            ElementSet(METADATA, ("ifname", "ipv4_addr"), frozenset(metadata) | others.get(METADATA, frozenset())),
        ],
    )


def host() -> Table:
    """The table that keeps the host's own firewall and address translation off bridged frames.

    Where `bridge-nf-call-iptables` is 1, as Kubernetes wants it, bridged frames pass the host's IP rules too.
    Untracked, none of them is invalid or translated (to a Service of the cluster, say), and networks of several
    tenants with the same addresses do not meet in one connection table.
    """
    untracked = [match(meta("iifname"), "==", "csbr*"), NOTRACK]
    return Table("inet", TABLE, [Chain("prerouting", "prerouting", _BEFORE_ALL, [untracked])])
