"""A host's network: devices, namespaces, rules and DHCP servers, and the tools that the network agent uses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from agents.network import tools
from agents.network.links import Link, Vxlan
from operators.contract.codec import Json
from operators.contract.instances import INSTANCE
from sim.loop import ACTOR, Actor


@dataclass
class Space:
    """One network namespace; the host's own has the name ""."""

    links: dict[str, Link] = field(default_factory=dict)
    peers: dict[str, list[str]] = field(default_factory=dict)
    """What a VXLAN device floods to."""
    tables: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    elements: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    gateway: tuple[str, str] | None = None
    """Of the default route: gateway and device."""
    forwarding: bool = False
    rates: dict[str, int] = field(default_factory=dict)
    """Bytes a second that devices are held to. A device that is gone took its own with it."""


@dataclass
class Server:
    """A DHCP and DNS server."""

    netns: str
    state: str


@dataclass
class Network:
    """All of a host's network that the agent sees to. Lost with the host's power, but for the state folders."""

    address: str
    spaces: dict[str, Space] = field(default_factory=lambda: {"": Space()})
    state: dict[str, dict[str, str]] = field(default_factory=dict)
    """Files of the DHCP servers, by state folder."""
    servers: dict[int, Server] = field(default_factory=dict)
    next_pid: int = 100
    deleted: list[tuple[Any, Callable[[str], None]]] = field(default_factory=list)
    flushed: list[Callable[[], None]] = field(default_factory=list)
    ended: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    metadata: tuple[Services, Actor] | None = None
    """Whom guests ask for passwords, and the process that it is of."""
    asks: Callable[[str], None] = lambda uuid: None
    """Told of a guest that boots, and may want a password."""

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As after a boot."""
        self.spaces = {"": Space()}
        self.spaces[""].links = {
            "lo": Link("lo", "", up=True),
            "eth0": Link("eth0", "", up=True, addresses=(f"{self.address}/24",)),
            "br-public": Link("br-public", "bridge", up=True),
        }
        self.servers.clear()
        self.deleted.clear()
        self.ended.clear()
        self.flushed.clear()

    def flush(self) -> None:
        """Somebody flushes all rules of the host, as a firewall that starts anew does."""
        self.spaces[""].tables.clear()
        self.spaces[""].elements.clear()
        for tell in list(self.flushed):
            tell()

    def ours(self) -> list[str]:
        """Devices and namespaces that bear our names, taps included."""
        devices = [name for name in self.spaces[""].links if name.startswith("cs")]
        return sorted([*devices, *(name for name in self.spaces if name)])

    def remove_link(self, space: Space, name: str) -> None:
        """Delete a device, with the other end of its cable."""
        link = space.links.pop(name, None)
        if link is None:
            raise tools.ToolFailed("ip", f'Cannot find device "{name}"')
        space.peers.pop(name, None)
        for other in self.spaces.values():
            for each in list(other.links.values()):
                if link.kind == "veth" and each.kind == "veth" and each.mac == f"of:{_cable(link)}":
                    other.links.pop(each.name, None)
        for other_name, each in list(space.links.items()):
            if each.master == name:
                space.links[other_name] = _with(each, master="")
        if space is self.spaces[""]:
            for _, tell in list(self.deleted):
                tell(name)

    def end_server(self, pid: int) -> None:
        """A DHCP server ends."""
        self.servers.pop(pid, None)
        for tell in self.ended.pop(pid, ()):
            tell()


def _cable(link: Link) -> str:
    return link.mac.removeprefix("of:")


def _with(link: Link, **changes: Any) -> Link:
    return Link(**{name: getattr(link, name) for name in Link.__slots__} | changes)


def here() -> Any:
    """The network of the host on which the running process is."""
    return ACTOR.get().host.network  # type: ignore[attr-defined]


async def _pause() -> None:
    host = ACTOR.get().host  # type: ignore[attr-defined]
    host.begun()
    await asyncio.sleep(host.rng.uniform(0.002, 0.02))
    if host.chance(host.faults.tools_fail):
        raise tools.ToolFailed("ip", "simulated: the tool failed")


def _space(netns: str) -> Space:
    space = here().spaces.get(netns)
    if space is None:
        raise tools.ToolFailed("nsenter", f"cannot open /run/netns/{netns}: No such file or directory")
    return space  # type: ignore[no-any-return]


async def ip(lines: Sequence[str], *, netns: str = "") -> None:
    """`ip -batch`: each line in turn, up to the first that fails; it may also be cut off in between."""
    await _pause()
    for line in lines:
        _line(line.split(), netns)
        if ACTOR.get().host.rng.random() < 0.1:  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)


def _line(words: list[str], netns: str) -> None:
    network, space = here(), _space(netns)
    match words:
        case ["netns", "add", name]:
            if name in network.spaces:
                raise tools.ToolFailed("ip", f'Cannot create namespace file "/run/netns/{name}": File exists')
            network.spaces[name] = Space({"lo": Link("lo", "")})
        case ["netns", "del", name]:
            if name not in network.spaces:
                raise tools.ToolFailed("ip", f'Cannot remove namespace file "/run/netns/{name}": No such file')
            gone = network.spaces.pop(name)
            for link in gone.links.values():
                for other, each in list(network.spaces[""].links.items()):
                    if link.kind == "veth" and each.kind == "veth" and _cable(each) == f"{name}/{link.name}":
                        network.spaces[""].links.pop(other)
        case ["link", "add", name, *rest]:
            _add_link(network, space, name, rest)
        case ["link", "del", name]:
            network.remove_link(space, name)
        case ["link", "set", name, *rest]:
            _set_link(space, name, rest)
        case ["addr", verb, address, "dev", name]:
            link = _link(space, name)
            addresses = [each for each in link.addresses if each != address]
            space.links[name] = _with(link, addresses=tuple(addresses + ([address] if verb == "add" else [])))
        case ["route", "replace", "default", "via", gateway, "dev", name]:
            _link(space, name)
            space.gateway = gateway, name
        case ["route", "replace", "default", "dev", name]:
            space.gateway = "", _link(space, name).name
        case _:
            raise AssertionError(f"the simulated ip does not know: {' '.join(words)}")


def _link(space: Space, name: str) -> Link:
    if name not in space.links:
        raise tools.ToolFailed("ip", f'Cannot find device "{name}"')
    return space.links[name]


def _add_link(network: Network, space: Space, name: str, rest: list[str]) -> None:
    if name in space.links:
        raise tools.ToolFailed("ip", "RTNETLINK answers: File exists")
    words = dict(pairwise(rest))
    kind, mtu = words["type"], int(words.get("mtu", "1500"))
    if kind == "vxlan":
        data = Vxlan(int(words["id"]), words["local"], int(words["dstport"]), learning="learning" in rest)
        for each in space.links.values():
            if each.vxlan is not None and each.vxlan.id == data.id:
                raise tools.ToolFailed("ip", "RTNETLINK answers: File exists")
        space.links[name] = Link(name, kind, mtu=mtu, vxlan=data)
    elif kind == "veth":
        end, netns = rest[rest.index("name") + 1], words["netns"]
        inner = network.spaces.get(netns)
        if inner is None or end in inner.links:
            raise tools.ToolFailed("ip", "RTNETLINK answers: File exists")
        space.links[name] = Link(name, kind, mtu=mtu, mac=f"of:{netns}/{end}")
        inner.links[end] = Link(end, kind, mtu=mtu, mac=f"of:{netns}/{end}")
    else:
        space.links[name] = Link(name, kind, mtu=mtu)


def _set_link(space: Space, name: str, rest: list[str]) -> None:
    link = _link(space, name)
    words = dict(pairwise(rest))
    if "master" in words:
        _link(space, words["master"])
        link = _with(link, master=words["master"])
    if "mtu" in words:
        link = _with(link, mtu=int(words["mtu"]))
    if words.get("addrgenmode") == "none":
        link = _with(link, quiet=True)
    if "up" in rest:
        link = _with(link, up=True)
    space.links[name] = link


async def links(*, netns: str = "") -> Mapping[str, Link]:
    """Stands in for `agents.network.links.links`."""
    await _pause()
    space = _space(netns)
    return {name: each if netns else _with(each, addresses=()) for name, each in space.links.items()}


async def ip_json(*words: str, netns: str = "") -> list[Json]:
    """`ip -j`: the two lists of routes that the agent asks for."""
    await _pause()
    space, network = _space(netns), here()
    if words == ("route", "show", "default"):
        return [{"gateway": space.gateway[0], "dev": space.gateway[1]}] if space.gateway else []
    if words == ("-4", "route", "show", "default"):
        return [{"dev": "eth0", "prefsrc": network.address}]
    raise AssertionError(f"the simulated ip does not know: {words}")


async def fdb(lines: Sequence[str]) -> None:
    """`bridge -batch` of forwarding entries."""
    await _pause()
    space = _space("")
    for line in lines:
        verb, _, _, device, _, peer = line.split()
        _link(space, device)
        peers = space.peers.setdefault(device, [])
        if verb == "append" and peer not in peers:
            peers.append(peer)
        elif verb == "del":
            if peer not in peers:
                raise tools.ToolFailed("bridge", "RTNETLINK answers: No such file or directory")
            peers.remove(peer)


async def fdb_json(device: str) -> list[Json]:
    """Forwarding entries of a device."""
    await _pause()
    return [{"mac": "00:00:00:00:00:00", "dst": peer} for peer in _space("").peers.get(device, ())]


async def tc(lines: Sequence[str]) -> None:
    """`tc -batch`: each line in turn, up to the first that fails."""
    await _pause()
    space = _space("")
    for line in lines:
        words = line.split()
        device = words[words.index("dev") + 1]
        if device not in space.links:
            raise tools.ToolFailed("tc", f'Cannot find device "{device}"')
        if words[1] == "replace":
            space.rates[device] = int(words[words.index("rate") + 1].removesuffix("mbit")) * 1_000_000 // 8
        elif space.rates.pop(device, None) is None:
            raise tools.ToolFailed("tc", "Error: Cannot delete qdisc with handle of zero.")


async def tc_json(*words: str) -> list[Json]:
    """`tc -j qdisc show`: the limits of devices that are there."""
    await _pause()
    space = _space("")
    space.rates = {device: rate for device, rate in space.rates.items() if device in space.links}
    return [
        {"kind": "tbf", "root": True, "dev": device, "options": {"rate": rate}} for device, rate in space.rates.items()
    ]


async def nft(commands: Sequence[Json], *, netns: str = "") -> None:
    """One transaction: all of it, or nothing."""
    await _pause()
    space = _space(netns)
    for command in commands:
        ((verb, body),) = command.items()
        ((what, each),) = body.items()
        _rule(space, verb, what, dict(each))


def _rule(space: Space, verb: str, what: str, each: Json) -> None:
    table = each["family"], each["name"] if what == "table" else each["table"]
    if what == "table" and verb == "add":
        space.tables.setdefault(table, [{"table": each}])
    elif what == "table":
        space.tables.pop(table, None)
        space.elements = {key: value for key, value in space.elements.items() if key[:2] != table}
    elif what == "element":
        elements = space.elements.setdefault((*table, each["name"]), {})
        for item in each["elem"]:
            mark = repr(item)
            if verb == "add":
                elements[mark] = item
            else:
                elements.pop(mark, None)
    else:
        space.tables[table].append({what: each})


async def nft_table(family: str, table: str, *, netns: str = "") -> list[Json]:
    """What a table holds."""
    await _pause()
    space = _space(netns)
    out = []
    for entry in space.tables.get((family, table), ()):
        ((what, body),) = entry.items()
        if what == "set" and (elements := space.elements.get((family, table, body["name"]))):
            body = {**body, "elem": list(elements.values())}
        out.append({what: body})
    return out


# Namespaces.


def exists(name: str) -> bool:
    """Whether there is such a namespace."""
    return name in here().spaces


def names() -> list[str]:
    """All namespaces but the host's own."""
    return sorted(name for name in here().spaces if name)


