"""The API server: requests as the real one takes them, answers as it gives them, and the log that watches are fed from.

Objects are never changed in place: every write makes a new one, so that answers, events and backups can share them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from sim.store import ownership
from sim.store.ownership import GONE, Owned
from sim.store.resources import Resource, resources
from sim.store.schema import Json, complaints, shaped, untypable
from sim.store.selectors import BadSelector, matcher

ObjectKey = tuple[str, str]
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
SERVER_SIDE = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Refusal(Exception):
    """An answer that is an error: HTTP code, reason and message of a Status object."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def status(self) -> Json:
        """The Status object."""
        return {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": str(self), "reason": self.reason, "code": self.code,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """A stored object and who owns what of it."""

    obj: Json
    owned: Owned


@dataclass(frozen=True, slots=True)
class Event:
    """One change: `type` is ADDED, MODIFIED or DELETED; `before` is what stood there."""

    version: int
    type: str
    obj: Json
    before: Json | None


class Watcher(Protocol):
    """Who is to hear that there is something in the log."""

    def news(self, event: Event) -> None:
        """There is."""

    def forgotten(self) -> None:
        """The log is gone, up to now."""


@dataclass
class Table:
    """All objects of one resource, and what happened to them."""

    resource: Resource
    records: dict[ObjectKey, Record] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)
    compacted: int = 0
    """Events up to this version are forgotten: a watch from before meets 410."""
    watchers: dict[Watcher, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, parsed."""

    method: str
    resource: Resource
    key: ObjectKey
    """The name is "" for a list or a create."""
    subresource: str = ""
    body: Any = None
    content: str = "application/json"
    query: tuple[tuple[str, str], ...] = ()
    user: str = ""

    def param(self, name: str) -> str:
        """A query parameter, or ""."""
        return next((value for key, value in self.query if key == name), "")


class ApiServer:
    """Objects, and the rules by which they change. Synchronous: etcd orders all writes anyway."""

    def __init__(
        self, rng: random.Random, now: Callable[[], str], served: dict[tuple[str, str], Resource] | None = None
    ):
        self._rng = rng
        self._now = now
        self.version = 1
        self.tables = {key: Table(resource) for key, resource in (served or resources()).items()}
        self.listeners: list[Callable[[Table, Event, str], None]] = []
        """Called at once with each change and its author."""

    # Requests.

    def answer(self, request: Request) -> tuple[int, Json]:
        """Carry out a request; code and body. Errors are answers too."""
        try:
            return self._dispatch(request)
        except Refusal as refusal:
            return refusal.code, refusal.status()
        except BadSelector as error:
            return 400, Refusal(400, "BadRequest", str(error)).status()

    def _dispatch(self, request: Request) -> tuple[int, Json]:
        table = self.tables[request.resource.group, request.resource.plural]
        named = bool(request.key[1])
        match request.method, named:
            case "GET", True:
                return 200, self._existing(table, request.key).obj
            case "GET", False:
                return 200, self._list(table, request)
            case "POST", False:
                return 201, self._create(table, request, dict(request.body), "Update")
            case "PATCH", True if request.content == APPLY:
                return self._apply(table, request)
            case "PATCH", True:
                return 200, self._merge_patch(table, request)
            case "PUT", True:
                return 200, self._replace(table, request)
            case "DELETE", True:
                return 200, self._delete(table, request)
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _existing(self, table: Table, key: ObjectKey) -> Record:
        record = table.records.get(key)
        if record is None:
            raise Refusal(404, "NotFound", f'{table.resource.named} "{key[1]}" not found')
        return record

    def select(self, table: Table, namespace: str, labels: str, fields: str) -> list[Json]:
        """The objects that selectors choose, ordered by key as etcd has them."""
        chosen = matcher(labels, fields, table.resource.selectable)
        return [
            table.records[key].obj
            for key in sorted(table.records)
            if (not namespace or key[0] == namespace) and chosen(table.records[key].obj)
        ]

    def _list(self, table: Table, request: Request) -> Json:
        items = self.select(table, request.key[0], request.param("labelSelector"), request.param("fieldSelector"))
        resource = table.resource
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self.version)},
            "items": items,
        }

    # Writes.

    def _create(self, table: Table, request: Request, body: Json, operation: str) -> Json:
        resource = table.resource
        meta = dict(body.get("metadata") or {})
        name = meta.get("name") or request.key[1]
        if not name or not _SUBDOMAIN.fullmatch(name) or len(name) > 253:
            raise self._invalid(
                resource, name, [f"metadata.name: Invalid value: {name!r}: a lowercase RFC 1123 subdomain"]
            )
        key = (request.key[0] if resource.namespaced else "", name)
        if resource.namespaced:
            self._must_stand(resource, key)
        if meta.get("resourceVersion") and operation == "Update":
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        self._quota(table, key[0])
        said = body
        body = self._fit(resource, body, request)
        if resource.status:
            body.pop("status", None)
        owner = (request.param("fieldManager") or request.user, operation, "")
        # Of an apply, defaults are nobody's.
        part = self._part(resource, "", said) if operation == "Apply" else _ownable(body)
        owned = {owner: ownership.fields_of(resource.schema, part)}
        meta = _settable(body.get("metadata") or {})
        meta |= {"name": name, "uid": self._uid(), "creationTimestamp": self._now()}
        if resource.validated:
            meta["generation"] = 1
        if resource is self.tables["", "namespaces"].resource:
            meta["labels"] = (meta.get("labels") or {}) | {"kubernetes.io/metadata.name": name}
            body = body | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
        if resource.namespaced:
            meta["namespace"] = key[0]
        obj = {**body, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
        if operation == "Apply" and (body.get("metadata") or {}).get("uid"):
            # A resourceVersion alone does not keep an apply from creating.
            raise Refusal(409, "Conflict", f"Operation cannot be fulfilled: {name} was meant to exist, and does not")
        self._validate(resource, obj, None)
        if (there := table.records.get(key)) is not None:
            deleting = "object is being deleted: " if there.obj["metadata"].get("deletionTimestamp") else ""
            raise Refusal(409, "AlreadyExists", f'{deleting}{resource.named} "{name}" already exists')
        return self._store(table, key, obj, owned, "ADDED", request.user)

    def _must_stand(self, resource: Resource, key: ObjectKey) -> None:
        """Refuse what is to be made in a namespace that is not there, or is being deleted."""
        namespace = self.tables["", "namespaces"].records.get(("", key[0]))
        if namespace is None:
            raise Refusal(404, "NotFound", f'namespaces "{key[0]}" not found')
        if namespace.obj["metadata"].get("deletionTimestamp"):
            raise Refusal(
                403, "Forbidden",
                f'{resource.named} "{key[1]}" is forbidden: unable to create new content in namespace {key[0]} '
                "because it is being terminated",
            )  # fmt: skip

    def _fit(self, resource: Resource, body: Json, request: Request) -> Json:
        """The body with defaults and without what is unknown; refused when it is another kind's."""
        if body.get("kind") not in (None, resource.kind) or body.get("apiVersion") not in (None, resource.api_version):
            raise Refusal(400, "BadRequest", f"the object provided is not a {resource.kind} of {resource.api_version}")
        namespace = (body.get("metadata") or {}).get("namespace")
        if resource.namespaced and namespace not in (None, request.key[0]):
            raise Refusal(400, "BadRequest", "the namespace of the object does not match the namespace of the request")
        return self._shaped(resource, body)

    def _shaped(self, resource: Resource, body: Json, live: Json | None = None) -> Json:
        if not resource.validated:
            return dict(body)
        outside = {name: body[name] for name in ("apiVersion", "kind", "metadata") if name in body}
        inside = {name: value for name, value in body.items() if name not in outside}
        whole: Json = outside | shaped(resource.schema, inside, live)
        return whole

    def _apply(self, table: Table, request: Request) -> tuple[int, Json]:
        body: Json = request.body
        resource, meta = table.resource, request.body.get("metadata") or {}
        record = table.records.get(request.key)
        if record is None and request.subresource:
            raise Refusal(404, "NotFound", f'{resource.named} "{request.key[1]}" not found')
        if resource.validated and (
            why := untypable(resource.schema, {k: v for k, v in body.items() if k not in _META})
        ):
            raise Refusal(500, "", f"failed to create typed patch object: {why}")
        if record is None:
            return 201, self._create(table, request, body, "Apply")
        live, who = record.obj, (request.param("fieldManager"), "Apply", request.subresource)
        self._guard(resource, live, meta)
        part = self._part(resource, request.subresource, body)
        mine = ownership.fields_of(resource.schema, part)
        base = _ownable(live)
        laid = ownership.merged(resource.schema, base, part)
        if ownership.alone(mine, who, record.owned):
            return 200, self._update(table, request, record, _over(live, laid), record.owned)
        owned = {each: fields for each, fields in record.owned.items() if each != who}
        fresh, vanished = ownership.changes(resource.schema, base, laid)
        if request.param("force") != "true":
            self._must_not_conflict(owned, fresh)
        kept = frozenset().union(mine, *owned.values())
        out = ownership.pruned(resource.schema, laid, record.owned.get(who, frozenset()) - mine, kept)
        if out is not laid:
            _, vanished = ownership.changes(resource.schema, base, out)
        owned = _disowned(owned, fresh | vanished)
        if mine:
            owned[who] = mine
        return 200, self._update(table, request, record, _over(live, {} if out is GONE else out), owned)

    def _must_not_conflict(self, others: Owned, fresh: set[ownership.Path]) -> None:
        """Refuse what would take a field from another manager without saying `force`."""
        for (manager, _, _), fields in others.items():
            if found := fields & fresh:
                raise Refusal(409, "Conflict", f'Apply failed with {len(found)} conflict: conflict with "{manager}"')

    def _part(self, resource: Resource, subresource: str, body: Json) -> Json:
        """What of a configuration counts at an endpoint: status at its own, all the rest at the main one."""
        part = _ownable(body)
        if subresource:
            return {name: value for name, value in part.items() if name == subresource}
        if resource.status:
            part.pop("status", None)
        return part

    def _guard(self, resource: Resource, live: Json, meta: Json) -> None:
        name, mine = live["metadata"]["name"], live["metadata"]
        if (wanted := meta.get("uid")) and wanted != mine["uid"]:
            message = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {mine['uid']}"
            raise Refusal(409, "Conflict", f'Operation cannot be fulfilled on {resource.named} "{name}": {message}')
        if (version := meta.get("resourceVersion")) and version != mine["resourceVersion"]:
            raise Refusal(
                409, "Conflict",
                f'Operation cannot be fulfilled on {resource.named} "{name}": the object has been modified; '
                "please apply your changes to the latest version and try again",
            )  # fmt: skip

    def _merge_patch(self, table: Table, request: Request) -> Json:
        record = self._existing(table, request.key)
        self._guard(table.resource, record.obj, request.body.get("metadata") or {})
        return self._written(table, request, record, _patched(record.obj, request.body))

    def _replace(self, table: Table, request: Request) -> Json:
        record = self._existing(table, request.key)
        self._guard(table.resource, record.obj, request.body.get("metadata") or {})
        meta = {name: record.obj["metadata"][name] for name in SERVER_SIDE if name in record.obj["metadata"]}
        body = {**request.body, "metadata": {**request.body["metadata"], **meta}}
        return self._written(table, request, record, body)

    def _written(self, table: Table, request: Request, record: Record, new: Json) -> Json:
        """An update that is no apply: what it changed becomes its manager's."""
        resource, live = table.resource, record.obj
        if request.subresource:
            new = {**live, **({request.subresource: new[request.subresource]} if request.subresource in new else {})}
        elif resource.status:
            new = {name: value for name, value in new.items() if name != "status"}
            new |= {"status": live["status"]} if "status" in live else {}
        new = self._shaped(resource, new, live)
        unset = {name for name in _OWNED if name in new["metadata"] and new["metadata"][name] in ({}, [], None)}
        new["metadata"] = {name: value for name, value in new["metadata"].items() if name not in unset}
        fresh, vanished = ownership.changes(resource.schema, _ownable(live), _ownable(new))
        owned = _disowned(record.owned, fresh | vanished)
        if fresh:
            who = (request.param("fieldManager") or request.user, "Update", request.subresource)
            owned[who] = owned.get(who, frozenset()) | fresh
        return self._update(table, request, record, new, owned)

    def _update(self, table: Table, request: Request, record: Record, new: Json, owned: Owned) -> Json:
        resource, live = table.resource, record.obj
        new = self._shaped(resource, new, live)
        before = live["metadata"]
        meta = _settable(new["metadata"])
        meta |= {name: before[name] for name in SERVER_SIDE if name in before}
        new = {**new, "apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": meta}
        if resource.validated and _content(new) != _content(live):
            meta["generation"] = before.get("generation", 0) + 1
        if _same(new, live) and owned == record.owned:
            return live
        if before.get("deletionTimestamp") and set(meta.get("finalizers", ())) - set(before.get("finalizers", ())):
            raise self._invalid(resource, request.key[1], [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"
            ])  # fmt: skip
        self._validate(resource, new, live)
        if before.get("deletionTimestamp") and not meta.get("finalizers"):
            return self._remove(table, request.key, new, request.user)
        return self._store(table, request.key, new, owned, "MODIFIED", request.user)

    def _delete(self, table: Table, request: Request) -> Json:
        record = self._existing(table, request.key)
        options = request.body or {}
        guard = options.get("preconditions") or {}
        self._guard(table.resource, record.obj, guard)
        meta = record.obj["metadata"]
        finalizers = list(meta.get("finalizers", ()))
        policy = options.get("propagationPolicy") or request.param("propagationPolicy")
        if policy == "Foreground" and "foregroundDeletion" not in finalizers:
            finalizers.append("foregroundDeletion")
        elif policy == "Background":
            finalizers = [each for each in finalizers if each not in ("foregroundDeletion", "orphan")]
        emptied = not record.obj.get("spec", {}).get("finalizers") or table.resource.validated
        if not finalizers and emptied:
            self._remove(table, request.key, record.obj, request.user)
            return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        if meta.get("deletionTimestamp") and finalizers == list(meta.get("finalizers", ())):
            return record.obj
        new = {**meta} | ({"finalizers": finalizers} if finalizers else {})
        obj = record.obj
        if not meta.get("deletionTimestamp"):
            new |= {"deletionTimestamp": self._now(), "deletionGracePeriodSeconds": 0}
            if table.resource.validated:
                new["generation"] = meta.get("generation", 0) + 1
            if not emptied:
                new["deletionGracePeriodSeconds"] = 0
                obj = {**obj, "status": {**obj.get("status", {}), "phase": "Terminating"}}
        return self._store(table, request.key, {**obj, "metadata": new}, record.owned, "MODIFIED", request.user)

    def finish(self, name: str, author: str) -> None:
        """What the `finalize` subresource of a namespace is for: nothing is left in it, so it may go."""
        table = self.tables["", "namespaces"]
        record = table.records[("", name)]
        self._remove(table, ("", name), record.obj, author)

    # The store itself.

    def _store(self, table: Table, key: ObjectKey, obj: Json, owned: Owned, type_: str, author: str) -> Json:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        before = table.records.get(key)
        table.records[key] = Record(obj, owned)
        self._tell(table, Event(self.version, type_, obj, before.obj if before else None), author)
        return obj

    def _remove(self, table: Table, key: ObjectKey, last: Json, author: str) -> Json:
        self.version += 1
        del table.records[key]
        obj = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self.version)}}
        self._tell(table, Event(self.version, "DELETED", obj, last), author)
        return last

    def _tell(self, table: Table, event: Event, author: str) -> None:
        table.log.append(event)
        for listener in self.listeners:
            listener(table, event, author)
        for watcher in table.watchers:
            watcher.news(event)

    def _validate(self, resource: Resource, new: Json, old: Json | None) -> None:
        if not resource.validated:
            return
        wrong = list(self._complaints(resource, new, old))
        if wrong:
            raise self._invalid(resource, new["metadata"]["name"], wrong)

    def _complaints(self, resource: Resource, new: Json, old: Json | None) -> Iterator[str]:
        # A status write leaves the spec as it was, which was valid; that is most of the work.
        node = resource.schema
        same = {name for name in ("spec", "status") if old and name in old and new.get(name) is old[name]}
        view = {name: value for name, value in new.items() if name not in _META}
        before = {name: value for name, value in (old or {}).items() if name not in _META}
        for name in node.required:
            if name not in view:
                yield f"{name}: Required value"
        wrong = False
        for name, value in view.items():
            if name in same or name not in node.fields:
                continue
            there = name in before
            for each in complaints(node.fields[name], value, before.get(name), name, has_old=there):
                wrong = True
                yield each
        if not wrong:
            named = {"metadata": {"name": new["metadata"]["name"]}}
            yield from _root_rules(resource, view | named, before | named if old else None)

    def _invalid(self, resource: Resource, name: str, wrong: list[str]) -> Refusal:
        text = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
        group = f".{resource.group}" if resource.group else ""
        return Refusal(422, "Invalid", f'{resource.kind}{group} "{name}" is invalid: {text}')

    def _quota(self, table: Table, namespace: str) -> None:
        counted = f"count/{table.resource.named}"
        for (where, name), quota in self.tables["", "resourcequotas"].records.items():
            hard = quota.obj.get("spec", {}).get("hard", {}).get(counted)
            if where == namespace and hard is not None:
                used = sum(1 for key in table.records if key[0] == namespace)
                if used >= int(hard):
                    raise Refusal(
                        403, "Forbidden",
                        f"exceeded quota: {name}, requested: {counted}=1, used: {counted}={used}, "
                        f"limited: {counted}={hard}",
                    )  # fmt: skip

    def _uid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    # Disasters.

    def compact(self) -> None:
        """Forget the history: a watch that is behind meets 410 Gone."""
        for table in self.tables.values():
            table.compacted = self.version
            table.log.clear()
            for watcher in list(table.watchers):
                watcher.forgotten()

    def backup(self) -> dict[tuple[str, str], dict[ObjectKey, Record]]:
        """All objects as they are."""
        return {key: dict(table.records) for key, table in self.tables.items()}

    def restore(self, backup: dict[tuple[str, str], dict[ObjectKey, Record]]) -> None:
        """Go back to a backup as `etcdutl snapshot restore --bump-revision --mark-compacted` does."""
        self.version += 1_000_000
        for key, table in self.tables.items():
            table.records = dict(backup[key])
        self.compact()


