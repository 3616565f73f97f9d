"""What dnsmasq is told: one configuration, and one file for each Port in two folders that it watches. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from agents.network.check import is_label
from agents.network.routers.model import INSIDE
from operators.contract.networking import Reservation, RouterSpec

CONFIG = "dnsmasq.conf"
PID_FILE = "dnsmasq.pid"
HOSTS = "hosts.d"
"""`MAC,address,name`: who gets which address."""
NAMES = "names.d"
"""`address name`: as in /etc/hosts."""
LEASE = "12h"
SIDE = "side"
"""The tag of NICs by which their guest does not reach the world: they are told of no router and no name server."""


def config(spec: RouterSpec, state: Path) -> str:
    """The configuration, which does not change when Ports come and go."""
    inside = ipaddress.IPv4Interface(spec.gateway)
    lines = [
        "# Written by CloudStack's network agent, which writes it again when it is changed by hand.",
        f"interface={INSIDE}",
        "except-interface=lo",
        "bind-interfaces",
        "user=nobody",
        "group=nogroup",
        f"pid-file={state / PID_FILE}",
        f"log-facility={state / 'dnsmasq.log'}",
        "quiet-dhcp",
        # DNS: the network's own names, and beyond them only what the network's name servers say.
        "no-resolv",
        "no-hosts",
        f"hostsdir={state / NAMES}",
        f"domain={spec.domain}",
        f"local=/{spec.domain}/",
        "expand-hosts",
        "domain-needed",
        "bogus-priv",
        *(f"server={address}" for address in spec.dns),
        # DHCP: who has a reservation gets that address, and nobody else gets any.
        f"dhcp-range={inside.network.network_address},static,{inside.netmask},{LEASE}",
        f"dhcp-hostsdir={state / HOSTS}",
        f"dhcp-leasefile={state / 'leases'}",
        "dhcp-authoritative",
        "dhcp-no-override",
        f"dhcp-option=option:router,{inside.ip}",
        f"dhcp-option=option:dns-server,{inside.ip}",
        # Told also to those who do not ask: with a larger one, a guest would send what never arrives.
        f"dhcp-option-force=option:mtu,{spec.mtu}",
        f"dhcp-option=option:domain-search,{spec.domain}",
        *(f"dhcp-option=tag:{SIDE},option:{name}" for name in ("router", "dns-server", "domain-search")),
    ]
    return "\n".join(lines) + "\n"


def files(spec: RouterSpec, state: Path) -> Mapping[str, str]:
    """Every file, by path beneath the state folder."""
    out = {CONFIG: config(spec, state)}
    for each in spec.reservations:
        name = each.mac.replace(":", "-")
        out[f"{HOSTS}/{name}"] = ",".join([each.mac, each.ip, *_tags(each), *_hostname(each)]) + "\n"
        for host in _hostname(each):
            out[f"{NAMES}/{name}"] = f"{each.ip} {host}\n"
    return out


def _tags(each: Reservation) -> list[str]:
    return [] if each.default_route else [f"set:{SIDE}"]


def reservation(text: str) -> tuple[str, str] | None:
    """MAC and address that a file in the hosts' folder gives; None when it is not one of ours."""
    parts = text.strip().split(",")
    return (parts[0], parts[1]) if len(parts) >= 2 else None


def _hostname(each: Reservation) -> list[str]:
    return [each.hostname] if is_label(each.hostname) else []
