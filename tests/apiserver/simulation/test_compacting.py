"""What a watch hears that asks for versions from before a compaction: of the real API server, and of the simulation.

A real one answers from its watch cache, which a compaction of etcd does not touch: all that has happened since, or 410.
One that was started since knows nothing older than its start, and answers 410. The simulation takes the hard case for
every compaction: 410, and a list that tells of no deletion. Between the two there is nothing else, such as a part of it.
"""

from __future__ import annotations

import json
import random
from typing import Any, TypeAlias

import pytest
import requests

from operators.contract import names
from operators.contract.codec import Json
from operators.contract.storage import VOLUME
from operators.kernel import Watch
from sim.loop import Actor, VirtualLoop
from sim.network import Link
from sim.store.server import ApiServer, Request
from sim.watching import Stream, Troubles
from tests.apiserver.client import Client
from tests.apiserver.control_plane import HOST, ControlPlane
from tests.apiserver.kernel.processes import until

VOLUMES = (names.STORAGE, "volumes")
SPACE = "compacting"
PATH = f"/apis/{names.STORAGE}/v1alpha1/namespaces/{SPACE}/volumes"
Told: TypeAlias = list[tuple[str | None, str]]
"""What a watcher is told: the type of the event, None for an object of a list, and its name."""


def script(ask: Any, mark: Any) -> Any:
    """Two come, then is `mark`, then one changes, one goes and a third comes; what `mark` gave."""
    for name in ("stays", "goes"):
        ask("POST", "", {"metadata": {"name": name}, "spec": {"size": "1Gi"}})
    since = mark()
    ask("PATCH", "stays", {"spec": {"size": "2Gi"}})
    ask("DELETE", "goes", {})
    ask("POST", "", {"metadata": {"name": "comes"}, "spec": {"size": "1Gi"}})
    return since


def real_watch(client: Client, since: str) -> tuple[int, Told]:
    """Watch from a version for a while: the code, 410 also where it comes as an event, and what was told."""
    answer = client.session.get(
        f"{client.server}{PATH}",
        params={"watch": "1", "resourceVersion": since, "timeoutSeconds": "5"},
        timeout=60,
    )
    if answer.status_code != 200:
        return answer.status_code, []
    events = [json.loads(line) for line in answer.text.splitlines()]
    for event in events:
        if event["type"] == "ERROR":
            assert event["object"]["reason"] in ("Expired", "Gone")
            return int(event["object"]["code"]), []
    return 200, [(event["type"], event["object"]["metadata"]["name"]) for event in events]


def compact(control_plane: ControlPlane) -> None:
    """Have etcd forget every version but the newest, now and not in five minutes."""
    url = f"http://{HOST}:{control_plane.etcd_port}/v3/kv"
    found = requests.post(f"{url}/range", json={"key": "AA=="}, timeout=30).json()
    body = {"revision": found["header"]["revision"], "physical": True}
    requests.post(f"{url}/compaction", json=body, timeout=60).raise_for_status()


@pytest.fixture
def since(admin: Client) -> str:
    """The script was carried out on the real API server: the version at its mark."""
    admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": SPACE}})

    def ask(method: str, name: str, body: Json) -> None:
        body = body if method != "POST" else {"apiVersion": VOLUME.api_version, "kind": "Volume"} | body
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        admin.ask(method, f"{PATH}/{name}".removesuffix("/"), body, content)

    def mark() -> str:
        return str(admin.ask("GET", PATH)["metadata"]["resourceVersion"])

    return str(script(ask, mark))


def simulated() -> tuple[Told, Told]:
    """What the simulation's watch is told that was cut off at the mark: without a compaction, and with one."""
    both = []
    for forgets in (False, True):
        server = ApiServer(random.Random(0), lambda: "2030-01-01T00:00:00Z")
        resource, loop, link = server.tables[VOLUMES].resource, VirtualLoop(random.Random(1)), Link()
        server.answer(
            Request("POST", server.tables["", "namespaces"].resource, ("", ""), body={"metadata": {"name": SPACE}})
        )
        told: Told = []
        stream = Stream(
            loop, server, server.tables[VOLUMES], Actor("watcher"), link, Troubles(), random.Random(2), Watch(VOLUME),
            lambda type_, body, told=told: told.append((type_, body["metadata"]["name"])),
        )  # fmt: skip

        def ask(method: str, name: str, body: Json, server: Any = server, resource: Any = resource) -> None:
            content = "application/merge-patch+json" if method == "PATCH" else "application/json"
            code, answer = server.answer(Request(method, resource, (SPACE, name), "", body, content, (), "user"))
            assert code < 300, answer

        def mark(stream: Stream = stream, loop: Any = loop, link: Link = link) -> None:
            stream.begin()
            drain(loop)
            link.cut_there = True

        script(ask, mark)
        if forgets:
            server.compact()
        link.cut_there = False
        drain(loop)
        loop.close()
        both.append(told[2:])  # after the first list, of two
    return both[0], both[1]


def drain(loop: VirtualLoop) -> None:
    """Let everything happen that is due within a minute; whoever is cut off tries again for ever."""
    until_ = loop.now + 60.0
    while (loop._runnable or loop._timers) and loop.now < until_ and loop.step():
        pass


def test_an_old_version_is_told_whole_or_is_gone(admin: Client, control_plane: ControlPlane, since: str) -> None:
    whole, relisted = simulated()
    assert sorted(relisted, key=str) == sorted([(None, "stays"), (None, "comes")], key=str)
    assert ("DELETED", "goes") in whole

    assert real_watch(admin, since) == (200, whole)
    compact(control_plane)
    code, told = real_watch(admin, since)
    assert (code, told) in ((200, whole), (410, []))

    control_plane.stop("kube-apiserver")
    control_plane.start_apiserver()
    until(lambda: real_watch(admin, since)[0] == 410, 60, "a fresh API server knows the old version no more")
    listed = {(None, each["metadata"]["name"]) for each in admin.ask("GET", PATH)["items"]}
    assert listed == set(relisted)
