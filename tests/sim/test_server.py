"""The simulated API server refuses what the CRDs refuse; the tables are those of the tests on a real one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from operators.contract.kinds import ALL
from operators.contract.storage import VOLUME
from operators.kernel.controller import Watch
from sim.network import Link
from sim.store.server import MERGE, ApiServer, Request
from sim.watching import Stream, Troubles
from sim.world import World
from tests.apiserver.crds.objects import KINDS, bent, good
from tests.apiserver.crds.test_refusals import BAD

VOLUMES = ("storage.cloudstack.dev", "volumes")


@pytest.fixture
def server() -> ApiServer:
    made = ApiServer(random.Random(0), lambda: "2030-01-01T00:00:00Z")
    made.answer(
        Request("POST", made.tables["", "namespaces"].resource, ("", ""), body={"metadata": {"name": "default"}})
    )
    return made


@pytest.fixture
def world() -> Iterator[World]:
    made = World(1)
    yield made
    made.end()


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
    patch: dict[str, Any] = {"metadata": {"finalizers": []}}
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


def test_a_namespace_that_is_being_deleted_takes_nothing_new_and_goes_when_it_is_empty(world: World) -> None:
    world.create("", "namespaces", "team")
    body = good("Volume", "v")
    body["metadata"] |= {"namespace": "team", "finalizers": ["x.dev/a"]}
    assert world.request("POST", *VOLUMES, "", body, namespace="team")[0] == 201
    assert world.request("DELETE", "", "namespaces", "team", {})[1]["status"]["phase"] == "Terminating"
    late = good("Volume", "late")
    late["metadata"]["namespace"] = "team"
    code, answer = world.request("POST", *VOLUMES, "", late, namespace="team")
    assert code == 403
    assert "because it is being terminated" in answer["message"]
    world.run_until(10.0)
    assert world.objects(*VOLUMES)["team", "v"]["metadata"]["deletionTimestamp"]
    assert ("", "team") in world.objects("", "namespaces")
    world.request("PATCH", *VOLUMES, "v", {"metadata": {"finalizers": []}}, namespace="team", content=MERGE)
    world.run_until(20.0)
    assert ("", "team") not in world.objects("", "namespaces")


@pytest.mark.parametrize(("bookmark", "told"), [(0.1, []), (0.9, [None, None])])
def test_a_watch_that_broke_goes_on_from_a_bookmark_or_lists_anew(
    world: World, bookmark: float, told: list[None]
) -> None:
    """What it was told last may be older than the history, unless a bookmark has said how far it is."""
    world.create("", "namespaces", "team")
    heard: list[str | None] = []
    table = world.server.tables[VOLUMES]
    stream = Stream(world.loop, world.server, table, world.user, Link(), Troubles(), random.Random(1),
                    Watch(VOLUME, label_selector="mine=yes"), lambda type_, body: heard.append(type_))  # fmt: skip
    stream.begin()
    world.run_until(1.0)
    for name, labels in (("a", {"mine": "yes"}), ("b", {"mine": "yes"}), ("c", {})):
        body = good("Volume", name)
        body["metadata"] |= {"namespace": "team", "labels": labels}
        world.request("POST", *VOLUMES, "", body, namespace="team")
        world.run_until(world.loop.now + 1.0)
    assert heard == ["ADDED", "ADDED"]
    world.server.compact()
    stream.rng = Fixed(bookmark)
    stream.breaks()
    stream.rng = random.Random(1)
    world.run_until(world.loop.now + 1.0)
    assert heard == ["ADDED", "ADDED", *told]


class Fixed(random.Random):
    """Chance that is none."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        """Always the same."""
        return self.value
