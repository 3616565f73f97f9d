"""An API server in memory, with the semantics that controllers rely on, for tests and simulation.

What it keeps: resource versions that only grow, uids, generations that count changes of spec, field owners, finalizers,
deletion in two steps, garbage collection by owner reference, guards by uid and resourceVersion, watches with selectors.
What it leaves to the real one: schemas (the contract's dataclasses stand in), defaults, admission, authorisation.
`tests/apiserver/kernel` runs the same expectations against both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from operators.contract.codec import ContractError, Json
from operators.contract.meta import Key, Kind, Meta
from operators.kernel.clock import Clock, SystemClock, stamp
from operators.kernel.fields import Owners, applied, merged, updated
from operators.kernel.manager import Manager
from operators.kernel.selectors import selects
from operators.kernel.store import AlreadyExists, Conflict, Invalid, NotFound, Store

AnyKind: TypeAlias = Kind[Any, Any]
OnEvent: TypeAlias = Callable[[str, Json], None]
Later: TypeAlias = Callable[[Callable[[], None]], None]
Hook: TypeAlias = Callable[[str, AnyKind, Key], Awaitable[None]]


@dataclass(frozen=True)
class _Record:
    body: Json
    owners: Owners
    status_owners: Owners


@dataclass(frozen=True)
class _Subscription:
    kind: AnyKind
    tell: OnEvent
    field_selector: str
    label_selector: str


async def _next_turn(verb: str, kind: AnyKind, key: Key) -> None:
    """Let others run, as any request to a real server would."""
    await asyncio.sleep(0)


@dataclass
class MemoryServer:
    """The objects, and everything that happens to them by itself."""

    clock: Clock = field(default_factory=SystemClock)
    later: Later = lambda call: call()
    """How watch events and garbage collection come about: at once, or whenever a scheduler has it."""
    hook: Hook = _next_turn
    """Awaited before every request; may raise a StoreError, or wait."""
    log: list[tuple[str, str, AnyKind, Key]] = field(default_factory=list)
    """Every write that changed something: manager, verb, kind, key."""

    def __post_init__(self) -> None:
        self._records: dict[AnyKind, dict[Key, _Record]] = {}
        self._subscriptions: list[_Subscription] = []
        self._version = 1  # as in etcd, whose first write gets 2
        self._uids = 0
        self._gone: set[str] = set()

    def subscribe(self, kind: AnyKind, tell: OnEvent, field_selector: str = "", label_selector: str = "") -> None:
        """Tell of every change from now on, as a watch does; an object that leaves the selection is DELETED."""
        self._subscriptions.append(_Subscription(kind, tell, field_selector, label_selector))

    def feed(self, manager: Manager) -> None:
        """Let a manager's watches be told."""
        for watch in manager.watches:

            def tell(type_: str, body: Json, kind: AnyKind = watch.kind) -> None:
                manager.event(kind, type_, body)

            self.subscribe(watch.kind, tell, watch.field_selector, watch.label_selector)

    def unsubscribe_all(self) -> None:
        """Break every watch, without a word to the watchers."""
        self._subscriptions.clear()

    def read(self, kind: AnyKind, key: Key) -> Json | None:
        """One object, now."""
        record = self._records.get(kind, {}).get(key)
        return _copy(record.body) if record else None

    def all(self, kind: AnyKind) -> Iterator[Json]:
        """Every object of a kind, now, ordered by key."""
        records = self._records.get(kind, {})
        return (_copy(records[key].body) for key in sorted(records))

    def change(
        self, manager: str, verb: str, kind: AnyKind, key: Key, change: Callable[[_Record | None], _Record]
    ) -> Json:
        """Do one atomic write: `change` makes the new record of the old; what is not new costs no version."""
        before = self._records.get(kind, {}).get(key)
        after = change(before)
        if before is not None and after == before:
            return _copy(before.body)
        try:
            kind.parse(after.body)
        except ContractError as error:
            raise Invalid(str(error)) from error
        self.log.append((manager, verb, kind, key))
        after = self._stamped(before, after)
        if after.body["metadata"].get("deletionTimestamp") and not after.body["metadata"].get("finalizers"):
            del self._records[kind][key]
            self._end(kind, after.body)
        else:
            self._records.setdefault(kind, {})[key] = after
            self._tell(kind, before.body if before else None, after.body)
            if before is None:
                self.later(lambda: self._collect(kind, key))
        return _copy(after.body)

    def _stamped(self, before: _Record | None, after: _Record) -> _Record:
        """The record with what the server itself writes into its metadata."""
        meta = dict(after.body["metadata"])
        self._version += 1
        meta["resourceVersion"] = str(self._version)
        if before is None:
            self._uids += 1
            meta["uid"] = f"{self._uids:08x}-0000-4000-8000-000000000000"
            meta["generation"] = 1
            meta["creationTimestamp"] = stamp(self.clock.now())
        elif _content(before.body) != _content(after.body) or (
            "deletionTimestamp" in meta and "deletionTimestamp" not in before.body["metadata"]
        ):
            meta["generation"] = before.body["metadata"]["generation"] + 1
        return _Record(after.body | {"metadata": meta}, after.owners, after.status_owners)

    def _end(self, kind: AnyKind, body: Json) -> None:
        self._tell(kind, body, None)
        self._gone.add(body["metadata"]["uid"])
        for other, records in self._records.items():
            for key, record in tuple(records.items()):
                if any(owner["uid"] == body["metadata"]["uid"] for owner in _owners(record.body)):
                    self.later(lambda other=other, key=key: self._collect(other, key))  # type: ignore[misc]

    def _collect(self, kind: AnyKind, key: Key) -> None:
        """Delete an object all of whose owners are gone, as the garbage collector does."""
        record = self._records.get(kind, {}).get(key)
        owners = _owners(record.body) if record else []
        if record and owners and all(owner["uid"] in self._gone for owner in owners):
            self.delete("garbage-collector", kind, key, record.body["metadata"]["uid"])

    def delete(self, manager: str, kind: AnyKind, key: Key, uid: str = "", version: str = "") -> None:
        """Ask for an object's deletion; without a uid, of whatever has the name."""

        def mark(before: _Record | None) -> _Record:
            if before is None:
                raise NotFound(f'{kind.crd} "{key}" not found')
            meta = before.body["metadata"]
            if uid and meta["uid"] != uid:
                raise Conflict(f'{kind.crd} "{key}": its uid is {meta["uid"]}, not {uid}')
            if version and meta["resourceVersion"] != version:
                raise Conflict(f'{kind.crd} "{key}": it has changed')
            if "deletionTimestamp" in meta:
                return before
            ending = meta | {"deletionTimestamp": stamp(self.clock.now())}
            return _Record(before.body | {"metadata": ending}, before.owners, before.status_owners)

        self.change(manager, "delete", kind, key, mark)

    def _tell(self, kind: AnyKind, before: Json | None, after: Json | None) -> None:
        for each in tuple(self._subscriptions):
            if each.kind is not kind:
                continue
            was = before is not None and selects(before, each.field_selector, each.label_selector)
            now = after is not None and selects(after, each.field_selector, each.label_selector)
            if was or now:
                type_ = ("MODIFIED" if was else "ADDED") if now else "DELETED"
                body = _copy(after or before or {})
                self.later(lambda each=each, type_=type_, body=body: each.tell(type_, body))  # type: ignore[misc]


