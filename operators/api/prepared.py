"""Responses that are kept as they were written, for as long as nothing that they tell of has changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from operators.api.wire import Prepared

MOST = 20_000
"""Responses that are kept: some 30 MB of virtual machines."""


@dataclass(slots=True)
class Kept:
    """Written responses by what they are of, each with what it rests on."""

    _written: dict[Hashable, tuple[Hashable, Prepared]] = field(default_factory=dict)

    def response(self, of: Hashable, rests_on: Hashable, make: Callable[[], object]) -> Prepared:
        """That of something, made anew when what it rests on is another than it was."""
        known = self._written.get(of)
        if known is not None and known[0] == rests_on:
            return known[1]
        if len(self._written) >= MOST:
            self._written.clear()
        made = Prepared(make())
        self._written[of] = rests_on, made
        return made
