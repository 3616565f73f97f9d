"""What kopf does for a process: list, then watch, deliver each event once and in order per object, begin again on 410.

Each watch of each process is behind by a time of its own. Its faults: events that come late or twice, a connection that
breaks and goes on where it was, a history that is compacted meanwhile (410: a relist, which never tells of what
vanished). Where a broken watch was, it knows from the last event it was told, or from a bookmark since then.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from operators.kernel.controller import Watch
from sim.loop import Actor, VirtualLoop
from sim.network import Link
from sim.store.schema import Json
from sim.store.selectors import Matches, matcher
from sim.store.server import ApiServer, Event, Table

Tell = Callable[[str | None, Json], None]


@dataclass
class Troubles:
    """What is wrong with a process's watches now."""

    late: bool = False
    twice: bool = False
    stale: bool = False
    """Lists that begin a watch come from a replica that is behind."""
    misled: bool = False
    """Such a list has told of something that is no more, and of whose end nobody will be told."""


@dataclass(eq=False)
class Stream:
    """One watch of one process."""

    loop: VirtualLoop
    server: ApiServer
    table: Table
    actor: Actor
    link: Link
    troubles: Troubles
    rng: random.Random
    watch: Watch
    tell: Tell
    chosen: Matches = field(init=False)
    at: int = -1
    """The version up to which it has told; -1 before the first list."""
    told: int = -1
    """The version that it would go on from if it broke now: of the list, or of the last event told."""
    busy: bool = False

    def __post_init__(self) -> None:
        self.chosen = matcher(self.watch.label_selector, self.watch.field_selector, self.table.resource.selectable)

    def begin(self) -> None:
        """List after a moment, then watch."""
        self.table.watchers[self] = None
        self.busy = True
        self._later(self._list)

    def news(self, event: Event) -> None:
        """There is something in the log."""
        if self.busy or self.at < 0:
            return
        if self.chosen(event.obj) or (event.before is not None and self.chosen(event.before)):
            self.busy = True
            self._later(self._deliver)
        else:
            self.at = event.version

    def forgotten(self) -> None:
        """The history is compacted. A watch that is up to date goes on; what was still to be told is lost."""
        if self.busy:
            self.gone()
        elif self.at >= 0:
            self.at = self.server.version

    def breaks(self) -> None:
        """The connection breaks, and is made anew at once, from where a bookmark or the last event says it was."""
        bookmark = self.rng.random() < 0.5
        if self.at >= 0 and not bookmark and self.told < self.table.compacted:
            self.gone()

    def close(self) -> None:
        """Watch no more."""
        self.table.watchers.pop(self, None)

    def gone(self) -> None:
        """The watch is broken, and its place in the history forgotten: begin anew."""
        if self.at >= 0:
            self.at = -1
            self.begin()

    def _later(self, call: Callable[[], None]) -> None:
        seconds = self.rng.uniform(0.001, 0.01)
        if self.troubles.late and self.rng.random() < 0.4:
            seconds = self.rng.uniform(0.1, 8.0)
        elif self.link.slow and self.rng.random() < 0.3:
            seconds = self.rng.uniform(0.1, 3.0)
        self.loop.at(self.loop.now + seconds, self.actor, call)

    def _reaches(self) -> bool:
        return not (self.link.refused or self.link.cut_there or self.link.cut_back)

    def _list(self) -> None:
        if not self.actor.alive:
            return
        if not self._reaches():
            self.loop.at(self.loop.now + self.rng.uniform(0.2, 3.0), self.actor, self._list)
            return
        objects = self.server.select(self.table, "", self.watch.label_selector, self.watch.field_selector)
        version = self.server.version
        if self.troubles.stale and self.table.log:
            objects, version = self._older(objects)
        self.rng.shuffle(objects)
        for obj in objects:
            self.tell(None, obj)
        self.at = self.told = version
        self.busy = False
        if self.table.log and self.table.log[-1].version > self.at:
            self.busy = True
            self._later(self._deliver)

    def _older(self, objects: list[Json]) -> tuple[list[Json], int]:
        """The list as it was a few events ago."""
        log = self.table.log
        behind = self.rng.randint(0, min(len(log), 12))
        there = {(each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in objects}
        for event in reversed(log[len(log) - behind :]):
            key = event.obj["metadata"].get("namespace", ""), event.obj["metadata"]["name"]
            if event.type == "ADDED":
                there.pop(key, None)
            elif event.before is not None and self.chosen(event.before):
                there[key] = event.before
                self.troubles.misled |= event.type == "DELETED"
        version = log[-behind - 1].version if behind < len(log) else log[0].version - 1
        return [there[key] for key in sorted(there)], max(version, 0)

    def _deliver(self) -> None:
        """Tell some or all of what is new."""
        if not self.actor.alive or self.at < 0:
            return
        if not self._reaches():
            self.loop.at(self.loop.now + self.rng.uniform(0.2, 3.0), self.actor, self._deliver)
            return
        if self.at < self.table.compacted:
            self.gone()
            return
        log = self.table.log
        start = bisect.bisect_right(log, self.at, key=lambda event: event.version)
        stop = len(log) if self.rng.random() < 0.8 else self.rng.randint(start, len(log))
        for event in log[start:stop]:
            self.at = event.version
            self._one(event)
        if start < len(log) and stop < len(log):
            self._later(self._deliver)
        else:
            self.busy = False

    def _one(self, event: Event) -> None:
        now = self.chosen(event.obj)
        before = event.before is not None and self.chosen(event.before)
        type_ = event.type
        if type_ == "MODIFIED" and now != before:
            type_ = "ADDED" if now else "DELETED"
        if (now or before) and (now or type_ == "DELETED"):
            self.told = event.version
            self.tell(type_, event.obj)
            if self.troubles.twice and self.rng.random() < 0.3:
                self.tell(type_, event.obj)
