"""Sudden ends: of processes, daemons, guests, the API server and whole nodes of the local cluster.

A process is found by what its command line says, among those that descend from the node's first one: the machine's own
process table has them all, and those of other clouds as well.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev import cluster, controlplane
from dev.layout import Layout
from dev.node import Node, known_nodes
from dev.target import SYSTEM, Target
from tests.support.cluster import PATIENCE

OPERATORS = ("orchestration", "compute", "storage", "networking", "fabric-admin", "fabric-monitoring")
AGENTS = ("agent-hypervisor", "agent-storage", "agent-network")


@dataclass(frozen=True)
class Breaker:
    """What breaks things."""

    layout: Layout
    where: Target

    def node(self, name: str) -> Node:
        """A node by its name."""
        return Node(self.layout, int(name.removeprefix("node")))

    def kill_component(self, name: str, host: str = "") -> int:
        """SIGKILL a component's processes, an agent's on one host only; how many there were."""
        return _kill(lambda words: words[-2:] == ["run", name] and "operators.launch" in words, self._trees(host))

    def kill_guest(self, uid: str, host: str) -> int:
        """SIGKILL the QEMU of a domain."""
        return _kill(lambda words: "qemu-system" in words[0] and any(uid in word for word in words), self._trees(host))

    def kill_libvirtd(self, host: str) -> None:
        """SIGKILL libvirtd, and wait until the host has started it again."""
        self.node(host).restart_service("libvirtd", signal.SIGKILL)

    def _trees(self, host: str) -> frozenset[int]:
        """The first processes of a node, or of all nodes."""
        nodes = [self.node(host)] if host else [Node(self.layout, index) for index in known_nodes(self.layout)]
        return frozenset(node.pid for node in nodes if node.pid)

    @contextmanager
    def no_api_server(self) -> Iterator[None]:
        """The API server is gone while the block runs."""
        controlplane.daemons(self.layout)["kube-apiserver"].stop()
        try:
            yield
        finally:
            controlplane.up(self.layout)

    @contextmanager
    def no_power(self, host: str) -> Iterator[None]:
        """A node is off while the block runs."""
        index = self.node(host).index
        cluster.kill_node(self.layout, index)
        try:
            yield
        finally:
            cluster.start_node(self.layout, index)

    def settle(self) -> None:
        """Wait until every pod of ours is ready again, for the next test's sake.

        Pods that were struck are replaced: a kubelet waits ever longer, up to five minutes, before it starts a container again.
        """
        if struck := self._struck():
            self.where.kubectl("-n", SYSTEM, "delete", "pod", *struck, "--wait", f"--timeout={PATIENCE}s")
        for name in OPERATORS:
            self.where.kubectl(
                "-n", SYSTEM, "rollout", "status", f"deployment/cloudstack-{name}", f"--timeout={PATIENCE}s"
            )
        self.where.kubectl("-n", SYSTEM, "rollout", "status", "daemonset/cloudstack-agent", f"--timeout={PATIENCE}s")
        self.where.kubectl(
            "wait", "--for=condition=Ready", "hosts.fabric.cloudstack.dev", "--all", f"--timeout={PATIENCE}s"
        )

    def _struck(self) -> list[str]:
        """Pods of which a container has ended before."""
        pods = json.loads(self.where.kubectl("-n", SYSTEM, "get", "pods", "-o", "json"))["items"]
        return [
            pod["metadata"]["name"]
            for pod in pods
            if any(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))
        ]


def _kill(meant: Callable[[list[str]], bool], trees: frozenset[int]) -> int:
    killed = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = [word for word in (folder / "cmdline").read_text().split("\0") if word]
            if words and meant(words) and trees & _ancestors(int(folder.name)):
                os.kill(int(folder.name), signal.SIGKILL)
                killed += 1
        except (FileNotFoundError, ProcessLookupError):
            continue
    return killed


def _ancestors(pid: int) -> set[int]:
    found = set()
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.add(pid)
    return found


def after(seconds: float, action: Callable[[], object]) -> threading.Timer:
    """Do something a little later, while the test goes on."""
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer
