"""Guests that are to stand still for a moment, while this process writes down what they are.

Captures asks, and the controller of the Instances does it: all that is done with one guest's power is done by its runs.
A guest that nobody here asks for any more goes on, and so does one that an earlier process left standing, as nobody
asks for that either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from operators.kernel.clock import Clock

LEASE = 10.0
"""Seconds for which a guest is held unless that is asked for again."""


class Holding:
    """Who is to stand still."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._numbers: dict[str, int] = {}
        self._busy: set[str] = set()

    def ask(self, uuid: str) -> int:
        """Have it stand still, for now; a number that stays the same for as long as it was not let go."""
        if not self.asked(uuid):
            self._numbers[uuid] = self._numbers.get(uuid, 0) + 1
        self._until[uuid] = self._clock.monotonic() + LEASE
        return self._numbers[uuid]

    @contextmanager
    def busy(self, uuid: str) -> Iterator[None]:
        """Have it stand still for as long as this takes, and no longer."""
        self._busy.add(uuid)
        try:
            yield
        finally:
            self._busy.discard(uuid)
            self._until.pop(uuid, None)

    def asked(self, uuid: str) -> bool:
        """Whether it is to stand still."""
        return uuid in self._busy or self._until.get(uuid, 0.0) > self._clock.monotonic()

    def number(self, uuid: str) -> int:
        """That of its standing still at present; 0 when it may have gone on."""
        return self._numbers.get(uuid, 0) if self.asked(uuid) else 0
