"""Simulated hosts on a cluster where the project is installed already: `python3 -m dev simulate --hosts 100`."""

from __future__ import annotations

from dev.console import DevError, say
from dev.layout import Layout
from dev.paths import REPO
from dev.target import SYSTEM, Target, target

KIND = "hosts.fabric.cloudstack.dev"
ZONE = "simulated"


def simulate(layout: Layout, count: int) -> None:
    """Have so many simulated hosts, or none any more; everything else of the installation stays as it is."""
    where = target(layout)
    if "cloudstack" not in where.helm("list", "--namespace", SYSTEM, "--short").split():
        raise DevError("the project is not installed there: `python3 -m dev deploy` first")
    where.helm(
        "upgrade", "cloudstack", str(REPO / "charts/cloudstack"), "--namespace", SYSTEM, "--reset-then-reuse-values",
        "--set", f"simulator.hosts={count}", "--wait", "--timeout", "5m",
    )  # fmt: skip
    surplus = [name for name in _simulated(where) if int(name.rpartition("-")[2]) > count]
    if surplus:
        # Fabric Admin keeps one that has guests until they are gone.
        where.kubectl("delete", KIND, *surplus, "--wait=false")
    if count == 0:
        say("no host is simulated any more")
        return
    hosts = [f"host.fabric.cloudstack.dev/simulated-{number:03d}" for number in range(1, count + 1)]
    where.kubectl("wait", "--for=create", *hosts, "--timeout=120s")
    where.kubectl("wait", "--for=condition=Ready", *hosts, f"--timeout={120 + count}s")
    say(f"{count} simulated hosts are Ready, in zone {ZONE}: `placement: {{zone: {ZONE}}}` puts virtual machines there")


def _simulated(where: Target) -> list[str]:
    found = where.kubectl("get", KIND, "-o", "jsonpath={.items[?(@.spec.simulated==true)].metadata.name}")
    return found.split()
