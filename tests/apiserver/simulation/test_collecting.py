"""What the simulation's garbage collector and namespace controller leave is what kube-controller-manager's leave."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest

from operators.contract import names
from operators.contract.codec import Json
from sim.loop import VirtualLoop
from sim.store.collector import Collector, NamespaceController
from sim.store.server import MERGE, ApiServer, Request
from tests.apiserver.client import Client
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.kernel.processes import until

VOLUMES = (names.STORAGE, "volumes")
API = f"{names.STORAGE}/v1alpha1"
State: TypeAlias = dict[str, tuple[bool, tuple[str, ...], tuple[str, ...]]]
"""By name: whether it is being deleted, its finalizers, the names of its owners."""
PATIENCE = 90.0


@pytest.fixture(scope="module")
def controllers(control_plane: ControlPlane) -> Iterator[None]:
    control_plane.start_controllers("garbage-collector-controller", "namespace-controller")
    yield
    control_plane.stop("kube-controller-manager")


@dataclass
class Side:
    """One of the two clusters: how it is asked, and the uids of what was made there."""

    ask: Callable[[str, str, Any], tuple[int, Json]]
    """Method, name of a Volume or "" for the collection or "/" for the namespace, body."""
    uids: dict[str, str] = field(default_factory=dict)

    def make(self, name: str, *owners: str, finalizers: tuple[str, ...] = (), block: bool = False) -> None:
        """A Volume with owners; one that was never made is as good as gone."""
        references = [
            {"apiVersion": API, "kind": "Volume", "name": each, "uid": self.uids.get(each, "no-such-uid")}
            | ({"blockOwnerDeletion": True} if block else {})
            for each in owners
        ]
        meta = {"name": name, "ownerReferences": references, "finalizers": list(finalizers)}
        body = {"apiVersion": API, "kind": "Volume", "metadata": meta, "spec": {"size": "1Gi"}}
        code, answer = self.ask("POST", "", body)
        assert code == 201, answer
        self.uids[name] = answer["metadata"]["uid"]

    def delete(self, name: str, policy: str = "Background") -> None:
        """Delete a Volume, or the namespace."""
        code, answer = self.ask("DELETE", name, {"propagationPolicy": policy})
        assert code == 200, answer

    def release(self, name: str) -> None:
        """Take our finalizer off."""
        found = self.ask("GET", name, None)[1]["metadata"].get("finalizers", [])
        rest = [each for each in found if not each.startswith("example.dev/")]
        assert self.ask("PATCH", name, {"metadata": {"finalizers": rest or None}})[0] == 200

    def state(self) -> State:
        """All that is there; the namespace as `/`."""
        code, space = self.ask("GET", "/", None)
        if code == 404:
            return {}
        items = [each["metadata"] for each in self.ask("GET", "", None)[1]["items"]]
        out = {
            meta["name"]: (
                "deletionTimestamp" in meta,
                tuple(sorted(meta.get("finalizers", ()))),
                tuple(sorted(each["name"] for each in meta.get("ownerReferences", ()))),
            )
            for meta in items
        }
        return out | {"/": ("deletionTimestamp" in space["metadata"], (), ())}


class Simulated(Side):
    """The simulation's."""

    def __init__(self, namespace: str) -> None:
        super().__init__(self._ask)
        self.namespace = namespace
        self.loop = VirtualLoop(random.Random(1))
        self.server = ApiServer(random.Random(2), lambda: "2030-01-01T00:00:00Z")
        self.parts = (
            Collector(self.loop, self.server, random.Random(3)),
            NamespaceController(self.loop, self.server, random.Random(4)),
        )
        spaces = self.server.tables["", "namespaces"].resource
        self.server.answer(Request("POST", spaces, ("", ""), body={"metadata": {"name": namespace}}))

    def _ask(self, method: str, name: str, body: Any) -> tuple[int, Json]:
        kind = self.server.tables[("", "namespaces") if name == "/" else VOLUMES].resource
        key = ("", self.namespace) if name == "/" else (self.namespace, name)
        return self.server.answer(Request(method, kind, key, body=body, content=MERGE, user="test"))

    def settle(self) -> None:
        """Give the controllers half a minute."""
        end = self.loop.now + 30
        while (timer := self.loop.next_timer()) is not None and timer < end:
            self.loop.step()
        self.loop.now = end


def real(client: Client, namespace: str) -> Side:
    """That of Kubernetes."""
    space = f"{client.server}/api/v1/namespaces"
    assert client.session.post(space, json={"metadata": {"name": namespace}}, timeout=30).status_code == 201

    def ask(method: str, name: str, body: Any) -> tuple[int, Json]:
        url = f"{space}/{namespace}" if name == "/" else f"{client.server}/apis/{API}/namespaces/{namespace}/volumes"
        url += f"/{name}" if name.strip("/") else ""
        headers = {"Content-Type": MERGE if method == "PATCH" else "application/json"}
        answer = client.session.request(method, url, json=body, headers=headers, timeout=30)
        return answer.status_code, answer.json()

    return Side(ask)


def _one_of_two_owners(side: Side) -> None:
    side.make("first")
    side.make("second")
    side.make("shared", "first", "second")
    side.make("only", "first")
    side.delete("first")


def _a_dependent_that_is_held(side: Side) -> None:
    side.make("owner")
    side.make("free", "owner")
    side.make("held", "owner", finalizers=("example.dev/held",))
    side.make("below", "held")
    side.delete("owner")


def _an_owner_that_never_was(side: Side) -> None:
    side.make("orphan", "nobody")


def _foreground(side: Side) -> None:
    side.make("owner")
    side.make("blocks", "owner", finalizers=("example.dev/held",), block=True)
    side.make("does-not", "owner")
    side.delete("owner", "Foreground")


def _foreground_of_what_blocks_nothing(side: Side) -> None:
    side.make("owner")
    side.make("held", "owner", finalizers=("example.dev/held",))
    side.delete("owner", "Foreground")


def _a_namespace(side: Side) -> None:
    side.make("one")
    side.make("held", "one", finalizers=("example.dev/held",))
    side.delete("/")


@pytest.mark.parametrize(
    "deeds",
    [_one_of_two_owners, _a_dependent_that_is_held, _an_owner_that_never_was, _foreground,
     _foreground_of_what_blocks_nothing, _a_namespace],
    ids=lambda deeds: deeds.__name__.strip("_"),
)  # fmt: skip
def test_both_collectors_leave_the_same(
    admin: Client, controllers: None, deeds: Callable[[Side], None], request: pytest.FixtureRequest
) -> None:
    namespace = "collect-" + deeds.__name__.strip("_").replace("_", "-")
    mine, theirs = Simulated(namespace), real(admin, namespace)
    for side in (mine, theirs):
        deeds(side)
    mine.settle()
    left = mine.state()
    until(lambda: theirs.state() == left, PATIENCE, f"{left} is left by the real one too")
    for name in [
        name for name, (_, finalizers, _) in left.items() if any(e.startswith("example.") for e in finalizers)
    ]:
        for side in (mine, theirs):
            side.release(name)
    mine.settle()
    left = mine.state()
    until(lambda: theirs.state() == left, PATIENCE, f"{left} is left by the real one too, once nothing is held")
    if "/" in left:
        theirs.delete("/")
    mine.loop.close()
