"""Says what runs, in a few lines that a person or a script can read."""

from __future__ import annotations

from dataclasses import dataclass

from dev import controlplane
from dev.cluster import nodes_now
from dev.layout import Layout
from dev.node import Node, known_nodes


@dataclass(frozen=True)
class Line:
    """One thing that should run: what it is, whether it does, and details."""

    name: str
    good: bool
    detail: str

    def __str__(self) -> str:
        return f"{self.name:<26}{'ok' if self.good else 'DOWN':<6}{self.detail}"


def look(layout: Layout) -> list[Line]:
    """Look at every part of the cluster."""
    lines = []
    for name, daemon in controlplane.daemons(layout).items():
        pid = daemon.pid
        lines.append(Line(name, pid is not None, f"pid {pid}" if pid else ""))
    ready = nodes_now(layout) if controlplane.api_answers(layout) else {}
    for index in known_nodes(layout):
        node = Node(layout, index)
        services = {service.name: node.pid_of(service.name) for service in node.services}
        words = [f"{name} {pid or 'DOWN'}" for name, pid in services.items()]
        state = "Ready" if ready.get(node.name) else "NotReady"
        good = node.running and bool(ready.get(node.name)) and all(services.values())
        lines.append(Line(node.name, good, f"{node.address} {state if node.running else 'off'}; {', '.join(words)}"))
    return lines


def report(layout: Layout) -> int:
    """Print the lines; 0 if everything runs, 1 otherwise, 3 if there is no cluster at all."""
    lines = look(layout)
    for line in lines:
        print(line)
    if not any(line.good for line in lines):
        print("no cluster is up: `python3 -m dev up`")
        return 3
    print(f"KUBECONFIG={layout.kubeconfig}")
    return 0 if all(line.good for line in lines) else 1
