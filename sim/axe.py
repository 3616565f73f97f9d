"""A death at the worst moment: just when something was asked for, before the asker hears what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Axe:
    """Falls on a process after a number of chances."""

    left: int
    fall: Callable[[], None]
    process: Any = None
    """Of a host's axe, the one of its agents that it is for."""

    def chance(self) -> bool:
        """Whether it falls now; it does so once."""
        self.left -= 1
        return self.left == -1
