"""The commands, one module a resource; every module here is read, and what it declares is in `ALL`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from operators.api.declare import Command


def _declared() -> Iterator[Command]:
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Command))


ALL: tuple[Command, ...] = tuple(sorted({each.name: each for each in _declared()}.values(), key=lambda each: each.name))
"""By name."""
