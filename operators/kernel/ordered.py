"""A kind's objects by group, in an order that only their coming and going changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeAlias

from operators.contract.meta import Key, Obj

AnyObj: TypeAlias = Obj[Any, Any]
Rank: TypeAlias = tuple[str, ...]
Place: TypeAlias = tuple[Rank, Key]


@dataclass(slots=True)
class _Run:
    """One group: where each object is, and the objects themselves, side by side."""

    places: list[Place] = field(default_factory=list)
    objects: list[AnyObj] = field(default_factory=list)


class Ordered:
    """Kept by the cache. `group` and `rank` may rest only on what never changes of an object: its name, its age."""

    def __init__(self, group: Callable[[Any], str], rank: Callable[[Any], Rank]) -> None:
        self._group = group
        self._rank = rank
        self._runs: dict[str, _Run] = {}

    def change(self, before: AnyObj | None, now: AnyObj | None) -> None:
        """Follow an object: one that came, changed or went."""
        if before is not None and now is not None and self._where(before) == self._where(now):
            run, index = self._find(now)
            run.objects[index] = now
            return
        if before is not None:
            run, index = self._find(before)
            del run.places[index], run.objects[index]
            if not run.places:
                del self._runs[self._group(before)]
        if now is not None:
            run, index = self._find(now)
            run.places.insert(index, self._place(now))
            run.objects.insert(index, now)

    def objects(self, groups: Collection[str] | None) -> list[Any]:
        """The objects of some groups (None: of all), the lowest rank first."""
        names = self._runs if groups is None else groups
        runs = [run for name in names if (run := self._runs.get(name)) is not None]
        if len(runs) == 1:
            return list(runs[0].objects)
        # A sort makes use of the runs that are sorted already.
        pairs = [pair for run in runs for pair in zip(run.places, run.objects, strict=True)]
        return [obj for _, obj in sorted(pairs, key=itemgetter(0))]

    def _place(self, obj: AnyObj) -> Place:
        return self._rank(obj), obj.key

    def _where(self, obj: AnyObj) -> tuple[str, Place]:
        return self._group(obj), self._place(obj)

    def _find(self, obj: AnyObj) -> tuple[_Run, int]:
        run = self._runs.setdefault(self._group(obj), _Run())
        return run, bisect_left(run.places, self._place(obj))