class Forwarding:
    """Stands in for the path of `ip_forward`, which is another one in each namespace."""

    inside = ""

    def read_text(self) -> str:
        """1 or 0."""
        return str(int(_space(self.inside).forwarding))

    def write_text(self, text: str) -> None:
        """1 or 0."""
        _space(self.inside).forwarding = text.strip() == "1"


FORWARDING = Forwarding()


def within(name: str, function: Callable[[], Any]) -> Any:
    """Call a function inside a namespace."""
    if not exists(name):
        raise FileNotFoundError(2, "No such file or directory", name)
    FORWARDING.inside = name
    try:
        return function()
    finally:
        FORWARDING.inside = ""


class Interfaces:
    """Stands in for the module `socket` where only the names of devices are asked for."""

    @staticmethod
    def if_nameindex() -> list[tuple[int, str]]:
        """The host's devices."""
        return list(enumerate(here().spaces[""].links))


# The DHCP server.


def running(state: Any) -> int:
    """The process that serves from a folder; 0 for none."""
    return next((pid for pid, each in here().servers.items() if each.state == str(state)), 0)


def read(state: Any) -> Mapping[str, str]:
    """The files of a folder."""
    return dict(here().state.get(str(state), {}))


def write(state: Any, texts: Mapping[str, str], remove: tuple[str, ...]) -> None:
    """Write and remove files."""
    folder = here().state.setdefault(str(state), {})
    folder.update(texts)
    for path in remove:
        folder.pop(path, None)


