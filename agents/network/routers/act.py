"""Change a router on this host."""

from __future__ import annotations

import socket

from agents.network import tools
from agents.network.namespaces import within
from agents.network.routers import dnsmasq
from agents.network.routers.model import (
    Action,
    Announce,
    Clear,
    Files,
    Forward,
    Ip,
    MakeNetns,
    Reload,
    Start,
    Stop,
)
from agents.network.routers.observe import FORWARDING
from agents.network.rules import Rules

_BROADCAST = b"\xff" * 6
_ETH_ARP = 0x0806


async def act(action: Action) -> None:
    """Do one action; what a killed run left undone, the next one's plan does."""
    match action:
        case MakeNetns(name, leftover):
            if leftover:
                (tools.NETNS_DIR / name).unlink()
            await tools.ip([f"netns add {name}"])
        case Ip(lines, netns):
            await tools.ip(lines, netns=netns)
        case Forward(netns):
            within(netns, lambda: FORWARDING.write_text("1"))
        case Rules(commands, netns):
            await tools.nft(commands, netns=netns)
        case Announce():
            announce(action)
        case Files(state, write, remove):
            dnsmasq.write(state, write, remove)
        case Stop(pid):
            await dnsmasq.stop(pid)
        case Start(netns, state):
            await dnsmasq.start(netns, state)
        case Reload(pid, netns, server, released):
            dnsmasq.reload(pid, netns, server, released)
        case Clear(state):
            dnsmasq.clear(state)


def announce(action: Announce) -> None:
    """Send a gratuitous ARP, so that neighbours drop what they remember of the address's last owner."""
    with within(action.netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sock:
        sock.bind((action.device, _ETH_ARP))
        sock.send(gratuitous_arp(action.mac, action.address))


def gratuitous_arp(mac: str, address: str) -> bytes:
    """An Ethernet frame with an ARP request for one's own address (RFC 5227, section 3)."""
    hardware, protocol = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address)
    arp = bytes.fromhex("0001080006040001") + hardware + protocol + bytes(6) + protocol
    return _BROADCAST + hardware + _ETH_ARP.to_bytes(2, "big") + arp
