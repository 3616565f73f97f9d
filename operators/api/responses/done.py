"""The answer of a command that has nothing to tell but that it succeeded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Success; failures are errors."""

    success: bool = True
