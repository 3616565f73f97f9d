"""A simulated hypervisor host: namespaces of its own, a libvirtd of its own, and whatever else it shall run.

A host is one process tree in its own network, mount, UTS, IPC and PID namespaces. Killing its first process
is a power failure: guests, daemons and interfaces are gone at once, the disks stay. It needs no Kubernetes:

    lan = Lan(bridge="ul7", network="10.99.7.0/24", public="pub7", outside="out7")
    host = Host("a", 1, Path("/tmp/hosts"), lan=lan)
    host.up()
    libvirt.open(host.libvirt_uri)
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dev import libvirt
from dev.console import DevError, run, wait_for
from dev.lan import Lan
from dev.packages import program
from dev.paths import write
from dev.process import Daemon, outer_pid


@dataclass(frozen=True)
class Service:
    """One daemon that the host keeps running; `argv` and `log` are as seen inside the host."""

    name: str
    argv: tuple[str, ...]
    log: str
    env: Mapping[str, str] = field(default_factory=dict)


LIBVIRTD = Service(
    "libvirtd",
    ("/usr/sbin/libvirtd", "--config", "/etc/libvirt/libvirtd.conf", "--listen"),
    "/var/log/libvirt/libvirtd.out",
)

# Where the host's own folders appear inside it. The keys are folders beneath `Host.root`.
FOLDERS = {
    "run": "/run",
    "libvirt/etc": "/etc/libvirt",
    "libvirt/lib": "/var/lib/libvirt",
    "libvirt/cache": "/var/cache/libvirt",
    "libvirt/log": "/var/log/libvirt",
    "cloudstack": "/var/lib/cloudstack",
    "console": "/var/log/cloudstack",
}
LOCAL_POOL = "/var/lib/cloudstack/pools/local"
SHARED_POOL = "/var/lib/cloudstack/pools/shared"


class Host:
    """One host. The object holds no state: another process that makes an equal one controls the same host.

    `state_dir` holds the folders of all hosts of one `lan` (`<state_dir>/<name>`), and `<state_dir>/shared-pool`,
    which every one of them sees as its shared pool. `folders` adds to `FOLDERS`, `files` lays single files over the
    machine's (path: text), `routes` are (range, gateway) on the underlay.
    """

    def __init__(
        self,
        name: str,
        index: int,
        state_dir: Path,
        *,
        lan: Lan,
        services: Sequence[Service] = (LIBVIRTD,),
        folders: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        routes: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.name = name
        self.index = index
        self.lan = lan
        self.services = tuple(services)
        self.root = state_dir / name
        self.shared_pool = state_dir / "shared-pool"
        self.folders = {**FOLDERS, **(folders or {})}
        self.files = {**self._names(), **libvirt.accounts(), **(files or {})}
        self.routes = tuple(routes)
        self._daemon = Daemon(f"host {name}", self.root / "host.pid")

    def _names(self) -> dict[str, str]:
        """Return the files about names. The machine's resolver is out of reach: libvirt would wait a minute for it."""
        return {
            "/etc/hostname": f"{self.name}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n{self.address} {self.name}\n",
            "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        }

    @property
    def address(self) -> str:
        """Return the host's address on the underlay."""
        return self.lan.address(self.index)

    @property
    def libvirt_uri(self) -> str:
        """Return the URI by which the root namespace reaches this host's libvirtd."""
        return f"qemu+unix:///system?socket={self.root}/run/libvirt/libvirt-sock"

    @property
    def pid(self) -> int | None:
        """Return the host's first process, numbered as in the root namespace, or None when it is off."""
        outer = self._daemon.pid
        if outer is None:
            return None
        try:
            children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    @property
    def running(self) -> bool:
        """Say whether the host is on and has booted."""
        return self.pid is not None and (self.root / "run/services/booted").exists()

    @property
    def booted_at(self) -> float:
        """Return when the host booted, in seconds since 1970; 0 if it is off."""
        try:
            return (self.root / "run/services/booted").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def outside_path(self, inside: str) -> Path:
        """Return where a path of the host (`/var/lib/cloudstack/…`) is found in the root namespace."""
        if inside == SHARED_POOL or inside.startswith(SHARED_POOL + "/"):
            return self.shared_pool / inside[len(SHARED_POOL) :].lstrip("/")
        for folder, target in sorted(self.folders.items(), key=lambda pair: -len(pair[1])):
            if inside == target or inside.startswith(target + "/"):
                return self.root / folder / inside[len(target) :].lstrip("/")
        raise DevError(f"{inside} is not one of the host's own folders; it is the machine's")

    def up(self) -> None:
        """Boot the host and wait until its libvirtd answers; nothing happens if it runs."""
        if not self.running:
            self.boot()
        self.wait_ready()

    def boot(self) -> None:
        """Power the host on, without waiting for its services."""
        self.kill()
        self._prepare()
        spec = write(self.root / "host.json", json.dumps(self._spec(), indent=1))
        shutil.copy(Path(__file__).with_name("hostinit.py"), self.root / "hostinit.py")
        namespaces = ["--net", "--mount", "--uts", "--ipc", "--pid"]
        unshare = ["unshare", *namespaces, "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        first = [str(program("tini")), "--", _python(), str(self.root / "hostinit.py"), str(spec)]
        with (self.root / "boot.log").open("ab") as log:
            started = subprocess.Popen(
                [*unshare, *first], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        self._daemon.adopt(started)
        wait_for(
            f"host {self.name}", lambda: self.pid is not None, timeout=20, every=0.01, hint=f"see {self.root}/boot.log"
        )
        pid = self.pid
        assert pid is not None
        self.lan.plug(self.index, pid)
        assert started.stdin is not None
        started.stdin.write(b"go\n")
        started.stdin.close()

    def _prepare(self) -> None:
        shutil.rmtree(self.root / "run", ignore_errors=True)
        for folder in self.folders:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for folder in ("pools/local", "pools/shared"):
            (self.root / "cloudstack" / folder).mkdir(parents=True, exist_ok=True)
        self.shared_pool.mkdir(parents=True, exist_ok=True)
        libvirt.configure(self.root / "libvirt/etc", self.address)
        libvirt.warm(self.root / "libvirt/cache")

    def _spec(self) -> dict[str, Any]:
        ip = str(program("ip"))
        binds = [(target, str(self.root / folder)) for folder, target in self.folders.items()]
        return {
            "name": self.name,
            "scratch": str(self.root / "init"),
            "binds": [*binds, (SHARED_POOL, str(self.shared_pool))],
            "files": list(self.files.items()),
            "network": [
                [ip, "link", "set", "lo", "up"],
                [ip, "addr", "add", f"{self.address}/{self.lan.prefix}", "dev", "eth0"],
                [ip, "link", "set", "eth0", "up"],
                [ip, "route", "add", "default", "via", self.lan.gateway],
                *([ip, "route", "add", to, "via", gateway] for to, gateway in self.routes),
                [ip, "link", "add", "cloudbr1", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"],
                [ip, "link", "set", "eth1", "master", "cloudbr1", "up"],
                [ip, "link", "set", "cloudbr1", "up"],
            ],
            "sysctls": {
                "net.ipv6.conf.cloudbr1.disable_ipv6": "1",  # the host has no address on the public network
                "net.ipv6.conf.eth1.disable_ipv6": "1",
                "net.ipv4.ip_forward": "1",
                # Kubernetes wants it for services; it also shows bridged guests' frames to the inet tables.
                "net.bridge.bridge-nf-call-iptables": "1",
            },
            "services": [asdict(service) for service in self.services],
        }

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until the host has booted and, if it has a libvirtd, until that answers."""
        hint = f"see {self.root}/boot.log and {self.root}/libvirt/log"
        wait_for(f"host {self.name}", lambda: self.running, timeout=timeout, every=0.02, hint=hint)
        if any(service.name == "libvirtd" for service in self.services):
            wait_for(f"libvirtd of {self.name}", self.libvirt_answers, timeout=timeout, every=0.03, hint=hint)
            libvirt.remember(self.root / "libvirt/cache")

    def libvirt_answers(self) -> bool:
        """Say whether libvirtd accepts a connection and knows its hypervisor."""
        if not (self.root / "run/libvirt/libvirt-sock").exists():
            return False
        return run(["virsh", "-q", "-c", self.libvirt_uri, "version"], check=False, timeout=30).returncode == 0

    def kill(self) -> None:
        """Cut the power: every process of the host, guests included, dies at once. The disks stay."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            if not self._daemon.gone(20):
                raise DevError(f"host {self.name} (process {pid}) does not die")
        self._daemon.stop()
        self.lan.unplug(self.index)
        (self.root / "run/services/booted").unlink(missing_ok=True)

    def down(self, *, wipe: bool = False) -> None:
        """Power the host off; with `wipe`, its disks and everything else it kept are deleted too."""
        self.kill()
        if wipe:
            shutil.rmtree(self.root, ignore_errors=True)

    def enter(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `argv` inside the host."""
        pid = self.pid
        if pid is None:
            raise DevError(f"host {self.name} is off: start it first")
        return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "--wd=/", "--", *(str(word) for word in argv)]

    def exec(
        self, argv: Sequence[str | Path], *, check: bool = True, input: str | None = None, timeout: float | None = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside the host and return what it printed; with `check`, a failure is a `DevError`."""
        return run(self.enter(argv), check=check, input=input, timeout=timeout)

    def pid_of(self, service: str) -> int | None:
        """Return a service's process, numbered as in the root namespace, or None when it does not run."""
        first = self.pid
        try:
            inner = (self.root / "run/services" / f"{service}.pid").read_text().strip()
        except OSError:
            return None
        return None if first is None else outer_pid(first, inner)

    def stop_service(self, service: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a service and keep it down until `start_service`."""
        (self.root / "run/services" / f"{service}.stopped").touch()
        pid = self.pid_of(service)
        if pid is not None:
            os.kill(pid, number)
        wait_for(f"the end of {service} on {self.name}", lambda: self.pid_of(service) is None, timeout=30, every=0.02)

    def start_service(self, service: str) -> None:
        """Let a stopped service run again, and wait for its process (for libvirtd: until it answers)."""
        (self.root / "run/services" / f"{service}.stopped").unlink(missing_ok=True)
        wait_for(f"{service} on {self.name}", lambda: self.pid_of(service) is not None, timeout=30, every=0.02)
        if service == "libvirtd":
            self.wait_ready()

    def restart_service(self, service: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a service with a signal and wait for its successor. Guests outlive libvirtd."""
        self.stop_service(service, number)
        self.start_service(service)


def _python() -> str:
    """Return an interpreter that stays when the tool's virtual environment goes."""
    system = Path("/usr/bin/python3")
    return str(system) if system.exists() else sys.executable
