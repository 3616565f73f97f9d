"""Run seeds: `python -m sim --seeds 1000`, or replay one with its trace: `python -m sim --seed 123`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sim import run as running
from sim.run import Run, Verdict, scenario


def main() -> int:
    """Whether anything was wrong, as an exit code."""
    parser = argparse.ArgumentParser(prog="sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay one, with a trace")
    parser.add_argument("--logs", action="store_true", help="the processes' own log lines in the trace too")
    parser.add_argument("--leases", action="store_true", help="renewals of Leases in the trace too")
    parser.add_argument("--shrink", action="store_true", help="make the schedule of a failing seed shorter")
    parser.add_argument("--html", type=Path, help="a time line per process, into this file")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failing seed")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _one(arguments)
    return _many(arguments)


def _one(arguments: argparse.Namespace) -> int:
    plan = scenario(arguments.seed)
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
    began, lives, failed = time.perf_counter(), 0, []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        verdict = running.run(seed)
        lives += verdict.lives
        if not verdict.ok:
            failed.append(seed)
            _say(verdict)
            if not arguments.keep_going:
                break
    seconds = time.perf_counter() - began
    done = seed - arguments.first + 1
    print(
        f"{done} seeds, {lives} guests started, {len(failed)} failed {failed[:20]}, {seconds:.1f} s, "
        f"{lives / seconds:.0f} lives/s"
    )
    return 1 if failed else 0


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
