"""What one command wrote, noted on the way to the API server: which versions another replica must have seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from operators.contract.codec import Json
from operators.contract.meta import Key, Kind, Meta
from operators.kernel.store import Store

AnyKind: TypeAlias = Kind[Any, Any]


class Noting:
    """A store that remembers the newest version of each kind that was written or read, and what ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: dict[tuple[AnyKind, Key], str] = {}
        """What was to be deleted, and its uid, until it is known what became of it."""
        self.versions: dict[AnyKind, int] = {}
        self.gone: list[tuple[AnyKind, Key, str]] = []

    async def get(self, kind: AnyKind, key: Key) -> Json | None:
        """As the store. After a deletion this tells whether the object is gone at once."""
        body = await self._store.get(kind, key)
        uid = self._asked.get((kind, key))
        if uid is None:
            return body
        if body is None or body["metadata"]["uid"] != uid:
            self.gone.append((kind, key, uid))
            return body
        return self._noted(kind, body)

    async def list(self, kind: AnyKind, *, field_selector: str = "", label_selector: str = "") -> Sequence[Json]:
        """As the store."""
        return await self._store.list(kind, field_selector=field_selector, label_selector=label_selector)

    async def create(self, kind: AnyKind, body: Json) -> Json:
        """As the store."""
        return self._noted(kind, await self._store.create(kind, body))

    async def apply(self, kind: AnyKind, body: Json) -> Json:
        """As the store."""
        return self._noted(kind, await self._store.apply(kind, body))

    async def apply_status(
        self, kind: AnyKind, key: Key, status: Mapping[str, Any], *, resource_version: str, manager: str = ""
    ) -> Json | None:
        """As the store."""
        body = await self._store.apply_status(kind, key, status, resource_version=resource_version, manager=manager)
        return self._noted(kind, body) if body is not None else None

    async def finalize(self, kind: AnyKind, meta: Meta, finalizers: Sequence[str]) -> Json | None:
        """As the store."""
        body = await self._store.finalize(kind, meta, finalizers)
        return self._noted(kind, body) if body is not None else None

    async def merge(self, kind: AnyKind, meta: Meta, change: Json) -> Json:
        """As the store."""
        return self._noted(kind, await self._store.merge(kind, meta, change))

    async def delete(self, kind: AnyKind, key: Key, *, uid: str, resource_version: str = "") -> None:
        """As the store, whose answer says nothing of a version: whoever deletes looks afterwards."""
        self._asked[kind, key] = uid
        await self._store.delete(kind, key, uid=uid, resource_version=resource_version)

    def _noted(self, kind: AnyKind, body: Json) -> Json:
        version = str(body["metadata"].get("resourceVersion", ""))
        if version.isdecimal():
            self.versions[kind] = max(int(version), self.versions.get(kind, 0))
        return body
