"""Where a network's metadata service stands on a host: a namespace of its own on the network's bridge. Pure.

Its cable comes up last, so one that is up in its bridge stands for all that is behind it; else it is made anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.network.links import Link
from agents.network.rules import ACCEPT, Chain, Table, any_of, ct_state, match, meta, payload

ADDRESS = "169.254.169.254"
"""Where every cloud's guests look (RFC 3927 keeps it from leaving the link)."""
MAC = "0e:a9:fe:a9:fe:01"
"""Of the service's device: the same on every host and network, for its frames leave neither."""
DEVICE = "eth0"
WEB, PASSWORDS = 80, 8080
"""Metadata, and CloudStack's password server."""
PORTS = (WEB, PASSWORDS)
TABLE = "cloudstack"
_DSTNAT, _FILTER = -100, 0


def netns(segment: int) -> str:
    """The service's network namespace."""
    return f"csm{segment}"


def cable(segment: int) -> str:
    """The host's end of the cable from the bridge to it."""
    return f"csmi{segment}"


@dataclass(frozen=True, slots=True)
class Place:
    """What is there of it."""

    netns: bool = False
    leftover: bool = False
    """Something of that name is in the way that is no namespace."""
    cable: Link | None = None
    listening: bool = False
    """Whether this process serves there."""


def stands(place: Place, bridge: str) -> bool:
    """Whether it is complete, but for the serving."""
    return place.netns and place.cable is not None and place.cable.master == bridge and place.cable.up


def to_host(segment: int, mtu: int) -> tuple[str, ...]:
    """Make the cable; it is not plugged in yet."""
    name = cable(segment)
    make = f"link add {name} mtu {mtu} type veth peer name {DEVICE} address {MAC} mtu {mtu} netns {netns(segment)}"
    return make, f"link set {name} addrgenmode none"


def inside() -> tuple[str, ...]:
    """Its one device; every guest is a neighbour, whatever the network's addresses are."""
    return (
        f"link set {DEVICE} addrgenmode none",
        f"addr add {ADDRESS}/32 dev {DEVICE}",
        f"link set {DEVICE} up",
        f"route replace default dev {DEVICE}",
    )


def plugged(segment: int, bridge: str) -> str:
    """Put the cable into the bridge; nothing passes yet."""
    return f"link set {cable(segment)} master {bridge}"


def known(segment: int) -> str:
    """Tell the bridge where the service is: what it does not know it would send to every host of the network."""
    return f"replace {MAC} dev {cable(segment)} master static"


def up(segment: int) -> str:
    """The last step."""
    return f"link set {cable(segment)} up"


def rules() -> Table:
    """It takes in what guests ask, at whichever address they asked, and nothing else."""
    asked = match(payload("tcp", "dport"), "==", any_of(*PORTS))
    from_guest = match(meta("iifname"), "==", DEVICE)
    return Table(
        "inet",
        TABLE,
        [
            Chain("prerouting", "prerouting", _DSTNAT, [[from_guest, asked, {"redirect": None}]], type="nat"),
            Chain("input", "input", _FILTER, [[ct_state("established"), ACCEPT], [asked, ACCEPT]], policy="drop"),
            Chain("forward", "forward", _FILTER, policy="drop"),
        ],
    )
