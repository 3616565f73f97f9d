"""A plain client of an API server, for tests that want to see what it answers, word for word."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pykube
import requests

from operators.contract.meta import Kind

Json = dict[str, Any]


class Refused(Exception):
    """The API server said no: its code, and its message for people."""

    def __init__(self, answer: requests.Response) -> None:
        body = answer.json() if "json" in answer.headers.get("Content-Type", "") else {"message": answer.text}
        self.code = answer.status_code
        self.message = str(body.get("message", ""))
        super().__init__(f"{self.code}: {self.message}")


class Gone(Refused):
    """There is nothing of that name."""


class Client:
    """One user of one API server."""

    def __init__(self, session: requests.Session, server: str) -> None:
        self.session = session
        self.server = server

    @classmethod
    def of(cls, kubeconfig: Path) -> Client:
        """The user of a kubeconfig."""
        config = pykube.KubeConfig.from_file(str(kubeconfig))
        session = requests.Session()
        session.trust_env = False
        session.verify = config.cluster["certificate-authority"].filename()
        user = config.user
        session.cert = (user["client-certificate"].filename(), user["client-key"].filename())
        return cls(session, config.cluster["server"])

    def with_token(self, token: str) -> Client:
        """Somebody else, by bearer token, at the same API server."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.session.verify
        session.headers["Authorization"] = f"Bearer {token}"
        return Client(session, self.server)

    def impersonating(self, user: str, groups: Iterable[str] = (), **extra: str) -> Client:
        """Somebody else, in whose name the administrator asks. Of several groups only the first is sent."""
        session = requests.Session()
        session.trust_env = False
        session.verify, session.cert = self.session.verify, self.session.cert
        session.headers["Impersonate-User"] = user
        for group in groups:
            session.headers["Impersonate-Group"] = group
        for key, value in extra.items():
            session.headers[f"Impersonate-Extra-{key}"] = value
        return Client(session, self.server)

    def ask(
        self, method: str, path: str, body: Json | None = None, content: str = "application/json", **query: str
    ) -> Any:
        """One request; the parsed answer, or Refused."""
        answer = self.session.request(
            method,
            f"{self.server}{path}",
            params=query,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content},
            timeout=30,
        )
        if not answer.ok:
            raise (Gone if answer.status_code == 404 else Refused)(answer)
        return answer.json()

    def get(self, kind: Kind[Any, Any], name: str = "", namespace: str = "default", **query: str) -> Any:
        """One object, or the list of them when there is no name."""
        return self.ask("GET", path(kind, name, namespace), **query)

    def create(self, body: Json, **query: str) -> Any:
        """Create an object of any kind of ours."""
        kind = kind_of(body)
        return self.ask("POST", path(kind, "", body["metadata"].get("namespace", "default")), body, **query)

    def patch(
        self, kind: Kind[Any, Any], name: str, body: Json, sub: str = "", namespace: str = "default", **query: str
    ) -> Any:
        """Merge-patch an object or one of its subresources."""
        return self.ask("PATCH", path(kind, name, namespace, sub), body, "application/merge-patch+json", **query)

    def apply(self, body: Json, manager: str = "test", sub: str = "", **query: str) -> Any:
        """Server-side apply an object, or its status."""
        metadata = body["metadata"]
        where = path(kind_of(body), metadata["name"], metadata.get("namespace", "default"), sub)
        return self.ask(
            "PATCH", where, body, "application/apply-patch+yaml", fieldManager=manager, force="true", **query
        )

    def namespaces(self, *names: str) -> None:
        """See to it that there are these namespaces."""
        for name in names:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            where = f"/api/v1/namespaces/{name}"
            self.ask("PATCH", where, body, "application/apply-patch+yaml", fieldManager="test")

    def delete(self, kind: Kind[Any, Any], name: str, namespace: str = "default", **query: str) -> Any:
        """Ask for an object's deletion."""
        return self.ask("DELETE", path(kind, name, namespace), **query)


def path(kind: Kind[Any, Any], name: str = "", namespace: str = "default", sub: str = "") -> str:
    """Where the API server serves an object, a list or a subresource."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    parts = [root, *(("namespaces", namespace) if kind.namespaced else ()), kind.plural, name, sub]
    return "/".join(part for part in parts if part)


@cache
def _kinds() -> dict[tuple[str, str], Kind[Any, Any]]:
    from operators.contract.kinds import ALL

    return {(kind.api_version, kind.kind): kind for kind in ALL}


def kind_of(body: Json) -> Kind[Any, Any]:
    """The kind of a body of ours."""
    return _kinds()[body["apiVersion"], body["kind"]]
