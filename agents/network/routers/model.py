"""A router on this host: what is wanted and what is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.network.links import Link
from agents.network.rules import Listed, Rules
from agents.network.status import digest
from operators.contract import names
from operators.contract.meta import Obj
from operators.contract.networking import HostSideStatus, RouterSpec

INSIDE = "eth0"
"""In the namespace: the device towards the guests, with the gateway's address."""
OUTSIDE = "eth1"
"""In the namespace: the device towards the public network."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The Router."""

    router: Obj[RouterSpec, HostSideStatus]
    state: Path
    """The folder of the host for its DHCP and DNS server."""

    @property
    def spec(self) -> RouterSpec:
        """What it asks for."""
        return self.router.spec

    @property
    def deleting(self) -> bool:
        """Whether it has to be cleared away."""
        return self.router.meta.deleting

    @property
    def inner_cable(self) -> str:
        """The host's end of the cable from the bridge to the router."""
        return f"csri{self.spec.segment_id}"

    @property
    def public_cable(self) -> str:
        """The host's end of the cable from the uplink's bridge to the router."""
        return f"csrp{self.spec.segment_id}"

    @property
    def frame(self) -> str:
        """Digest of everything but the reservations, which change with every guest and are only files."""
        return digest(dataclasses.replace(self.spec, reservations=()))

    def mac(self, device: str) -> str:
        """The router's own MAC address: the same wherever it is, so that guests keep their gateway when it moves."""
        digits = names.digest(self.spec.network.uid, device, length=10)
        return ":".join(["0e", *(digits[at : at + 2] for at in range(0, 10, 2))])


@dataclass(frozen=True, slots=True)
class Devices:
    """What the kernel has of the router."""

    netns: bool
    leftover: bool
    """Whether a file is in the way of the namespace's name."""
    outer: Mapping[str, Link]
    """The devices of the host."""
    inner: Mapping[str, Link] = field(default_factory=dict)
    """Those of the router's namespace, with addresses."""
    default_gateway: str = ""
    forwarding: bool = False
    rules: Listed = field(default_factory=Listed)


@dataclass(frozen=True, slots=True)
class Service:
    """What is there of its DHCP and DNS server."""

    pid: int
    """0 when it does not run."""
    files: Mapping[str, str]
    """Those we wrote, by path beneath the state folder."""
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The router as it is on the host."""

    devices: Devices | None
    """None when they were found right before and nothing since then says otherwise."""
    service: Service


@dataclass(frozen=True, slots=True)
class MakeNetns:
    """Make the namespace."""

    name: str
    leftover: bool


@dataclass(frozen=True, slots=True)
class Ip:
    """Lines for `ip -batch`, on the host or inside the namespace."""

    lines: tuple[str, ...]
    netns: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Let the kernel forward packets inside the namespace."""

    netns: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the neighbours on the public network who has the address now."""

    netns: str
    device: str
    mac: str
    address: str


@dataclass(frozen=True, slots=True)
class Files:
    """Write and remove files of the DHCP and DNS server."""

    state: Path
    write: Mapping[str, str]
    remove: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Files(write={len(self.write)}, remove={len(self.remove)})"


@dataclass(frozen=True, slots=True)
class Stop:
    """End the DHCP and DNS server and see it gone."""

    pid: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start the DHCP and DNS server."""

    netns: str
    state: Path


@dataclass(frozen=True, slots=True)
class Reload:
    """Have the server forget what was removed, and the leases of those that no longer have their address."""

    pid: int
    netns: str
    server: str
    released: tuple[tuple[str, str], ...]
    """MAC and address."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Remove the state folder."""

    state: Path


Action = MakeNetns | Ip | Forward | Rules | Announce | Files | Stop | Start | Reload | Clear
