"""Puts the project onto a cluster: images, Helm chart, and an Image that everybody may use."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from dev import cluster, image
from dev.console import say
from dev.guest import AGENT_PODS
from dev.layout import Layout
from dev.node import Node, known_nodes
from dev.paths import REPO
from dev.target import CATALOG, SYSTEM, Target, target
from images.tiny import build as tiny

VALUES = REPO / "dev" / "values.yaml"
"""The chart's values on the local cluster: its public network and its shared folder."""


def deploy(layout: Layout, nodes: int = 3) -> Target:
    """Bring the cluster up if it is ours, and everything of the project onto it; what is there already costs little."""
    where = target(layout)
    guest = tiny.build()
    if where.local:
        cluster.up(layout, nodes)
        image.build([where.image])
        _build_server(where, guest)
        image.load([Node(layout, index) for index in known_nodes(layout)], [where.image, where.server_image])
    install(where)
    wait_for_hosts(where)
    publish(where, guest)
    return where


def _build_server(where: Target, guest: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(guest, Path(folder) / "tiny.qcow2")
        # The layer's cache goes by time stamps too: without this the server's image would be new every time.
        os.utime(Path(folder) / "tiny.qcow2", (0, 0))
        image.build([where.server_image], dockerfile=REPO / "images/server/Dockerfile", context=Path(folder))


def install(where: Target) -> None:
    """Install or upgrade the chart, and wait until every Deployment and the DaemonSet run what was asked."""
    say("installing the chart")
    where.kubectl("apply", "--server-side", "-f", "-", input=_namespace(SYSTEM))
    repository, _, tag = where.image.rpartition(":")
    values = ["-f", str(VALUES)] if where.local else []
    # The tag stays `dev` while the image changes: its digest in an annotation makes the pods follow.
    fixed = ["--set", f"image.repository={repository}", "--set", f"image.tag={tag}"]
    if where.local:
        fixed += ["--set-string", f"podAnnotations.cloudstack\\.dev/image={image.stored_id(where.image)[:16]}"]
    where.helm(
        "upgrade", "--install", "cloudstack", str(REPO / "charts/cloudstack"), "--namespace", SYSTEM, *values, *fixed,
        "--wait", "--timeout", "5m",
    )  # fmt: skip
    say("every component runs")


def wait_for_hosts(where: Target) -> None:
    """Wait until each node with an agent is a Host that is Ready."""
    where.kubectl("-n", SYSTEM, "rollout", "status", "daemonset/cloudstack-agent", "--timeout=180s")
    pods = ("-n", SYSTEM, "get", "pods", "-l", AGENT_PODS, "-o", "jsonpath={.items[*].spec.nodeName}")
    hosts = [f"host.fabric.cloudstack.dev/{name}" for name in sorted(set(where.kubectl(*pods).split()))]
    where.kubectl("wait", "--for=create", *hosts, "--timeout=60s")
    where.kubectl("wait", "--for=condition=Ready", *hosts, "--timeout=120s")
    say("every host is Ready")


def publish(where: Target, guest: Path) -> None:
    """Serve the tiny guest inside the cluster, and declare it as an Image of the catalogue."""
    checksum = hashlib.sha256(guest.read_bytes()).hexdigest()
    # The tag stays while what it serves changes: the checksum in an annotation makes the pod follow.
    manifest = (REPO / "images/server/server.yaml").read_text()
    manifest = manifest.replace("@IMAGE@", where.server_image).replace("@SHA256@", checksum)
    where.kubectl("apply", "--server-side", "-f", "-", input=manifest)
    where.kubectl("-n", CATALOG, "rollout", "status", "deployment/image-server", "--timeout=120s")
    text = (REPO / "examples/image-tiny.yaml").read_text().replace("@SHA256@", checksum)
    image = ("-n", CATALOG, "images.storage.cloudstack.dev", "tiny")
    there = where.kubectl(*image[:2], "get", *image[2:], "--ignore-not-found", "-o", "jsonpath={.spec.checksum}")
    if there not in ("", f"sha256:{checksum}"):
        # An Image cannot change, and goes only when no disk is made from it.
        made = '{range .items[?(@.spec.source.image=="tiny")]}{.metadata.namespace}/{.metadata.name} {end}'
        users = where.kubectl("get", "volumes.storage.cloudstack.dev", "-A", "-o", f"jsonpath={made}").split()
        if users:
            say(f"image tiny stays the one of an earlier build, which is in use by {', '.join(users)}")
            say("the new one comes with the next deploy after their virtual machines are deleted")
            return
        where.kubectl(*image[:2], "delete", *image[2:], "--timeout=170s")
    where.kubectl("apply", "--server-side", "-f", "-", input=text)
    say("image tiny is in the catalogue")


def _namespace(name: str) -> str:
    # The agents are privileged by nature: they arrange a host's networks.
    return (
        f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n"
        "  labels: {pod-security.kubernetes.io/enforce: privileged}\n"
    )
