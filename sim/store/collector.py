"""What kube-controller-manager does: what lost its owners goes after a while, and what is in a namespace with it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from sim.loop import Actor, VirtualLoop
from sim.store.resources import resources
from sim.store.schema import Json
from sim.store.server import MERGE, ApiServer, Event, Request, Table

FOREGROUND = "foregroundDeletion"


@dataclass
class Collector:
    """Looks at owner references; as late as the real one, which is some way behind the watches."""

    loop: VirtualLoop
    server: ApiServer
    rng: random.Random
    actor: Actor = field(default_factory=lambda: Actor("garbage-collector"))
    dependents: dict[str, dict[tuple[str, str, str, str], None]] = field(default_factory=dict)
    paused: bool = False

    def __post_init__(self) -> None:
        self.server.listeners.append(self.heard)
        self._plurals = {(each.api_version, each.kind): each for each in resources().values()}

    def heard(self, table: Table, event: Event, author: str) -> None:
        """Note owners; look at what may have to go."""
        meta = event.obj["metadata"]
        where = (table.resource.group, table.resource.plural, meta.get("namespace", ""), meta["name"])
        if event.type == "DELETED":
            for owner in meta.get("ownerReferences", ()):
                self.dependents.get(owner["uid"], {}).pop(where, None)
                if owner.get("blockOwnerDeletion"):
                    self._later(self._owner, owner, where[2])
            for each in list(self.dependents.get(meta["uid"], ())):
                self._later(self._look, each)
            return
        for owner in meta.get("ownerReferences", ()):
            self.dependents.setdefault(owner["uid"], {})[where] = None
        if event.type == "ADDED" and meta.get("ownerReferences"):
            self._later(self._look, where)
        if FOREGROUND in meta.get("finalizers", ()):
            self._later(self._foreground, where)

    def rebuild(self) -> None:
        """Learn everything anew, after the store went back to a backup."""
        self.dependents.clear()
        for table in self.server.tables.values():
            for record in list(table.records.values()):
                self.heard(table, Event(0, "ADDED", record.obj, None), "")

    def _later(self, call: Any, *args: Any) -> None:
        self.loop.at(self.loop.now + self.rng.uniform(0.05, 1.5), self.actor, call, *args)

    def _look(self, where: tuple[str, str, str, str]) -> None:
        if self.paused:
            self._later(self._look, where)
            return
        record = self.server.tables[where[0], where[1]].records.get(where[2:])
        owners = record.obj["metadata"].get("ownerReferences", ()) if record else ()
        if record is None or not owners:
            return
        there = [owner for owner in owners if self._there(owner, where[2])]
        if not there:
            self._delete(where, record.obj["metadata"]["uid"])
        elif len(there) < len(owners):
            self._patch(where, {"ownerReferences": there})

    def _there(self, owner: Json, namespace: str) -> bool:
        found = self._find(owner, namespace)
        return found is not None and found["metadata"]["uid"] == owner["uid"]

    def _find(self, owner: Json, namespace: str) -> Json | None:
        resource = self._plurals.get((owner["apiVersion"], owner["kind"]))
        if resource is None:
            return None
        key = (namespace if resource.namespaced else "", owner["name"])
        record = self.server.tables[resource.group, resource.plural].records.get(key)
        return record.obj if record else None

    def _delete(self, where: tuple[str, str, str, str], uid: str) -> None:
        resource = self.server.tables[where[0], where[1]].resource
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self.server.answer(Request("DELETE", resource, where[2:], body=body, user=self.actor.name))

    def _patch(self, where: tuple[str, str, str, str], metadata: Json) -> None:
        resource = self.server.tables[where[0], where[1]].resource
        body = {"metadata": metadata}
        self.server.answer(Request("PATCH", resource, where[2:], body=body, content=MERGE, user=self.actor.name))

    def _owner(self, owner: Json, namespace: str) -> None:
        found = self._find(owner, namespace)
        if found is not None and FOREGROUND in found["metadata"].get("finalizers", ()):
            resource = self._plurals[owner["apiVersion"], owner["kind"]]
            self._foreground((resource.group, resource.plural, found["metadata"].get("namespace", ""), owner["name"]))

    def _foreground(self, where: tuple[str, str, str, str]) -> None:
        record = self.server.tables[where[0], where[1]].records.get(where[2:])
        if record is None or FOREGROUND not in record.obj["metadata"].get("finalizers", ()):
            return
        uid = record.obj["metadata"]["uid"]
        blocked = False
        for each in list(self.dependents.get(uid, ())):
            other = self.server.tables[each[0], each[1]].records.get(each[2:])
            if other is None:
                continue
            meta = other.obj["metadata"]
            blocked = blocked or any(o["uid"] == uid and o.get("blockOwnerDeletion") for o in meta["ownerReferences"])
            if not meta.get("deletionTimestamp"):
                self._delete(each, meta["uid"])
        if not blocked:
            self._patch(where, {"finalizers": [e for e in record.obj["metadata"]["finalizers"] if e != FOREGROUND]})


@dataclass
class NamespaceController:
    """Empties a namespace that is being deleted, kind by kind in any order, and then lets it go."""

    loop: VirtualLoop
    server: ApiServer
    rng: random.Random
    actor: Actor = field(default_factory=lambda: Actor("namespace-controller"))

    def __post_init__(self) -> None:
        self.server.listeners.append(self.heard)

    def heard(self, table: Table, event: Event, author: str) -> None:
        """Begin when a deletion was asked for."""
        meta = event.obj["metadata"]
        if table.resource.plural == "namespaces" and event.type == "MODIFIED" and meta.get("deletionTimestamp"):
            self._later(self._empty, meta["name"], meta["uid"])

    def rebuild(self) -> None:
        """Go on with those that were being deleted in a backup."""
        for record in list(self.server.tables["", "namespaces"].records.values()):
            self.heard(self.server.tables["", "namespaces"], Event(0, "MODIFIED", record.obj, None), "")

    def _later(self, call: Any, *args: Any) -> None:
        self.loop.at(self.loop.now + self.rng.uniform(0.05, 2.0), self.actor, call, *args)

    def _empty(self, name: str, uid: str) -> None:
        record = self.server.tables["", "namespaces"].records.get(("", name))
        if record is None or record.obj["metadata"]["uid"] != uid:
            return
        left = 0
        tables = [table for table in self.server.tables.values() if table.resource.namespaced]
        self.rng.shuffle(tables)
        for table in tables:
            for key in [key for key in table.records if key[0] == name]:
                left += 1
                if not table.records[key].obj["metadata"].get("deletionTimestamp"):
                    body = {"propagationPolicy": "Background"}
                    self.server.answer(Request("DELETE", table.resource, key, body=body, user=self.actor.name))
        if left:
            self._later(self._empty, name, uid)
        else:
            self.server.finish(name, self.actor.name)
