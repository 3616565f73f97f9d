"""What this process has seen of the API server: typed objects by kind and key, with indexes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import structlog

from operators.contract.codec import ContractError, Json
from operators.contract.meta import Key, Kind, Obj, SpecT, StatusT
from operators.kernel.ordered import Ordered, Rank

log = structlog.get_logger()

AnyKind: TypeAlias = Kind[Any, Any]
AnyObj: TypeAlias = Obj[Any, Any]
IndexFn: TypeAlias = Callable[[Any], Iterable[str]]


class Cache:
    """The newest seen state of every watched object. Reads are plain dictionary look-ups and never wait."""

    def __init__(self, kinds: Collection[AnyKind]) -> None:
        self._objects: dict[AnyKind, dict[Key, AnyObj]] = {kind: {} for kind in kinds}
        self._graves: dict[AnyKind, dict[Key, tuple[str, int]]] = {kind: {} for kind in kinds}
        self._fresh: dict[AnyKind, set[Key]] = {}
        self._lists: dict[AnyKind, int] = dict.fromkeys(kinds, 0)
        self._versions: dict[AnyKind, int] = dict.fromkeys(kinds, 0)
        self._waiting: dict[AnyKind, list[tuple[int, asyncio.Future[None]]]] = {kind: [] for kind in kinds}
        self._index_fns: dict[AnyKind, dict[str, IndexFn]] = {kind: {"owner": _owner_uids} for kind in kinds}
        self._indexes: dict[AnyKind, dict[str, dict[str, set[Key]]]] = {kind: {"owner": {}} for kind in kinds}
        self._orders: dict[AnyKind, Ordered] = {}
        self._changes: dict[AnyKind, int] = dict.fromkeys(kinds, 0)

    def index(self, kind: AnyKind, name: str, values: IndexFn) -> None:
        """Keep an index over a kind: `values` gives the strings under which `by` shall find an object."""
        self._index_fns[kind][name] = values
        self._indexes[kind][name] = {}
        for obj in self._objects[kind].values():
            self._enter(obj, name)

    def order(self, kind: AnyKind, group: Callable[[Any], str], rank: Callable[[Any], Rank]) -> None:
        """Keep a kind in an order, by groups, for `ordered`. Both may rest only on what never changes of an object."""
        order = self._orders[kind] = Ordered(group, rank)
        for obj in self._objects[kind].values():
            order.change(None, obj)

    def get(self, kind: Kind[SpecT, StatusT], key: Key) -> Obj[SpecT, StatusT] | None:
        """One object, or None."""
        return self._objects[kind].get(key)

    def all(self, kind: Kind[SpecT, StatusT]) -> Iterator[Obj[SpecT, StatusT]]:
        """Every object of a kind."""
        return iter(tuple(self._objects[kind].values()))

    def by(self, kind: Kind[SpecT, StatusT], index: str, value: str) -> tuple[Obj[SpecT, StatusT], ...]:
        """The objects that an index holds under a value, ordered by key."""
        return tuple(self._objects[kind][key] for key in sorted(self._indexes[kind][index].get(value, ())))

    def under(self, kind: AnyKind, index: str, value: str) -> Collection[Key]:
        """The keys that an index holds under a value, in no order. To be read at once, not kept."""
        return self._indexes[kind][index].get(value, ())

    def ordered(self, kind: Kind[SpecT, StatusT], groups: Collection[str] | None = None) -> list[Obj[SpecT, StatusT]]:
        """The objects of some groups (None: of all), in the order that is kept of the kind."""
        return self._orders[kind].objects(groups)

    def changes(self, kind: AnyKind) -> int:
        """A number that is another one after every change of a kind."""
        return self._changes[kind]

    def owned(self, kind: Kind[SpecT, StatusT], uid: str) -> tuple[Obj[SpecT, StatusT], ...]:
        """The objects of a kind with an owner reference to `uid`, ordered by key."""
        return self.by(kind, "owner", uid)

    def put(self, kind: AnyKind, body: Json) -> tuple[AnyObj | None, AnyObj] | None:
        """Take in an object's JSON; the state before and now, or None when it brings nothing newer."""
        key = Key(body["metadata"].get("namespace", ""), body["metadata"]["name"])
        before = self._objects[kind].get(key)
        known = before.meta.resource_version if before else self._graves[kind].get(key, ("", 0))[0]
        if known and not _newer(body["metadata"].get("resourceVersion", ""), known):
            return None
        now = kind.parse(body)
        self._came(kind, now.meta.resource_version)
        self._changes[kind] += 1
        self._reorder(kind, before, now)
        self._remove(kind, key)
        self._objects[kind][key] = now
        if kind in self._fresh:
            self._fresh[kind].add(key)
        for name in self._index_fns[kind]:
            self._enter(now, name)
        return before, now

    def drop(self, kind: AnyKind, key: Key, uid: str = "", resource_version: str = "") -> AnyObj | None:
        """Forget an object that was deleted (that of the given uid only); what it was, if it was known.

        The version at which it ended is kept until the list after the next: neither a list that began before, nor the
        answer to one of our own writes that is read only now, may bring it back.
        """
        known = self._objects[kind].get(key)
        if known is not None and uid and known.meta.uid != uid:
            return None
        if resource_version:
            self._came(kind, resource_version)
            self._graves[kind][key] = resource_version, self._lists[kind]
        if known is not None:
            self._changes[kind] += 1
            self._reorder(kind, known, None)
            self._remove(kind, key)
        return known

    def listing(self, kind: AnyKind) -> None:
        """Note that a full list of a kind is asked for now: what is seen meanwhile is newer than the list."""
        self._fresh[kind] = set()

    def replace(self, kind: AnyKind, bodies: Iterable[Json]) -> Iterator[tuple[AnyObj | None, AnyObj | None]]:
        """Make a full list the truth; yields what changed, as (before, now), now being None for what vanished."""
        listed = self._fresh.pop(kind, set())
        for body in bodies:
            listed.add(Key(body["metadata"].get("namespace", ""), body["metadata"]["name"]))
            try:
                change = self.put(kind, body)
            except ContractError as error:
                # It is there, and what it was before is the best that can be known of it.
                log.error("object_not_understood", error=str(error))
                continue
            if change is not None:
                yield change
        for key in self._objects[kind].keys() - listed:
            yield self.drop(kind, key), None
        self._lists[kind] += 1
        old = self._lists[kind] - 1
        self._graves[kind] = {key: grave for key, grave in self._graves[kind].items() if grave[1] >= old}

    async def reached(self, kind: AnyKind, version: int, seconds: float) -> bool:
        """Wait until something of this version or a later one was seen of a kind; whether it was, in that time."""
        if self._versions[kind] >= version:
            return True
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[kind].append((version, came))
        try:
            async with asyncio.timeout(seconds):
                await came
        except TimeoutError:
            return False
        finally:
            self._waiting[kind] = [(wanted, each) for wanted, each in self._waiting[kind] if each is not came]
        return True

    def coming(self, kinds: Collection[AnyKind]) -> asyncio.Future[None]:
        """Done with the next object of these kinds that is newer than all that were seen. Cancel it after use."""
        came: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for kind in kinds:
            alive = [each for each in self._waiting[kind] if not each[1].done()]
            self._waiting[kind] = [*alive, (self._versions[kind] + 1, came)]
        return came

    def _came(self, kind: AnyKind, version: str) -> None:
        """Note a version that was seen, and wake whoever waits for it."""
        if version.isdecimal() and int(version) > self._versions[kind]:
            self._versions[kind] = int(version)
            for wanted, came in self._waiting[kind]:
                if wanted <= int(version) and not came.done():
                    came.set_result(None)

    def count(self, kind: AnyKind) -> int:
        """How many objects of a kind are held."""
        return len(self._objects[kind])

    def counts(self) -> Mapping[str, int]:
        """How many objects of each kind are held, for metrics."""
        return {kind.kind: len(objects) for kind, objects in self._objects.items()}

    @property
    def kinds(self) -> Collection[AnyKind]:
        """The kinds that are held."""
        return self._objects.keys()

    def _reorder(self, kind: AnyKind, before: AnyObj | None, now: AnyObj | None) -> None:
        if (order := self._orders.get(kind)) is not None:
            order.change(before, now)

    def _remove(self, kind: AnyKind, key: Key) -> None:
        known = self._objects[kind].pop(key, None)
        if known is None:
            return
        for name, values in self._index_fns[kind].items():
            index = self._indexes[kind][name]
            for value in values(known):
                entries = index.get(value)
                if entries is not None:
                    entries.discard(key)
                    if not entries:
                        del index[value]

    def _enter(self, obj: AnyObj, name: str) -> None:
        index = self._indexes[obj.kind][name]
        for value in self._index_fns[obj.kind][name](obj):
            index.setdefault(value, set()).add(obj.key)


def _owner_uids(obj: AnyObj) -> Iterable[str]:
    return (owner.uid for owner in obj.meta.owner_references)


def _newer(version: str, known: str) -> bool:
    """Whether a resourceVersion is newer than a known one. Those of one kind are comparable numbers (KEP-5504)."""
    if known.isdecimal() and version.isdecimal():
        return int(version) > int(known)
    return version != known
