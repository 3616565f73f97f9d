"""The command line: `python3 -m dev …`."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dev import build, cluster, controlplane
from dev.console import DevError, say
from dev.layout import Layout, node_index
from dev.node import Node, known_nodes
from dev.packages import ensure_packages, missing_for_tests, missing_for_venv


@contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Hold the cluster's lock, so that two runs never change it at the same time; a second one waits."""
    layout.state.mkdir(parents=True, exist_ok=True)
    with (layout.state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(f"waiting for another run of this tool (process {lock.read().strip() or 'unknown'}) to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def parser() -> argparse.ArgumentParser:
    """Return the description of the command line."""
    top = argparse.ArgumentParser(prog="python3 -m dev", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring up the cluster; what runs is left alone")
    up.add_argument("--nodes", type=int, default=3, help="how many workers (default 3)")
    down = commands.add_parser("down", help="take the cluster down, keeping its data")
    down.add_argument("--wipe", action="store_true", help="delete its data too")
    commands.add_parser("status", help="say what runs; fails unless everything does")
    node = commands.add_parser("node", help="cut or restore a node's power")
    node.add_argument("action", choices=["kill", "start"])
    node.add_argument("index", type=node_index, help="the node's name or number")
    packages = commands.add_parser("packages", help="install what pip needs to build this project's environment")
    packages.add_argument("--tests", action="store_true", help="what only tests need instead: PostgreSQL")
    commands.add_parser("build", help="install packages and build the cluster's programs, and start nothing")
    for name, text in (
        ("deploy", "bring up the cluster and the project on it"),
        ("demo", "deploy, and show what it does"),
    ):
        command = commands.add_parser(name, help=f"{text} (on KUBECONFIG's cluster, if that is set)")
        command.add_argument("--nodes", type=int, default=3, help="how many workers of the local cluster (default 3)")
    simulated = commands.add_parser("simulate", help="have simulated hosts beside the real ones (after deploy)")
    simulated.add_argument("--hosts", type=int, default=100, help="how many (default 100); 0 for none any more")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    commands.add_parser("bin", help="print the folder of kubectl and helm")
    image = commands.add_parser("image", help="build the project's image, or load images into the nodes")
    image.add_argument("action", choices=["build", "load"])
    image.add_argument("references", nargs="*", help="what to load (default: the project's image)")
    execute = commands.add_parser("exec", help="run a program on a node")
    execute.add_argument("node", type=node_index, help="the node's name or number")
    execute.add_argument("argv", nargs=argparse.REMAINDER)
    commands.add_parser("doctor", help="say what this machine lacks")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    given = parser().parse_args(argv)
    layout = Layout()
    try:
        return dispatch(given, layout)
    except DevError as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def dispatch(given: argparse.Namespace, layout: Layout) -> int:
    """Do what the parsed command line says."""
    from dev import doctor, image, simulate, status

    if given.command == "kubeconfig":
        print(layout.kubeconfig)
        return 0
    if given.command == "bin":
        print(layout.bin)
        return 0
    if given.command == "doctor":
        return doctor.report(layout)
    if given.command == "packages":
        ensure_packages(missing_for_tests if given.tests else missing_for_venv)
        return 0
    if given.command == "simulate":
        simulate.simulate(layout, given.hosts)
        return 0
    if given.command in ("deploy", "demo"):
        return _project(given, layout)
    if os.geteuid() != 0:
        raise DevError("only root can make namespaces, bridges and mounts: run this with sudo")
    if given.command == "exec":
        words = Node(layout, given.node).enter(given.argv or ["bash"])
        os.execvp(words[0], words)
    if given.command == "status":
        return status.report(layout)
    with only_one(layout):
        if given.command == "up":
            doctor.check(layout)
            cluster.up(layout, given.nodes)
        elif given.command == "build":
            ensure_packages()
            for recipe in build.RECIPES:
                build.programs(recipe)
            cluster.link_programs(layout)
        elif given.command == "down":
            cluster.down(layout, wipe=given.wipe)
        elif given.command == "node":
            (cluster.kill_node if given.action == "kill" else cluster.start_node)(layout, given.index)
        elif given.action == "build":
            image.build(given.references)
        else:
            running = [node for node in (Node(layout, index) for index in known_nodes(layout)) if node.running]
            if not running or not controlplane.api_answers(layout):
                raise DevError("no node is on: `python3 -m dev up` first")
            image.load(running, given.references)
    return 0


def _project(given: argparse.Namespace, layout: Layout) -> int:
    """Deploy the project, and show it when asked to; a foreign cluster needs neither root nor the lock."""
    from dev import demo, deploy, doctor
    from dev.target import target

    work = demo.run if given.command == "demo" else deploy.deploy
    if target(layout).local:
        if os.geteuid() != 0:
            raise DevError("only root can make namespaces, bridges and mounts: run this with sudo, or set KUBECONFIG")
        doctor.check(layout)
        with only_one(layout):
            work(layout, given.nodes)
    else:
        work(layout, given.nodes)
    return 0
