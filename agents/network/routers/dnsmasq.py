"""The process of a router's DHCP and DNS server: it outlives the agent that started it.

It is found again by its PID file and command line. It leaves the agent's pod by moving to a control group beside the
kubelet's; where the host does not allow that, it ends with the pod, and the next agent starts it at once. Forwarding
and NAT, being the kernel's, go on in any case.
"""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from agents.network import tools
from agents.network.namespaces import within
from agents.network.routers import serving
from agents.network.routers.model import INSIDE

log = structlog.get_logger()

CGROUPS = Path("/sys/fs/cgroup")
PATIENCE = 3.0
"""Seconds for the server to end by itself."""


def running(state: Path) -> int:
    """The process that serves from this folder, 0 when there is none."""
    try:
        pid = int((state / serving.PID_FILE).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0
    return pid if _argument(state).encode() in words else 0


def read(state: Path) -> Mapping[str, str]:
    """The files in its folder that we wrote, by path beneath it."""
    paths = [state / serving.CONFIG, *state.glob(f"{serving.HOSTS}/*"), *state.glob(f"{serving.NAMES}/*")]
    return {str(path.relative_to(state)): path.read_text() for path in paths if path.is_file()}


def write(state: Path, texts: Mapping[str, str], remove: tuple[str, ...]) -> None:
    """Write and remove files of its folder; each appears whole, since the server reads it the moment it does."""
    for folder in (serving.HOSTS, serving.NAMES):
        (state / folder).mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        scratch = state / ".scratch"
        scratch.write_text(text)
        scratch.replace(state / path)
    for path in remove:
        (state / path).unlink(missing_ok=True)


async def start(netns: str, state: Path) -> None:
    """Start it inside the namespace. It is in the background, and serves, when this returns. Raises ToolFailed."""
    _forget_leases(state)
    await tools.run("dnsmasq", _argument(state), netns=netns)
    pid = running(state)
    if pid and (reason := leave_pod(pid)):
        log.warning("dhcp_server_ends_with_the_pod", reason=reason)


async def stop(pid: int) -> None:
    """End a process and see it gone."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        if not await asyncio.to_thread(_ends, fd, PATIENCE):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            await asyncio.to_thread(_ends, fd, PATIENCE)
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def _ends(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])


def reload(pid: int, netns: str, server: str, released: tuple[tuple[str, str], ...]) -> None:
    """Make it read its folders anew, and give back leases: an address on lease is not given to another."""
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        return
    if not released:
        return

    def client() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # The server listens on that device only, from which a packet to the router's own address then seems to come.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INSIDE.encode())
        return sock

    with within(netns, client) as sock:
        for mac, address in released:
            sock.sendto(release_message(mac, address, server), (server, 67))


def release_message(mac: str, address: str, server: str) -> bytes:
    """A DHCPRELEASE (RFC 2131, 4.4.6), as if the client itself gave its address back."""
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0, 0, 0)
    addresses = socket.inet_aton(address) + bytes(12)
    hardware = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")
    options = b"\x63\x82\x53\x63" + b"\x35\x01\x07" + b"\x36\x04" + socket.inet_aton(server) + b"\xff"
    return (head + addresses + hardware + bytes(192) + options).ljust(300, b"\0")


def clear(state: Path) -> None:
    """Remove its folder."""
    shutil.rmtree(state, ignore_errors=False)


def leave_pod(pid: int, own: str = "", root: Path = CGROUPS) -> str:
    """Move a process from the pod's control groups to one beside the kubelet's own; why not, if that failed."""
    try:
        for line in (own or Path("/proc/self/cgroup").read_text()).splitlines():
            _, controllers, path = line.split(":", 2)
            outside = outside_of_pods(path)
            if not outside:
                continue
            tree = root / controllers.removeprefix("name=") if controllers else root / "unified"
            group = (tree if tree.is_dir() else root) / outside.lstrip("/")
            group.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                # A new cpuset of version 1 is empty and refuses every process.
                if controllers and (group / name).exists() and not (group / name).read_text().strip():
                    (group / name).write_text((group.parent / name).read_text())
            (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        return str(error)
    return ""


def outside_of_pods(path: str) -> str:
    """The control group for what shall outlive its pod; empty for a path that is in no pod."""
    parts = path.split("/")
    for at, part in enumerate(parts):
        if "kubepods" in part:
            return "/".join([*parts[:at], "cloudstack-network"])
    return ""


class Exits:
    """Tells of processes that are not our children the moment they end."""

    def __init__(self) -> None:
        self._watched: dict[int, int] = {}

    def watch(self, pid: int, ended: Callable[[], None]) -> None:
        """Call `ended` once when the process ends."""
        if pid in self._watched:
            return
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            loop.call_soon(ended)
            return

        def readable() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            del self._watched[pid]
            ended()

        self._watched[pid] = fd
        loop.add_reader(fd, readable)


def _argument(state: Path) -> str:
    return f"--conf-file={state / serving.CONFIG}"


def _forget_leases(state: Path) -> None:
    """Drop the leases of those who lost their reservation while no server ran."""
    leases = state / "leases"
    if not leases.exists():
        return
    texts = (path.read_text() for path in (state / serving.HOSTS).glob("*"))
    reserved = set(map(serving.reservation, texts))
    kept = [line for line in leases.read_text().splitlines() if tuple(line.split()[1:3]) in reserved]
    leases.write_text("".join(f"{line}\n" for line in kept))
