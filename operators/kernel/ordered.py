"""The keys of a kind's objects by group, in an order that only their coming and going changes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from operators.contract.meta import Key, Obj

Rank: TypeAlias = tuple[str, ...]
Entry: TypeAlias = tuple[Rank, Key]


class Ordered:
    """Kept by the cache. `group` and `rank` may rest only on what never changes of an object: its name, its age."""

    def __init__(self, group: Callable[[Any], str], rank: Callable[[Any], Rank]) -> None:
        self._group = group
        self._rank = rank
        self._entries: dict[str, list[Entry]] = {}

    def add(self, obj: Obj[Any, Any]) -> None:
        """Take an object in."""
        insort(self._entries.setdefault(self._group(obj), []), (self._rank(obj), obj.key))

    def remove(self, obj: Obj[Any, Any]) -> None:
        """Let an object go."""
        group, entry = self._group(obj), (self._rank(obj), obj.key)
        entries = self._entries[group]
        del entries[bisect_left(entries, entry)]
        if not entries:
            del self._entries[group]

    def same_place(self, before: Obj[Any, Any], now: Obj[Any, Any]) -> bool:
        """Whether a changed object stays where it is."""
        return self._group(before) == self._group(now) and self._rank(before) == self._rank(now)

    def groups(self) -> Sequence[str]:
        """The groups that have any."""
        return tuple(self._entries)

    def entries(self, group: str) -> Sequence[Entry]:
        """The ranks and keys of a group, the lowest rank first. To be read at once, not kept."""
        return self._entries.get(group, ())