async def start(netns: str, state: Any) -> None:
    """Start a server."""
    await _pause()
    _space(netns)
    network = here()
    for each in network.servers.values():
        if each.netns == netns:
            raise tools.ToolFailed("dnsmasq", "failed to bind listening socket: Address already in use")
    network.next_pid += 1
    network.servers[network.next_pid] = Server(netns, str(state))


async def stop(pid: int) -> None:
    """Stop a server."""
    await _pause()
    if pid in here().servers:
        here().end_server(pid)


def reload(pid: int, netns: str, server: str, released: tuple[tuple[str, str], ...]) -> None:
    """Nothing to be seen."""


def clear(state: Any) -> None:
    """Remove a folder."""
    if here().state.pop(str(state), None) is None:
        raise FileNotFoundError(2, "No such file or directory", str(state))


async def observe(want: Any, *, devices: bool) -> Any:
    """Stands in for `routers.observe.observe`: the one place that asks a path of the real file system."""
    from agents.network.routers import observe as module
    from agents.network.routers.model import Seen, Service

    service = Service(running(want.state), read(want.state), str(want.state) in here().state)
    return Seen(await module._devices(want.spec.netns) if devices else None, service)


class Services:
    """Stands in for the metadata services of a process, of which guests ask their passwords alone."""

    def __init__(self, guests: Any, passwords: Any) -> None:
        self._open: set[str] = set()
        self._guests, self._passwords = guests, passwords
        here().metadata = self, ACTOR.get()

    def ask(self, uuid: str, asked: str) -> str | None:
        """What a guest hears that asks; None when it is not known here."""
        for instance in self._guests._cache.all(INSTANCE):
            if instance.spec.virtual_machine.uid == uuid and instance.spec.nics and self._open:
                return str(self._passwords.answer(instance, asked))
        return None

    def serves(self, netns: str) -> bool:
        """Whether one runs there."""
        return netns in self._open

    def open(self, netns: str, host_network: Any) -> None:
        """Listen there."""
        within(netns, lambda: None)
        self._open.add(netns)

    async def close(self, netns: str) -> None:
        """Listen no more."""
        self._open.remove(netns)
        await asyncio.sleep(0)


