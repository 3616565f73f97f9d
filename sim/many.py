"""Many seeds in several processes: as many as asked for, or as fit into a time."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from sim.run import Verdict, run

WAIT = 0.5
"""Seconds between looks at the clock while no run has ended."""
SWEEP = 8
"""How many seeds share a collection of what they left in memory."""


@dataclass
class Tally:
    """What came of many runs."""

    done: int = 0
    lives: int = 0
    writes: int = 0
    virtual: float = 0.0
    cpu: float = 0.0
    """Seconds of all processes together."""
    wall: float = 0.0
    failed: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one."""
        failed = [] if verdict.ok else [verdict]
        self.extend(Tally(1, verdict.lives, verdict.writes, verdict.virtual, verdict.cpu, failed=failed))

    def extend(self, more: Tally) -> None:
        """Count others too, run after these."""
        self.done += more.done
        self.lives += more.lives
        self.writes += more.writes
        self.virtual += more.virtual
        self.cpu += more.cpu
        self.wall += more.wall
        self.failed += more.failed

    def __str__(self) -> str:
        seeds = sorted(verdict.seed for verdict in self.failed)
        cpu, wall = max(self.cpu, 1e-9), max(self.wall, 1e-9)
        return (
            f"{self.done} seeds in {self.wall:.0f} s ({self.done / wall * 60:.0f} a minute, "
            f"{cpu / max(self.done, 1) * 1000:.0f} ms of a core each): {self.virtual / 3600:.1f} virtual hours, "
            f"{self.lives} guests started ({self.lives / cpu:.1f} per second of a core), {self.writes} writes, "
            f"{len(self.failed)} failed {seeds[:20] if seeds else ''}".rstrip()
        )


def verdicts(
    seeds: Iterable[int], jobs: int, seconds: float = float("inf"), theme: str = "", scale: str = ""
) -> Iterator[Verdict]:
    """Run seeds side by side and yield how each ended, in whatever order; none is begun once the time is over."""
    until = time.monotonic() + seconds
    if jobs == 1:
        for seed in seeds:
            if time.monotonic() >= until:
                return
            yield _one(seed, theme, scale)
        return
    with multiprocessing.get_context("forkserver").Pool(jobs) as pool:
        results = pool.imap_unordered(partial(_one, theme=theme, scale=scale), seeds)
        while True:
            try:
                yield results.next(timeout=min(WAIT, max(until - time.monotonic(), 0.01)))
            except StopIteration:
                return
            except multiprocessing.TimeoutError:
                pass
            if time.monotonic() >= until:
                return


def _one(seed: int, theme: str, scale: str) -> Verdict:
    """One run; what it leaves is swept up now and then, not while it runs, which took a tenth of the time."""
    gc.disable()
    try:
        return run(seed, theme, scale)
    finally:
        gc.enable()
        if seed % SWEEP == 0:
            gc.collect()


def tally(seeds: Iterable[int], jobs: int, seconds: float = float("inf"), *, keep_going: bool = True) -> Tally:
    """Run seeds and count; stops at the first that fails, unless it is to keep going."""
    began, out = time.monotonic(), Tally()
    for verdict in verdicts(seeds, jobs, seconds):
        out.add(verdict)
        if not verdict.ok and not keep_going:
            break
    out.wall = time.monotonic() - began
    return out
