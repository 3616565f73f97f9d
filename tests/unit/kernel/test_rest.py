"""The store over HTTP: what is tried again and what is not, what each answer means, and who may still write."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import aiohttp
import orjson
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.networking import CLAIM
from operators.contract.storage import VOLUME
from operators.kernel import rest
from operators.kernel.rest import RestStore, error_of
from operators.kernel.store import (
    AlreadyExists,
    Conflict,
    Deposed,
    Forbidden,
    Invalid,
    NotFound,
    StoreError,
    Unavailable,
)
from tests.support.store_expectations import volume

KEY = Key("default", "a")
Answer: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, reason: str, message: str = "m", **more: Any) -> web.Response:
    return web.json_response({"kind": "Status", "reason": reason, "message": message} | more, status=code)


class Server:
    """An API server that answers as scripted, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer | web.Response | str] = []
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.permitted = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.asked.append((request.method, request.path, dict(request.query), json.loads(text) if text else None))
        answer = self.answers.pop(0)
        if answer == "hang up":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if isinstance(answer, web.Response):
            return answer
        assert not isinstance(answer, str)
        return await answer(request)

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[RestStore]:
        runner = web.ServerRunner(web.Server(self.handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with aiohttp.ClientSession() as session:
                yield RestStore(session, f"http://127.0.0.1:{port}", "toy", permitted=lambda: self.permitted)
        finally:
            await runner.cleanup()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "BACKOFF_FIRST", 0.001)


def ok(body: Json | None = None) -> web.Response:
    return web.json_response(body or volume(KEY))


@pytest.mark.parametrize(
    "trouble",
    [
        status(500, "InternalError"),
        status(503, "ServiceUnavailable"),
        status(504, "Timeout"),
        status(429, "TooManyRequests"),
        status(401, "Unauthorized"),
        "hang up",
    ],
)
async def test_what_may_heal_within_seconds_is_tried_again(trouble: Any) -> None:
    server = Server()
    server.answers = [trouble, ok()]
    async with server.store() as store:
        assert (await store.apply(VOLUME, volume(KEY)))["metadata"]["name"] == "a"
    assert len(server.asked) == 2


async def test_what_does_not_heal_is_unavailable_and_says_what_it_was() -> None:
    server = Server()
    server.answers = [status(503, "ServiceUnavailable", "etcd has no leader") for _ in range(rest.ATTEMPTS)]
    async with server.store() as store:
        with pytest.raises(Unavailable, match="etcd has no leader"):
            await store.apply(VOLUME, volume(KEY))
    assert len(server.asked) == rest.ATTEMPTS


async def test_nobody_there_is_unavailable() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unavailable, match="ClientConnectorError"):
            await RestStore(session, "http://127.0.0.1:1", "toy").get(VOLUME, KEY)


async def test_a_server_that_asks_for_time_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    really = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await really(0)

    server = Server()
    patient = [web.json_response({}, status=429, headers={"Retry-After": after}) for after in ("2", "900", "soon")]
    server.answers = [*patient, ok()]
    async with server.store() as store:
        monkeypatch.setattr(rest.asyncio, "sleep", sleep)
        await store.get(VOLUME, KEY)
        monkeypatch.undo()
    assert waited[:2] == [2, rest.RETRY_AFTER_CAP]
    assert waited[2] < 0.1


async def test_a_silent_server_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "TIMEOUT", aiohttp.ClientTimeout(total=0.05))

    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return ok()

    server = Server()
    server.answers = [silent] * rest.ATTEMPTS
    async with server.store() as store:
        with pytest.raises(Unavailable, match="Timeout"):
            await asyncio.wait_for(store._ask("GET", store._url(VOLUME, KEY), timeout=rest.TIMEOUT), 5)


async def test_a_retry_does_not_outlive_the_leadership() -> None:
    server = Server()

    async def lose(request: web.Request) -> web.StreamResponse:
        server.permitted = False
        return status(503, "ServiceUnavailable")

    server.answers = [lose]
    async with server.store() as store:
        with pytest.raises(Deposed):
            await store.apply(VOLUME, volume(KEY))
        with pytest.raises(Deposed):
            await store.create(VOLUME, volume(KEY))
        assert len(server.asked) == 1
        server.answers = [ok()]
        assert await store.get(VOLUME, KEY)  # reading is free


