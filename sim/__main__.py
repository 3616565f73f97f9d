"""Run seeds: `python -m sim --seeds 1000`, or replay one with its trace: `python -m sim --seed 123`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from sim.chaos import THEMES
from sim.many import Tally, verdicts
from sim.run import SCALES, Run, Verdict, scenario

TELL_EVERY = 60.0
"""Seconds between lines on how far many runs have come."""


def main() -> int:
    """Whether anything was wrong, as an exit code."""
    parser = argparse.ArgumentParser(prog="sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="how many run side by side")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no more seeds after that time")
    parser.add_argument("--lives", type=int, help="measure what as many lives without faults cost")
    parser.add_argument("--theme", default="", choices=list(THEMES), help="what all faults are about")
    parser.add_argument("--scale", default="", choices=list(SCALES), help="how large all worlds are")
    parser.add_argument("--seed", type=int, help="replay one, with a trace")
    parser.add_argument("--logs", action="store_true", help="the processes' own log lines in the trace too")
    parser.add_argument("--leases", action="store_true", help="renewals of Leases in the trace too")
    parser.add_argument("--shrink", action="store_true", help="make the schedule of a failing seed shorter")
    parser.add_argument("--html", type=Path, help="a time line per process, into this file")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failing seed")
    arguments = parser.parse_args()
    if arguments.lives:
        from sim.plain import measured

        print(measured(arguments.lives))
        return 0
    if arguments.seed is not None:
        return _one(arguments)
    return _many(arguments)


def _one(arguments: argparse.Namespace) -> int:
    plan = scenario(arguments.seed, arguments.theme, arguments.scale)
    if arguments.shrink:
        from sim.shrink import shrunk

        plan = shrunk(plan)
    work = Run(plan, keep_trace=True, logs=arguments.logs)
    verdict = work.go()
    for entry in work.world.trace.entries:
        if arguments.leases or " Lease " not in f" {entry.text}":
            print(entry)
    print(f"\n{plan}\n" if arguments.shrink else "")
    _say(verdict)
    if arguments.html:
        from sim.timeline import page

        arguments.html.write_text(page(work, verdict))
        print(f"time line: {arguments.html}")
    return 0 if verdict.ok else 1


def _many(arguments: argparse.Namespace) -> int:
    began, told, count = time.monotonic(), time.monotonic(), Tally()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for verdict in verdicts(seeds, arguments.jobs, arguments.seconds, arguments.theme, arguments.scale):
        count.add(verdict)
        count.wall = time.monotonic() - began
        if not verdict.ok:
            _say(verdict)
            if not arguments.keep_going:
                break
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            print(f"… {count}", flush=True)
    print(count)
    return 1 if count.failed or not count.done else 0


def _say(verdict: Verdict) -> None:
    state = "ok" if verdict.ok else "FAILED"
    print(
        f"seed {verdict.seed} {state}: {verdict.lives} guests started, {verdict.writes} writes, {verdict.steps} steps, "
        f"{verdict.virtual:.0f} virtual s in {verdict.wall:.2f} s, {verdict.digest}"
    )
    for problem in verdict.problems[:8]:
        print(f"    {problem[:1500]}")
    if not verdict.ok:
        print(f"    replay: make sim SEED={verdict.seed}")


if __name__ == "__main__":
    sys.exit(main())
