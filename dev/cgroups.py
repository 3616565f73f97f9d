"""The control groups of the nodes' pods, on machines with version 1 (one tree per controller) or 2 (one tree)."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OURS = "cloudstack-dev"
_V1 = (
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "systemd",
    "hugetlb",
    "perf_event",
    "net_cls",
    "net_prio",
)


def unified() -> bool:
    """Say whether the machine has version 2 only."""
    return (ROOT / "cgroup.controllers").exists()


def trees() -> list[Path]:
    """Return the roots of the hierarchies, once each (some are links to others)."""
    if unified():
        return [ROOT]
    return sorted({(ROOT / name).resolve() for name in _V1 if (ROOT / name).is_dir()})


def path(node: str) -> str:
    """Return a node's group as kubelet names it, the same in every tree."""
    return f"/{OURS}/{node}"


def make(node: str) -> None:
    """Make a node's group in every tree, able to hold groups of its own."""
    for tree in trees():
        parent = tree
        for part in (OURS, node):
            if unified():
                available = (parent / "cgroup.controllers").read_text().split()
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available))
            group = parent / part
            group.mkdir(exist_ok=True)
            if not unified() and (group / "cpuset.cpus").exists():
                # A new cpuset is empty and refuses every process.
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (group / file).write_text((parent / file).read_text())
            parent = group


def remove(node: str = "") -> None:
    """Remove a node's groups (all nodes' without a name). Their processes have to be gone."""
    # Beside version 1 there may be an empty tree of version 2, in which the container runtime makes groups as well.
    for tree in (*trees(), ROOT / "unified"):
        top = tree / OURS / node if node else tree / OURS
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                continue  # something is left in it: `left` tells


def left() -> list[Path]:
    """Return the groups that are still there."""
    return [tree / OURS for tree in trees() if (tree / OURS).exists()]
