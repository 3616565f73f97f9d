"""Lists and searches of objects, from what the watches told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from operators.contract.codec import Json, to_wire
from operators.contract.compute import USER_DATA
from operators.contract.kinds import ALL
from operators.contract.meta import Kind, Obj
from operators.data.history.facts import shown
from operators.data.rest.declare import LIST, BadRequest, Endpoint, NoSuchThing, Param, Values
from operators.kernel.cache import Cache

SECRETIVE = ("userData", "userDataSources", "cloudInit", "password")
"""Fields of specs that may hold secrets, left out of every answer."""
PATIENCE = 2.0
"""Seconds that a list waits for a version to be seen."""
PAGE = (
    Param("offset", "How many to pass over", "integer", default=0),
    Param("limit", "How many at most", "integer", default=500, minimum=1, maximum=5000),
)
VERSION = Param("resourceVersion", "Wait until what was written at this version is seen", "integer", maximum=2**63 - 1)
FILTERS = (
    Param("namespace", "Those in these namespaces", "list"),
    Param("name", "The one of this name"),
    Param("uid", "Those of these uids", "list"),
    Param("search", "Those whose names contain this, in any case"),
    Param("label", "Those with these labels, as key=value", "list"),
    VERSION,
)
PLURALS: Mapping[str, Kind[Any, Any]] = {kind.plural: kind for kind in ALL}


class Objects:
    """The endpoints over one cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    @staticmethod
    def index(cache: Cache) -> None:
        """Keep what is looked up by something else than its name."""
        for kind in ALL:
            cache.index(kind, "uid", lambda obj: (obj.meta.uid,))
            cache.index(kind, "namespace", lambda obj: (obj.meta.namespace,))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them."""
        every, word = (*FILTERS, *PAGE), Param("q", "What they contain", required=True)
        return (
            Endpoint("/data/v1/objects/{plural}", "The objects of a kind, by its plural", self.list, every, LIST),
            Endpoint("/data/v1/objects/{plural}/{uid}", "One object by its uid", self.one),
            Endpoint("/data/v1/search", "Objects by name, address or uid", self.search, (word, *PAGE), LIST),
            Endpoint("/data/v1/counts", "How many objects of each kind, by namespace", self.counts),
        )

    async def list(self, values: Values) -> Json:
        """A page of a kind, oldest first."""
        kind = _kind(values["plural"])
        if values["resourceVersion"] is not None:
            await self._cache.reached(kind, values["resourceVersion"], PATIENCE)
        labels = [pair.partition("=") for pair in values["label"]]
        if any(not mark for _, mark, _ in labels):
            raise BadRequest("label must be key=value")
        wanted, search = {(key, value) for key, _, value in labels}, values["search"].lower()
        found = [
            obj
            for obj in self._candidates(kind, values)
            if values["name"] in ("", obj.meta.name)
            and wanted <= obj.meta.labels.items()
            and (not search or search in obj.meta.name.lower() or search in shown(obj).lower())
        ]
        found.sort(key=lambda obj: (obj.meta.creation_timestamp, obj.meta.namespace, obj.meta.name))
        return _page(found, values)

    def _candidates(self, kind: Kind[Any, Any], values: Values) -> Iterable[Obj[Any, Any]]:
        if values["uid"]:
            return [obj for uid in values["uid"] for obj in self._cache.by(kind, "uid", uid)]
        if values["namespace"]:
            return [obj for space in set(values["namespace"]) for obj in self._cache.by(kind, "namespace", space)]
        return self._cache.all(kind)

    async def one(self, values: Values) -> Json:
        """One object."""
        found = self._cache.by(_kind(values["plural"]), "uid", values["uid"])
        if not found:
            raise NoSuchThing(f"there is no object of uid {values['uid']}")
        return plain(found[0])

    async def search(self, values: Values) -> Json:
        """Objects of any kind."""
        word = values["q"].lower()
        return _page([obj for kind in ALL for obj in self._cache.all(kind) if _contains(obj, word)], values)

    async def counts(self, _: Values) -> Json:
        """By kind, then by namespace."""
        out: Json = {}
        for kind in ALL:
            by: dict[str, int] = {}
            for obj in self._cache.all(kind):
                by[obj.meta.namespace] = by.get(obj.meta.namespace, 0) + 1
            out[kind.plural] = {"total": sum(by.values())} | ({"namespaces": by} if kind.namespaced else {})
        return out


def plain(obj: Obj[Any, Any]) -> Json:
    """An object as answers show it, without what may be secret."""
    secret = obj.kind is USER_DATA
    spec = {} if secret else {name: each for name, each in to_wire(obj.spec).items() if name not in SECRETIVE}
    meta = obj.meta
    return {
        "kind": obj.kind.kind,
        "uid": meta.uid,
        "namespace": meta.namespace,
        "name": meta.name,
        "shown": shown(obj),
        "created": meta.creation_timestamp,
        "resourceVersion": meta.resource_version,
        "deleting": meta.deleting,
        "labels": dict(meta.labels),
        "spec": spec,
        "status": to_wire(obj.status),
    }


def _page(found: list[Obj[Any, Any]], values: Values) -> Json:
    page = found[values["offset"] : values["offset"] + values["limit"]]
    return {"total": len(found), "items": [plain(obj) for obj in page]}


def _kind(plural: str) -> Kind[Any, Any]:
    if plural not in PLURALS:
        raise NoSuchThing(f"there is no kind {plural}: /data/v1/counts lists all")
    return PLURALS[plural]


def _contains(obj: Obj[Any, Any], word: str) -> bool:
    texts = (obj.meta.name, shown(obj), obj.meta.uid, *getattr(obj.status, "addresses", ()))
    return any(word in text.lower() for text in texts)