_META = ("apiVersion", "kind", "metadata")
_OWNED = ("labels", "annotations", "finalizers", "ownerReferences")


def _root_rules(resource: Resource, view: Json, before: Json | None) -> Iterator[str]:
    for rule in resource.schema.rules:
        if rule.transition and before is None:
            continue
        touched = rule.touches or view.keys()
        if before is not None and all(view.get(name) is before.get(name) or name == "metadata" for name in touched):
            continue
        if wrong := rule.broken(view, before):
            yield f"<nil>: Invalid value: {wrong}"


def _ownable(obj: Json) -> Json:
    """An object without what nobody owns: its kind, name and what the server writes itself."""
    out = {name: value for name, value in obj.items() if name not in _META}
    meta = {name: value for name, value in (obj.get("metadata") or {}).items() if name in _OWNED}
    if meta:
        out["metadata"] = meta
    return out


def _settable(meta: Json) -> Json:
    """What a writer may say in metadata; what is empty is not there."""
    return {each: value for each, value in meta.items() if each not in SERVER_SIDE and value not in ({}, [], None)}


def _over(live: Json, owned: Json) -> Json:
    """The live object with its ownable part replaced."""
    meta = {name: value for name, value in live["metadata"].items() if name not in _OWNED}
    parts = {name: value for name, value in owned.items() if value is not None or name not in ("metadata", "status")}
    if parts.get("spec", parts) is None:
        parts["spec"] = {}
    return (
        {"apiVersion": live["apiVersion"], "kind": live["kind"]}
        | parts
        | {"metadata": meta | parts.get("metadata", {})}
    )


def _disowned(owned: Owned, paths: set[Any]) -> Owned:
    if not paths:
        return dict(owned)
    return {who: rest for who, fields in owned.items() if (rest := fields - paths)}


def _patched(value: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    out = dict(value) if isinstance(value, dict) else {}
    for name, each in patch.items():
        if each is None:
            out.pop(name, None)
        else:
            out[name] = _patched(out.get(name), each)
    return out


def _content(obj: Json) -> Json:
    return {name: value for name, value in obj.items() if name not in (*_META, "status")}


def _same(new: Json, old: Json) -> bool:
    return {**new, "metadata": None} == {**old, "metadata": None} and _meta(new) == _meta(old)


def _meta(obj: Json) -> Json:
    return {name: value for name, value in obj["metadata"].items() if name not in ("resourceVersion", "generation")}
