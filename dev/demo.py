"""The demo: two virtual machines on two hosts, in one network, with a data volume; and the proof that they work."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dev.console import DevError, say
from dev.deploy import deploy
from dev.guest import Guest
from dev.layout import Layout
from dev.paths import REPO
from dev.target import CATALOG, Target

NAMESPACE = "team-a"
EXAMPLE = REPO / "examples" / "team-a.yaml"
READY_WITHIN = "180s"


class Phases:
    """How long each phase of the demo took."""

    def __init__(self) -> None:
        self._seconds: list[tuple[str, float]] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what happens in the block."""
        started = time.monotonic()
        yield
        self._seconds.append((name, time.monotonic() - started))

    def table(self) -> str:
        """The phases as lines of text, the sum last."""
        rows = [*self._seconds, ("all", sum(seconds for _, seconds in self._seconds))]
        return "\n".join(f"  {name:<48}{seconds:6.1f} s" for name, seconds in rows)


def run(layout: Layout, nodes: int) -> Target:
    """Bring everything up, apply the example, show and prove that it works, and say what to try next."""
    phases = Phases()
    with phases.phase("cluster, images and chart"):
        where = deploy(layout, nodes)
    with phases.phase("kubectl apply to every machine Ready"):
        show(where, "apply", "--server-side", "-f", str(EXAMPLE))
        show(where, "-n", NAMESPACE, "wait", "--for=condition=Ready", "vm", "--all", f"--timeout={READY_WITHIN}")
    show(where, "-n", NAMESPACE, "get", "vm,volumes,networks", "-o", "wide")
    show(where, "-n", NAMESPACE, "get", "flows")
    heading("the steps of those flows")
    print(steps(where))
    with phases.phase("boot, ping and HTTP between the guests"):
        prove(where)
    print(f"\nHow long it took:\n{phases.table()}")
    print(NEXT.format(kubeconfig=where.kubeconfig, bin=layout.bin, namespace=NAMESPACE, catalog=CATALOG))
    return where


def heading(text: str) -> None:
    """Print a line that stands out."""
    print(f"\n\033[1m{text}\033[0m", flush=True)


def show(where: Target, *words: str) -> None:
    """Print a kubectl command as a user would type it, run it, and print what it says."""
    heading(f"$ kubectl {shlex.join(words)}".replace(f"{REPO}/", ""))
    print(where.kubectl(*words).rstrip())


def steps(where: Target) -> str:
    """Every Flow of the namespace with its steps, oldest first."""
    listed = json.loads(where.kubectl("-n", NAMESPACE, "get", "flows", "-o", "json"))["items"]
    lines = []
    for flow in sorted(listed, key=lambda each: each["metadata"]["creationTimestamp"]):
        status = flow.get("status", {})
        target = flow["spec"]["target"]
        lines.append(f"{flow['spec']['operation']} {target['name']}: {status.get('state', 'Pending')}")
        for step in status.get("steps", ()):
            words = (step["name"], step["component"], step["state"], step.get("object", ""))
            lines.append("  {:<22}{:<16}{:<10}{}".format(*words))
    return "\n".join(lines)


def prove(where: Target) -> None:
    """Let the guests show that they reach each other, and that the data volume is there. Raises DevError if not."""
    web, db = Guest(where, NAMESPACE, "web"), Guest(where, NAMESPACE, "db")
    addresses = {
        guest.name: where.kubectl(
            "-n", NAMESPACE, "get", "vm", guest.name, "-o", "jsonpath={.status.addresses[0]}"
        ).strip()
        for guest in (web, db)
    }
    for guest in (web, db):
        guest.wait_booted()
    if web.host == db.host:
        say(f"note: both machines are on {web.host}, since no other host had room")
    for one, other in ((web, db), (db, web)):
        inside(one, f"ping -c 3 -W 2 {addresses[other.name]}")
    inside(db, f"timeout 10 wget -q -O - http://{addresses['web']}/cgi-bin/status")
    inside(db, "timeout 10 wget -q -O - http://web/hostname")
    disks = inside(
        web, "cd /sys/block; for disk in vd*; do echo $disk $(cat $disk/serial): $(cat $disk/size) sectors; done"
    )
    if len(disks.splitlines()) < 2:
        raise DevError(f"the volume ledger is not seen inside web: {disks}")


def inside(guest: Guest, script: str) -> str:
    """Run a script in a guest, showing both as a terminal would."""
    heading(f"{guest.name} (on {guest.host}) # {script}")
    text = guest.sh(script)
    print(text, flush=True)
    return text


NEXT = """
What to try next:
  export KUBECONFIG={kubeconfig} PATH={bin}:$PATH
  kubectl -n {namespace} describe vm web                  why it is as it is
  kubectl -n {namespace} patch vm web --type=merge -p '{{"spec":{{"runPolicy":"Stopped"}}}}'
  kubectl -n {namespace} get vm,flows -w                  watch it stop
  kubectl get hosts.fabric.cloudstack.dev -o wide      the hosts; `python3 -m dev node kill 2` cuts one's power
  kubectl -n {catalog} get images            what can be booted
  kubectl delete -f examples/team-a.yaml               and nothing is left
  python3 -m dev down --wipe                           the end of it all
"""
