"""Looks at the machine before anything is changed, and says what is missing and what to do about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dev import build, cgroups, controlplane, packages
from dev.console import DevError
from dev.layout import Layout
from dev.paths import cache_dir

_NAMESPACES = ("net", "mnt", "uts", "ipc", "pid")


def faults(layout: Layout) -> list[str]:
    """Return what makes the cluster impossible on this machine, each with what to do."""
    found = []
    if sys.platform != "linux":
        return ["this is not Linux: use any other cluster by KUBECONFIG, see docs/local-cluster.md"]
    if os.geteuid() != 0:
        found.append("not root: namespaces, bridges and mounts need it; run with sudo")
    for name in _NAMESPACES:
        if not Path(f"/proc/self/ns/{name}").exists():
            found.append(f"the kernel has no {name} namespaces: use a kernel with them")
    filesystems = Path("/proc/filesystems").read_text().split()
    for name in ("overlay", "tmpfs"):
        if name not in filesystems:
            found.append(f"the kernel does not know the file system {name}: `modprobe {name}`, or a kernel with it")
    if not cgroups.trees():
        found.append(f"no control groups under {cgroups.ROOT}: mount them (cgroup v1 or v2)")
    if not Path("/dev/net/tun").exists():
        found.append("/dev/net/tun is missing, guests' network cards need it: `modprobe tun`")
    if not Path("/proc/sys/net/bridge").exists():
        found.append("br_netfilter is missing, Kubernetes services need it: `modprobe br_netfilter`")
    for name, (address, port) in controlplane.PORTS.items():
        if controlplane.daemons(layout)[name].pid is None and controlplane.port_taken(address, port):
            found.append(f"port {port} is taken, {name} needs it: `ss -ltnp 'sport = :{port}'` says by whom")
    return found


def notes() -> list[str]:
    """Return what `up` will still have to fetch or build; none of it is a fault."""
    found = []
    if missing := packages.missing():
        found.append(f"Debian packages to install: {' '.join(missing)}")
    for recipe in build.RECIPES:
        if not (cache_dir() / "bin" / recipe.key).is_dir():
            found.append(f"to build once: {recipe.name} {recipe.version}")
    return found


def check(layout: Layout) -> None:
    """Raise a `DevError` that lists every fault."""
    if found := faults(layout):
        raise DevError("this machine cannot run the cluster:\n  - " + "\n  - ".join(found))


def report(layout: Layout) -> int:
    """Print faults and notes; the exit code says whether `up` can work."""
    found = faults(layout)
    for line in found:
        print(f"fault: {line}")
    for line in notes():
        print(f"note:  {line}")
    print("this machine cannot run the cluster" if found else "this machine can run the cluster")
    return 1 if found else 0
