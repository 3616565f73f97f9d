"""The networks between hosts: bridges in the root network namespace, and what stands for the internet."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from dev.console import run


def link_exists(name: str) -> bool:
    """Say whether the root network namespace has an interface of that name."""
    return Path("/sys/class/net", name).exists()


def delete_link(name: str) -> None:
    """Remove an interface (and so the other end of a veth pair); nothing happens if it is not there."""
    if link_exists(name):
        # Its namespace may be taking it away at this very moment, hence no check of the result.
        run(["ip", "link", "del", name], check=False)


@dataclass(frozen=True)
class Lan:
    """One set of networks that hosts are plugged into.

    `bridge` carries the underlay `network` (the root namespace has its first address); `public` carries the
    public range and has no address in the root namespace: `outside` is a network namespace on it that
    stands for the internet. Bridge names have at most 11 characters, because `-<index>` is added for the ports.
    """

    bridge: str = "pn0"
    network: str = "172.30.0.0/24"
    public: str = "pub0"
    outside: str = "cs-outside"
    outside_address: str = "10.98.0.254/24"

    @property
    def gateway(self) -> str:
        """Return the root namespace's own address on the underlay."""
        return str(ipaddress.ip_network(self.network)[1])

    @property
    def prefix(self) -> int:
        """Return the length of the underlay's prefix."""
        return ipaddress.ip_network(self.network).prefixlen

    def address(self, index: int) -> str:
        """Return the underlay address of host number `index` (1, 2, …)."""
        return str(ipaddress.ip_network(self.network)[10 + index])

    def up(self) -> None:
        """Make the bridges and the outside, if they are not there."""
        if not link_exists(self.bridge):
            run(["ip", "link", "add", self.bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"])
            run(["ip", "addr", "add", f"{self.gateway}/{self.prefix}", "dev", self.bridge])
        run(["ip", "link", "set", self.bridge, "up"])
        if not link_exists(self.public):
            run(["ip", "link", "add", self.public, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"])
            # No address of the root namespace here, IPv6 included: guests' traffic is not this machine's.
            Path(f"/proc/sys/net/ipv6/conf/{self.public}/disable_ipv6").write_text("1")
        run(["ip", "link", "set", self.public, "up"])
        self._outside_up()

    def _outside_up(self) -> None:
        if not Path("/run/netns", self.outside).exists():
            run(["ip", "netns", "add", self.outside])
        port = f"{self.public}-out"
        if not link_exists(port):
            run(["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.outside])
            run(["ip", "-n", self.outside, "addr", "add", self.outside_address, "dev", "eth0"])
        run(["ip", "link", "set", port, "master", self.public, "up"])
        run(["ip", "-n", self.outside, "link", "set", "lo", "up"])
        run(["ip", "-n", self.outside, "link", "set", "eth0", "up"])

    def plug(self, index: int, pid: int) -> None:
        """Give host number `index`, whose first process is `pid`, its `eth0` (underlay) and `eth1` (public)."""
        for bridge, inner in ((self.bridge, "eth0"), (self.public, "eth1")):
            port = f"{bridge}-{index}"
            delete_link(port)
            run(["ip", "link", "add", port, "type", "veth", "peer", "name", inner, "netns", str(pid)])
            run(["ip", "link", "set", port, "master", bridge, "up"])

    def unplug(self, index: int) -> None:
        """Take a host off the networks at once, rather than when the kernel gets round to its namespace."""
        for bridge in (self.bridge, self.public):
            delete_link(f"{bridge}-{index}")

    def down(self) -> None:
        """Remove everything that `up` made. The hosts must be down."""
        delete_link(f"{self.public}-out")
        if Path("/run/netns", self.outside).exists():
            run(["ip", "netns", "del", self.outside])
        for bridge in (self.bridge, self.public):
            delete_link(bridge)
