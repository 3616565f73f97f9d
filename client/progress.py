"""A bar that fills, on a terminal; a line for every tenth where there is none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 30
EVERY = 0.1
"""Seconds between two drawings."""


class Bar:
    """Tells how much of something is done."""

    def __init__(
        self, label: str, total: int, out: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._total, self._out, self._clock = label, total, out, clock
        self._drawn = self._tenth = -1.0
        self._began: tuple[float, int] | None = None
        self._terminal = out.isatty()

    def at(self, done: int) -> None:
        """So many bytes are done. What was done before the first call does not count for the speed."""
        now = self._clock()
        self._began = self._began or (now, done)
        if self._terminal:
            if now - self._drawn >= EVERY or done >= self._total:
                self._drawn = now
                self._out.write("\r" + self._line(now, done)[: _columns() - 1] + "\x1b[K")
                self._out.flush()
        elif (tenth := done * 10 // max(1, self._total)) != self._tenth:
            self._tenth = tenth
            self._out.write(f"{self._label} {tenth * 10}% of {sized(self._total)}\n")
            self._out.flush()

    def end(self) -> None:
        """Leave what was drawn last."""
        if self._terminal and self._began is not None:
            self._out.write("\n")
            self._out.flush()

    def _line(self, now: float, done: int) -> str:
        part = min(1.0, done / max(1, self._total))
        began, before = self._began or (now, done)
        speed = (done - before) / (now - began) if now > began else 0.0
        left = f"  {_clocked((self._total - done) / speed)} left" if speed and done < self._total else ""
        bar = "#" * int(part * WIDTH)
        return (
            f"{self._label} [{bar:<{WIDTH}}] {part:4.0%}  {sized(done)} of {sized(self._total)}"
            f"  {sized(int(speed))}/s{left}"
        )


def sized(count: int) -> str:
    """Bytes, for people: `1.5 GiB`."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.0f} {units[0]}" if units[0] == "B" or value >= 100 else f"{value:.1f} {units[0]}"


def _clocked(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 120