async def test_a_list_comes_in_chunks_and_begins_again_when_its_place_is_forgotten() -> None:
    def page(names: str, more: str = "") -> web.Response:
        return web.json_response(
            {"metadata": {"continue": more} if more else {}, "items": [volume(Key("default", name)) for name in names]}
        )

    server = Server()
    server.answers = [page("ab", "x"), status(410, "Expired"), page("ac", "y"), page("d")]
    async with server.store() as store:
        found = await store.list(VOLUME, field_selector="spec.hostName=h", label_selector="a=b")
    assert [each["metadata"]["name"] for each in found] == ["a", "c", "d"]
    queries = [query for _, _, query, _ in server.asked]
    assert [query.get("continue") for query in queries] == [None, "x", None, "y"]
    assert all(query["fieldSelector"] == "spec.hostName=h" and query["labelSelector"] == "a=b" for query in queries)
    assert all(query["limit"] == str(rest.CHUNK) for query in queries)


async def test_each_request_as_the_api_server_wants_it() -> None:
    server = Server()
    meta = VOLUME.parse(volume(KEY, uid="u", resourceVersion="7")).meta
    async with server.store() as store:
        server.answers = [ok() for _ in range(5)]
        await store.create(CLAIM, CLAIM.body(Key("", "c"), spec={}))
        await store.apply(VOLUME, volume(KEY))
        await store.apply_status(VOLUME, KEY, {"phase": "x"}, resource_version="7", manager="part")
        await store.finalize(VOLUME, meta, ("f",))
        await store.delete(VOLUME, KEY, uid="u")
    claims = "/apis/networking.cloudstack.dev/v1alpha1/claims"
    place = "/apis/storage.cloudstack.dev/v1alpha1/namespaces/default/volumes/a"
    force = {"force": "true"}
    assert [(method, path, query) for method, path, query, _ in server.asked] == [
        ("POST", claims, {"fieldManager": "toy"}),
        ("PATCH", place, {"fieldManager": "toy"} | force),
        ("PATCH", f"{place}/status", {"fieldManager": "toy/part"} | force),
        ("PATCH", place, {"fieldManager": "toy"}),
        ("DELETE", place, {}),
    ]
    bodies = [body for *_, body in server.asked]
    assert bodies[2]["metadata"] == {"name": "a", "namespace": "default", "resourceVersion": "7"}
    assert bodies[3] == {"metadata": {"uid": "u", "resourceVersion": "7", "finalizers": ["f"]}}
    assert bodies[4] == {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}


async def test_writes_are_counted_by_kind_verb_and_answer() -> None:
    def count(code: str) -> float:
        labels = {"kind": "Volume", "verb": "apply", "code": code}
        return REGISTRY.get_sample_value("cloudstack_api_writes_total", labels) or 0

    before = {code: count(code) for code in ("none", "503", "200")}
    server = Server()
    server.answers = ["hang up", status(503, "x"), ok()]
    async with server.store() as store:
        await store.apply(VOLUME, volume(KEY))
    assert {code: count(code) - before[code] for code in before} == {"none": 1, "503": 1, "200": 1}


@pytest.mark.parametrize(
    ("code", "body", "error"),
    [
        (404, {"reason": "NotFound"}, NotFound),
        (409, {"reason": "AlreadyExists"}, AlreadyExists),
        (409, {"reason": "Conflict"}, Conflict),
        (422, {"reason": "Invalid", "details": {"causes": [{"field": "metadata.uid"}]}}, Conflict),
        (422, {"reason": "Invalid", "details": {"causes": [{"field": "spec.size"}]}}, Invalid),
        (422, {"reason": "Invalid"}, Invalid),
        (400, {"reason": "BadRequest"}, Invalid),
        (413, {}, Invalid),
        (500, {"message": "failed to create typed patch object (default/a): .spec: expected map, got &{no}"}, Invalid),
        (500, {"reason": "InternalError"}, StoreError),
        (403, {"reason": "Forbidden", "message": 'volumes "a" is forbidden: exceeded quota: q'}, Invalid),
        (403, {"reason": "Forbidden", "message": "unable to create: namespace x is being terminated"}, Invalid),
        (403, {"reason": "Forbidden", "message": 'User "x" cannot patch resource "volumes"'}, Forbidden),
        (418, {}, StoreError),
    ],
)
def test_what_each_answer_means(code: int, body: Json, error: type[StoreError]) -> None:
    found = error_of(code, orjson.dumps(body))
    assert type(found) is error


def test_an_answer_that_is_no_json_is_quoted() -> None:
    assert "Bad Gateway" in str(error_of(418, b"<html>Bad Gateway</html>"))
