"""Time as a port, so that tests and the simulation can bend it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a controller may know of time."""

    def now(self) -> datetime:
        """The wall clock, UTC-aware; it may jump."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, for durations and deadlines."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long on the monotonic clock."""


class SystemClock:
    """This machine's clocks; on a virtual event loop, the loop's time is the monotonic one."""

    def now(self) -> datetime:
        """The wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The running event loop's time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


def stamp(moment: datetime) -> str:
    """A moment as the API server writes it: `2026-11-21T10:23:44Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_stamp(text: str) -> datetime:
    """Read a time of the API server, with or without fractions of a second."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
