"""A fixed number of seeds passes, and a seed is a run: the same one each time, whatever the interpreter's hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.hypervisor.room import Room
from operators.compute.capacity import Ledger, Taken
from sim import invariants
from sim.invariants import owners
from sim.many import tally
from sim.plain import lives
from sim.run import Run, Scenario, run, scenario, tight
from sim.shrink import shrunk, symptom
from sim.timeline import page
from sim.workload import Deed
from sim.world import Shape

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("SIM_SECONDS", "120"))
FIRST = int(os.environ.get("SIM_FIRST", "1"))
JOBS = int(os.environ.get("SIM_JOBS", "2"))
LEAST, MOST = 60, int(os.environ.get("SIM_MOST", "900"))
"""Seeds that must be done whatever the machine's pace, and where a fast one ends: what nobody has run yet is for `make sim` to find."""


@pytest.mark.timeout(SECONDS + 600)
def test_as_many_seeds_pass_as_fit_into_the_time() -> None:
    """The same seeds each time, from the first on; `make sim FIRST=…` goes on where this ends."""
    done = tally(range(FIRST, FIRST + LEAST), JOBS)
    done.extend(tally(range(FIRST + LEAST, FIRST + MOST), JOBS, max(0.0, SECONDS - done.wall)))
    print(done)
    said = [f"replay: make sim SEED={each.seed}\n" + "\n".join(each.problems[:3]) for each in done.failed]
    assert not said, "\n".join([str(done), *said[:5]])


@pytest.mark.parametrize("seed", [9, 14, 22])
def test_hosts_without_room_for_all_are_never_overfull(seed: int) -> None:
    verdict = Run(tight(seed)).go()
    assert verdict.ok, verdict.problems[:5]


@pytest.mark.parametrize("second_line", [True, False])
def test_a_host_that_is_given_out_twice_is_found(monkeypatch: pytest.MonkeyPatch, second_line: bool) -> None:
    monkeypatch.setattr(Ledger, "taken", lambda self, hosts, namespace, *, without: {host: Taken() for host in hosts})
    if not second_line:
        monkeypatch.setattr(Room, "refusal", lambda self, instance, limits: "")
    assert _found("capacity_is_not_exceeded")
    rest = tuple(each for each in invariants.AT_EVERY_WRITE if each is not owners.capacity_is_not_exceeded)
    monkeypatch.setattr(invariants, "AT_EVERY_WRITE", rest)
    # A host that refuses is asked for ever, which takes long to watch: four worlds must do where nothing is to be found.
    assert _found("no_host_is_overfull", 4 if second_line else 10) is not second_line


def _found(invariant: str, worlds: int = 10) -> bool:
    """Whether one of so many crowded worlds breaks it: users of a single one may want too little."""
    return any(invariant in each for seed in range(10, 10 + worlds) for each in Run(tight(seed)).go().problems)


def test_a_seed_is_the_same_run_each_time() -> None:
    first, second = run(8, scale="large"), run(8, scale="large")
    assert first.steps > 5000
    assert (first.digest, first.steps, first.writes) == (second.digest, second.steps, second.writes)


def test_a_trace_that_is_kept_does_not_change_the_run() -> None:
    plan = scenario(6)
    quiet, kept, talking = Run(plan), Run(plan, keep_trace=True), Run(plan, keep_trace=True, logs=True)
    assert len({each.go().steps for each in (quiet, kept, talking)}) == 1


@pytest.mark.parametrize("hashes", ["1", "2"])
def test_the_hash_seed_changes_nothing(hashes: str) -> None:
    code = "from sim.run import run; v = run(9); print(v.digest, v.steps)"
    env = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120, check=True
    )
    mine = run(9)
    assert done.stdout.split() == [mine.digest, str(mine.steps)]


def test_the_time_line_shows_every_process() -> None:
    work = Run(scenario(5), keep_trace=True)
    text = page(work, work.go())
    assert all(name in text for name in work.world.processes)


def test_a_failing_scenario_gets_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    from sim import mutations

    with mutations.made(mutations.by_name("running-too-early")):
        plan = _failing()
        before, wanted = len(plan.deeds) + len(plan.troubles), symptom(plan)
        short = shrunk(plan, say=False)
        assert symptom(short) == wanted
        assert len(short.deeds) + len(short.troubles) < before / 3


def _failing() -> Scenario:
    for seed in range(1, 20):
        plan = scenario(seed, scale="large")
        if symptom(plan):
            return plan
    raise AssertionError("nothing fails")


def test_lives_without_faults_are_over_in_the_end() -> None:
    work = lives(6)
    verdict = work.go()
    assert verdict.ok, verdict.problems[:3]
    assert verdict.lives == 6
    assert not any(host.machine.defined for host in work.world.hosts.values())


def machines(count: int) -> Run:
    """A run in which nothing breaks and some machines are made, one after another, on a network that is there."""
    spec = (("offering", "tiny"), ("image", "tiny"), ("nics", [{"network": "net"}]), ("placement", {"host": "host1"}))
    deeds = [Deed(21.0, "network", "team-a", "net", (("cidr", "10.1.1.0/24"),))]
    deeds += [Deed(25.0 + 15 * number, "apply", "team-a", f"vm{number}", spec) for number in range(count)]
    plan = Scenario(1, Shape(hosts=1, elects=False), tuple(deeds), (), 80.0)
    return Run(plan, keep_trace=True)


def test_a_machine_costs_few_writes() -> None:
    """Beyond the user's own, one NIC and one root disk, all components together; the design's budget is 14."""
    first, second = machines(1), machines(3)
    assert first.go().ok
    assert second.go().ok
    assert (second.writes - first.writes) / 2 <= 15
