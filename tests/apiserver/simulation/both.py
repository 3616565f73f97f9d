"""One operation, put to the simulated API server and to the real one, and what they answer, made comparable."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from operators.contract.codec import Json
from sim.store.resources import Resource
from sim.store.server import ApiServer, Request
from tests.apiserver.client import Client

TIMES = ("creationTimestamp", "deletionTimestamp")


@dataclass(frozen=True)
class Operation:
    """One request. `guards` name what of the object's newest known metadata goes into the body."""

    method: str
    plural: tuple[str, str]
    name: str = ""
    body: Any = None
    content: str = "application/json"
    subresource: str = ""
    manager: str = "alice"
    guards: tuple[str, ...] = ()
    stale: bool = False
    """Whether the guards are those of an older state."""
    query: tuple[tuple[str, str], ...] = ()
    force: bool = True
    """Whether an apply takes fields from other managers."""


class Plain:
    """Makes answers comparable: uids and versions become numbers in the order in which they are met."""

    def __init__(self) -> None:
        self._uids: dict[str, str] = {}
        self._versions: dict[str, str] = {}

    def of(self, value: Any) -> Any:
        """A comparable copy."""
        if isinstance(value, list):
            return [self.of(each) for each in value]
        if not isinstance(value, dict):
            return value
        out = {}
        for name, each in sorted(value.items()):
            if name == "managedFields":
                continue
            if name == "uid":
                out[name] = self._uids.setdefault(each, f"uid-{len(self._uids)}")
            elif name == "resourceVersion":
                out[name] = self._versions.setdefault(each, f"version-{len(self._versions)}")
            elif name in TIMES:
                out[name] = "a time"
            else:
                out[name] = self.of(each)
        return out


@dataclass
class Both:
    """The two servers, with one namespace of a test's own."""

    client: Client
    namespace: str
    server: ApiServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = ApiServer(random.Random(0), lambda: "2030-01-01T00:00:00Z")
        self.simulated, self.real = Plain(), Plain()
        self.known: dict[tuple[tuple[str, str], str], list[tuple[Json, Json]]] = {}
        body = {"metadata": {"name": self.namespace}}
        self.client.ask("POST", "/api/v1/namespaces", body)
        self.server.answer(Request("POST", self.server.tables["", "namespaces"].resource, ("", ""), body=body))

    def resource(self, plural: tuple[str, str]) -> Resource:
        """A served resource."""
        return self.server.tables[plural].resource

    def ask(self, operation: Operation) -> tuple[Any, Any]:
        """Put it to both; comparable answers of the simulated and the real one."""
        resource = self.resource(operation.plural)
        bodies = list(self._bodies(operation, resource))
        query = (("fieldManager", operation.manager), ("force", str(operation.force).lower()))
        query = operation.query + (query if operation.method in ("PATCH", "POST") else ())
        if operation.method == "POST" or operation.content.startswith("application/merge"):
            query = tuple(each for each in query if each[0] != "force")
        namespace = self.namespace if resource.namespaced else ""
        code, answer = self.server.answer(
            Request(operation.method, resource, (namespace, operation.name), operation.subresource, bodies[0],
                    operation.content, query, "test")
        )  # fmt: skip
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), resource.plural, operation.name,
                 operation.subresource]  # fmt: skip
        response = self.client.session.request(
            operation.method,
            self.client.server + "/".join(part for part in parts if part),
            params=dict(query),
            data=None if bodies[1] is None else json.dumps(bodies[1]),
            headers={"Content-Type": operation.content},
            timeout=30,
        )
        theirs = response.json()
        if code < 300 and response.ok and "uid" in answer.get("metadata", {}):
            self.known.setdefault((operation.plural, operation.name or answer["metadata"]["name"]), []).append(
                (answer, theirs)
            )
        return self._answer(code, answer, self.simulated), self._answer(response.status_code, theirs, self.real)

    def _bodies(self, operation: Operation, resource: Resource) -> Iterator[Any]:
        states = self.known.get((operation.plural, operation.name), [])
        at = 0 if operation.stale else -1
        for which in (0, 1):
            body = json.loads(json.dumps(operation.body))
            if states and operation.guards and body is not None:
                meta = states[at][which]["metadata"]
                holder = body.setdefault("preconditions" if operation.method == "DELETE" else "metadata", {})
                holder.update({name: meta[name] for name in operation.guards})
            yield body

    def _answer(self, code: int, body: Json, plain: Plain) -> Any:
        if code >= 400:
            return code, body.get("reason", "")
        if body.get("kind") == "Status":
            return code, body["status"]
        if body["kind"].endswith("List"):
            # Items of Kubernetes's own kinds do not repeat what they are.
            bare = [
                {name: value for name, value in each.items() if name not in ("kind", "apiVersion")}
                for each in body["items"]
            ]
            return code, plain.of(bare)
        return code, plain.of(body)

    def version(self, plural: tuple[str, str]) -> str:
        """The real server's version now, to watch a kind from."""
        resource = self.resource(plural)
        answer = self.client.ask("GET", f"/apis/{resource.group}/{resource.version}/{resource.plural}", limit="1")
        return str(answer["metadata"]["resourceVersion"])

    def events(self, plural: tuple[str, str], start: str, fields: str = "", labels: str = "") -> tuple[Any, Any]:
        """What a watch of our namespace told since the start, of both."""
        from sim.store.selectors import matcher

        resource = self.resource(plural)
        chosen = matcher(labels, fields, resource.selectable)
        mine = []
        for event in self.server.tables[plural].log:
            now, before = chosen(event.obj), event.before is not None and chosen(event.before)
            type_ = event.type if event.type != "MODIFIED" or now == before else ("ADDED" if now else "DELETED")
            if now or (before and type_ == "DELETED"):
                mine.append((type_, self.simulated.of(event.obj)))
        where = f"namespaces/{self.namespace}/" if resource.namespaced else ""
        query = {
            "watch": "1",
            "resourceVersion": start,
            "timeoutSeconds": "1",
            "fieldSelector": fields,
            "labelSelector": labels,
        }
        url = f"{self.client.server}/apis/{resource.group}/{resource.version}/{where}{resource.plural}"
        told: list[Json] = []
        # A watch on which nothing happens may stay open for long, whatever was asked.
        quiet = contextlib.suppress(requests.exceptions.ConnectionError, requests.exceptions.Timeout)
        with quiet, self.client.session.get(url, params=query, stream=True, timeout=(10, 1.5)) as answer:
            for line in answer.iter_lines(chunk_size=None):
                told.append(json.loads(line))
                if len(told) > len(mine):
                    break
        return mine, [(each["type"], self.real.of(each["object"])) for each in told]
