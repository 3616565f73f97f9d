"""The simulated API server refuses what the CRDs refuse; the tables are those of the tests on a real one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from operators.contract.kinds import ALL
from sim.store.server import ApiServer, Request
from tests.apiserver.crds.objects import KINDS, bent, good
from tests.apiserver.crds.test_refusals import BAD


@pytest.fixture
def server() -> ApiServer:
    made = ApiServer(random.Random(0), lambda: "2030-01-01T00:00:00Z")
    made.answer(
        Request("POST", made.tables["", "namespaces"].resource, ("", ""), body={"metadata": {"name": "default"}})
    )
    return made


def create(server: ApiServer, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    kind = KINDS[body["kind"]]
    resource = server.tables[kind.group, kind.plural].resource
    namespace = body["metadata"].get("namespace", "default") if kind.namespaced else ""
    return server.answer(Request("POST", resource, (namespace, ""), body=body, query=(("fieldManager", "test"),)))


@pytest.mark.parametrize("kind", [kind.kind for kind in ALL])
def test_good_objects_are_let_in(server: ApiServer, kind: str) -> None:
    code, answer = create(server, good(kind))
    assert code == 201, answer


@pytest.mark.parametrize(("kind", "changes", "says"), BAD, ids=range(len(BAD)))
def test_bad_objects_are_refused(server: ApiServer, kind: str, changes: dict[str, Any], says: str) -> None:
    code, answer = create(server, bent(good(kind), changes))
    assert code == 422, answer


def test_what_is_deleted_stays_until_its_finalizers_are_gone(server: ApiServer) -> None:
    body = good("Volume", "v")
    body["metadata"]["finalizers"] = ["x.dev/a"]
    create(server, body)
    resource = server.tables["storage.cloudstack.dev", "volumes"].resource
    key = ("default", "v")
    code, deleting = server.answer(Request("DELETE", resource, key, body={}))
    assert (code, deleting["metadata"]["generation"]) == (200, 2)
    patch = {"metadata": {"finalizers": []}}
    code, _ = server.answer(Request("PATCH", resource, key, body=patch, content="application/merge-patch+json"))
    assert code == 200
    assert server.answer(Request("GET", resource, key))[0] == 404
    assert [event.type for event in server.tables["storage.cloudstack.dev", "volumes"].log] == [
        "ADDED",
        "MODIFIED",
        "DELETED",
    ]


def test_a_quota_is_kept(server: ApiServer) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/volumes.storage.cloudstack.dev": "1"}}}
    server.answer(Request("POST", server.tables["", "resourcequotas"].resource, ("default", ""), body=quota))
    assert create(server, good("Volume", "a"))[0] == 201
    code, answer = create(server, good("Volume", "b"))
    assert code == 403
    assert "exceeded quota" in answer["message"]