class Exits:
    """Tells when servers end."""

    def __init__(self) -> None:
        self._watched: set[int] = set()

    def watch(self, pid: int, ended: Callable[[], None]) -> None:
        """Once."""
        actor, network = ACTOR.get(), here()
        host = actor.host  # type: ignore[attr-defined]
        if pid in self._watched:
            return
        self._watched.add(pid)

        def tell() -> None:
            self._watched.discard(pid)
            if actor.alive:
                host.later(0.001, ended, as_=actor)

        if pid in network.servers:
            network.ended.setdefault(pid, []).append(tell)
        else:
            tell()


async def devices(context: Any) -> None:
    """Stands in for `wakeups.devices`: told when a device is gone."""
    from agents.network import wakeups

    actor, network = ACTOR.get(), here()
    host = actor.host  # type: ignore[attr-defined]

    def tell(name: str) -> None:
        if actor.alive:
            host.later(0.001, wakeups.look_at, context, name, as_=actor)

    entry = (actor, tell)
    network.deleted.append(entry)
    try:
        await asyncio.Event().wait()
    finally:
        if entry in network.deleted:
            network.deleted.remove(entry)


async def rules(context: Any) -> None:
    """Stands in for `wakeups.rules`: told when rules are gone."""
    from agents.network.ports import model

    actor, network = ACTOR.get(), here()
    host = actor.host  # type: ignore[attr-defined]

    def tell() -> None:
        if actor.alive:
            host.later(0.001, context.poke, "ports", model.LOOK_AGAIN, as_=actor)

    network.flushed.append(tell)
    try:
        await asyncio.Event().wait()
    finally:
        if tell in network.flushed:
            network.flushed.remove(tell)


TAP = re.compile(r"cst[0-9a-f]+")