class MemoryStore(Store):
    """One field manager's access to a server in memory; several may share one."""

    def __init__(self, server: MemoryServer | None = None, manager: str = "test") -> None:
        self.server = server or MemoryServer()
        self.manager = manager

    def as_manager(self, manager: str) -> MemoryStore:
        """The same server, for another component or a user."""
        return MemoryStore(self.server, manager)

    async def get(self, kind: AnyKind, key: Key) -> Json | None:
        await self.server.hook("get", kind, key)
        return self.server.read(kind, key)

    async def list(self, kind: AnyKind, *, field_selector: str = "", label_selector: str = "") -> Sequence[Json]:
        await self.server.hook("list", kind, Key("", ""))
        return [body for body in self.server.all(kind) if selects(body, field_selector, label_selector)]

    async def create(self, kind: AnyKind, body: Json) -> Json:
        key = _key(body)
        await self.server.hook("create", kind, key)

        def make(before: _Record | None) -> _Record:
            if before is not None:
                raise AlreadyExists(f'{kind.crd} "{key}" already exists')
            new = _new(kind, key)
            after = new | _content(body) | {"metadata": new["metadata"] | _settable(body)}
            return _Record(after, updated({}, _main(after), {}, f"{self.manager} (update)"), {})

        return self.server.change(self.manager, "create", kind, key, make)

    async def apply(self, kind: AnyKind, body: Json) -> Json:
        key = _key(body)
        await self.server.hook("apply", kind, key)

        def merge(before: _Record | None) -> _Record:
            _guard(kind, key, before, body["metadata"])
            old = before or _Record(_new(kind, key), {}, {})
            main, owners = applied(_main(old.body), old.owners, self.manager, _main(body))
            meta = old.body["metadata"] | {"labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": []}
            after = {name: value for name, value in old.body.items() if name in ("apiVersion", "kind", "status")}
            after |= {name: value for name, value in main.items() if name != "metadata"}
            after["metadata"] = {k: v for k, v in (meta | main.get("metadata", {})).items() if v not in ({}, [])}
            _no_new_finalizers(old.body["metadata"], after["metadata"])
            return _Record(after, owners, old.status_owners)

        return self.server.change(self.manager, "apply", kind, key, merge)

    async def apply_status(
        self, kind: AnyKind, key: Key, status: Mapping[str, Any], *, resource_version: str, manager: str = ""
    ) -> Json:
        await self.server.hook("apply_status", kind, key)
        name = f"{self.manager}/{manager}" if manager else self.manager

        def merge(before: _Record | None) -> _Record:
            if before is None:
                raise NotFound(f'{kind.crd} "{key}" not found')
            _guard(kind, key, before, {"resourceVersion": resource_version} if resource_version else {})
            now = {"status": before.body.get("status", {})}
            after, owners = applied(now, before.status_owners, name, {"status": _copy(dict(status))})
            return _Record(before.body | after, before.owners, owners)

        return self.server.change(name, "apply_status", kind, key, merge)

    async def finalize(self, kind: AnyKind, meta: Meta, finalizers: Sequence[str]) -> Json | None:
        await self.server.hook("finalize", kind, meta.key)

        def patch(before: _Record | None) -> _Record:
            if before is None:
                raise NotFound(f'{kind.crd} "{meta.key}" not found')
            _guard(kind, meta.key, before, meta.guard)
            new = {name: value for name, value in before.body["metadata"].items() if name != "finalizers"}
            if finalizers:
                new["finalizers"] = list(finalizers)
            _no_new_finalizers(before.body["metadata"], new)
            after = before.body | {"metadata": new}
            owners = updated(_main(before.body), _main(after), before.owners, f"{self.manager} (update)")
            return _Record(after, owners, before.status_owners)

        try:
            return self.server.change(self.manager, "finalize", kind, meta.key, patch)
        except NotFound:
            return None

    async def merge(self, kind: AnyKind, meta: Meta, change: Json) -> Json:
        await self.server.hook("merge", kind, meta.key)

        def patch(before: _Record | None) -> _Record:
            if before is None:
                raise NotFound(f'{kind.crd} "{meta.key}" not found')
            _guard(kind, meta.key, before, {"uid": meta.uid, "resourceVersion": meta.resource_version})
            after = merged(before.body, change)
            owners = updated(_main(before.body), _main(after), before.owners, f"{self.manager} (update)")
            return _Record(after, owners, before.status_owners)

        return self.server.change(self.manager, "merge", kind, meta.key, patch)

    async def delete(self, kind: AnyKind, key: Key, *, uid: str, resource_version: str = "") -> None:
        await self.server.hook("delete", kind, key)
        try:
            self.server.delete(self.manager, kind, key, uid, resource_version)
        except (NotFound, Conflict) as error:
            if resource_version and isinstance(error, Conflict):
                raise


