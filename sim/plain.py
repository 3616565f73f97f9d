"""Lives without faults: machines that are made, run and go. What one costs is the simulation's own benchmark."""

from __future__ import annotations

import time

from sim.run import Run, Scenario
from sim.workload import Deed
from sim.world import Shape

SPEC = (("offering", "tiny"), ("image", "tiny"), ("nics", [{"network": "net"}]))
EVERY, LASTS = 0.5, 10.0
"""Virtual seconds between two births, and of a life: some twenty live at a time."""


def lives(count: int, hosts: int = 2) -> Run:
    """A run in which machines come and go, one NIC and one root disk each, and nothing breaks."""
    deeds = [Deed(21.0, "network", "team-a", "net", (("cidr", "10.1.0.0/20"),))]
    for number in range(count):
        born = 25.0 + EVERY * number
        deeds.append(Deed(born, "apply", "team-a", f"vm{number}", SPEC))
        deeds.append(Deed(born + LASTS, "delete", "team-a", f"vm{number}"))
    deeds.sort(key=lambda deed: deed.time)
    seconds = EVERY * count + LASTS + 6.0
    return Run(Scenario(1, Shape(hosts=hosts, elects=False), tuple(deeds), (), seconds))


def measured(count: int) -> str:
    """What a life costs, beyond what a world costs in which nobody lives."""
    lives(1).go()  # the schemas are compiled once
    used, verdicts = [], []
    for number in (1, count + 1):
        began = time.process_time()
        verdicts.append(lives(number).go())
        used.append(time.process_time() - began)
    empty, full = verdicts
    if not full.ok:
        return f"failed: {full.problems[:3]}"
    each = (used[1] - used[0]) / count
    return (
        f"{1 / each:.0f} lives a second of a core: {each * 1000:.1f} ms, "
        f"{(full.steps - empty.steps) / count:.0f} steps and {(full.writes - empty.writes) / count:.1f} writes each"
    )
