"""Who did what when: kept as lines for people, and as a digest by which two runs are compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    time: float
    actor: str
    verb: str
    text: str

    def __str__(self) -> str:
        return f"{self.time:10.3f}  {self.actor:<24} {self.verb:<10} {self.text}"


@dataclass
class Trace:
    """The record of one run. The digest is of everything, the lines only if they are kept."""

    keep: bool = False
    entries: list[Entry] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=12)

    def add(self, time: float, actor: str, verb: str, text: str) -> None:
        """Something happened."""
        self.count += 1
        self._hash.update(f"{time:.6f}|{actor}|{verb}|{text}\n".encode())
        if self.keep:
            self.entries.append(Entry(time, actor, verb, text))

    @property
    def digest(self) -> str:
        """Equal for equal runs."""
        return self._hash.hexdigest()
