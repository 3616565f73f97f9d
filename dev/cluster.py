"""The cluster as a whole: bringing it up from whatever state it is in, taking it down, and looking at it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from dev import build, cgroups, controlplane, dns, nodeconfig, pki
from dev.console import DevError, run, say, wait_for
from dev.layout import API_ADDRESS, Layout, node_name
from dev.load import load, load_everywhere, system_images
from dev.node import Node, known_nodes
from dev.packages import ensure_packages

T = TypeVar("T")


def side_by_side(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Do something to each item at the same time; the first error is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        for future in [pool.submit(work, item) for item in items]:
            future.result()


def link_programs(layout: Layout) -> None:
    """Build what the cache lacks, and show it all in the cluster's own `bin`, `bin/cni` for the network plugins."""
    layout.bin.mkdir(parents=True, exist_ok=True)
    for recipe in (build.KUBERNETES, build.ETCD, build.HELM):
        folder = build.programs(recipe)
        for name in recipe.names or (recipe.name,):
            _link(layout.bin / name, folder / name)
    _link(layout.bin / "cni", build.programs(build.CNI))


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def kubectl(layout: Layout, *words: str, input: str | None = None, check: bool = True, timeout: float = 180) -> str:
    """Run kubectl as the administrator and return what it printed."""
    argv: list[str | Path] = [layout.bin / "kubectl", f"--kubeconfig={layout.kubeconfig}", *words]
    return run(argv, input=input, check=check, timeout=timeout).stdout


def up(layout: Layout, count: int) -> None:
    """Bring up the control plane and `count` nodes; what runs already is left alone."""
    ensure_packages()
    link_programs(layout)
    archives = system_images()
    layout.lan.up()
    _routes(layout)
    layout.pki.ensure()
    side_by_side(layout.pki.issue, pki.identities(layout.lan.gateway, API_ADDRESS))
    for user in ("admin", "controller-manager", "scheduler", "kube-proxy"):
        layout.pki.kubeconfig(user, layout.server)
    nodes = [Node(layout, index) for index in range(1, count + 1)]

    def start(node: Node) -> None:
        if not node.running:
            node.boot()
            say(f"{node.name} booting")
        node.wait_containerd()
        for reference, archive in archives.items():
            load(node, reference, archive)
        node.wait_ready()

    with ThreadPoolExecutor(max_workers=1) as pool:
        booting = pool.submit(side_by_side, start, nodes)  # nodes need no API server to boot
        controlplane.up(layout)
        kubectl(layout, "apply", "--server-side", "--force-conflicts", "-f", "-", input=dns.MANIFEST)
        booting.result()
    say("hosts up, libvirtd answers on each")
    controlplane.wait_controllers(layout)
    wait_nodes_ready(layout, nodes)
    say(f"cluster DNS ready; export KUBECONFIG={layout.kubeconfig} PATH={layout.bin}:$PATH")


def _routes(layout: Layout) -> None:
    for to, gateway in nodeconfig.pod_routes(layout):
        run(["ip", "route", "replace", to, "via", gateway])


def ready_nodes(text: str) -> dict[str, float]:
    """Read, from the JSON list of nodes, which are Ready and when their kubelets last said so (seconds since 1970)."""
    found = {}
    for item in json.loads(text)["items"]:
        for condition in item["status"].get("conditions", []):
            if condition["type"] == "Ready" and condition["status"] == "True":
                found[item["metadata"]["name"]] = datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp()
    return found


def nodes_now(layout: Layout) -> dict[str, float]:
    """Ask the API server which nodes are Ready; none, if it does not answer."""
    try:
        return ready_nodes(kubectl(layout, "get", "nodes", "-o", "json"))
    except DevError:
        return {}


def wait_nodes_ready(layout: Layout, nodes: Sequence[Node], timeout: float = 120) -> None:
    """Wait until the nodes say that they are Ready, and their DNS answers.

    What was said before a node's last boot does not count: the API server still has it after a power failure.
    """

    def ready() -> bool:
        seen = nodes_now(layout)
        return all(seen.get(node.name, 0.0) >= int(node.booted_at) for node in nodes)

    hint = f"see {layout.hosts}/node*/kubernetes/log"
    wait_for(f"{len(nodes)} nodes", ready, timeout=timeout, every=0.2, hint=hint)
    say(f"{', '.join(node.name for node in nodes)} Ready")
    side_by_side(_wait_dns, nodes)


def _wait_dns(node: Node) -> None:
    question = ["env", "RES_OPTIONS=timeout:1 attempts:1", "getent", "hosts", "kubernetes.default.svc.cluster.local"]

    def answers() -> bool:
        return node.exec(question, check=False).returncode == 0

    hint = "see `kubectl -n kube-system logs daemonset/coredns`"
    wait_for(f"DNS of {node.name}", answers, timeout=120, every=0.2, hint=hint)


def start_node(layout: Layout, index: int) -> None:
    """Power a node on again, and wait until it is Ready."""
    if controlplane.daemons(layout)["kube-apiserver"].pid is None:
        raise DevError("the cluster is down: `python3 -m dev up` first")
    node = Node(layout, index)
    before = node.running
    if not before:
        node.boot()
    node.wait_containerd()
    load_everywhere([node], system_images())
    node.wait_ready()
    wait_nodes_ready(layout, [node])
    say(f"{node.name} {'was on already' if before else 'is on again'}, DNS answers")


def kill_node(layout: Layout, index: int) -> None:
    """Cut a node's power."""
    if index not in known_nodes(layout):
        raise DevError(f"there is no {node_name(index)}; `python3 -m dev status` lists the nodes")
    Node(layout, index).kill()
    say(f"{node_name(index)} is off")


def down(layout: Layout, *, wipe: bool) -> None:
    """Take everything down that `up` may have made, even one that crashed; with `wipe`, its data too."""
    side_by_side(lambda index: Node(layout, index).kill(), known_nodes(layout))
    controlplane.down(layout)
    layout.lan.down()
    cgroups.remove()
    if left := cgroups.left():
        say(f"still there, with processes that are not ours: {', '.join(map(str, left))}")
    if wipe:
        for path in layout.state.iterdir() if layout.state.is_dir() else ():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    say("down" + (", data deleted" if wipe else f"; data kept in {layout.state}"))