_SETTABLE = ("labels", "annotations", "finalizers", "ownerReferences")


def _new(kind: AnyKind, key: Key) -> Json:
    return kind.body(key)


def _settable(body: Json) -> Json:
    return {name: body["metadata"][name] for name in _SETTABLE if body["metadata"].get(name)}


def _content(body: Json) -> Json:
    """What a writer may say besides metadata and status: the spec, for our kinds."""
    return {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "metadata", "status")}


def _main(body: Json) -> Json:
    """What the main endpoint of a kind with a status subresource takes."""
    settable = _settable(body)
    return _content(body) | ({"metadata": settable} if settable else {})


def _owners(body: Json) -> list[Json]:
    return list(body["metadata"].get("ownerReferences") or ())


def _key(body: Json) -> Key:
    return Key(body["metadata"].get("namespace", ""), body["metadata"]["name"])


def _guard(kind: AnyKind, key: Key, before: _Record | None, said: Mapping[str, Any]) -> None:
    """Refuse a write that was meant for another state or another object of the name."""
    for name in ("uid", "resourceVersion"):
        if before is None and name == "resourceVersion":
            continue  # by that alone, the API server makes what is missing
        if (wanted := said.get(name)) and (before is None or before.body["metadata"][name] != wanted):
            found = before.body["metadata"][name] if before else "none"
            raise Conflict(f'{kind.crd} "{key}": {name} {wanted} was meant, {found} is there')


def _no_new_finalizers(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    if "deletionTimestamp" in before and set(after.get("finalizers", ())) - set(before.get("finalizers", ())):
        raise Invalid("no new finalizers can be added if the object is being deleted")


def _copy(body: Json) -> Json:
    copy: Json = orjson.loads(orjson.dumps(body))
    return copy
