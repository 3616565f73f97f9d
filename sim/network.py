"""Between a process and the API server: requests and answers take time, get lost, or find nobody.

`Session` stands in for the aiohttp session under the kernel's own `RestStore`, so that the retries which real processes
make are made here too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import aiohttp
import orjson

from sim.axe import Axe
from sim.loop import ACTOR, Actor, VirtualLoop
from sim.manners import Manners
from sim.store.resources import Resource
from sim.store.server import ApiServer, Request

FAST, SLOW = (0.001, 0.006), (0.5, 4.0)


@dataclass
class Link:
    """One process's way to the API server, and what is wrong with it now."""

    cut_there: bool = False
    """Requests are lost on the way there."""
    cut_back: bool = False
    """Answers are lost on the way back: what was asked is done, and nobody learns of it."""
    refused: bool = False
    """The API server is away: connections are refused at once."""
    slow: bool = False
    overloaded: float = 0.0
    """Share of requests that are answered 429 or 500."""
    requests: int = 0
    axe: Axe | None = None
    """What falls on the process when a write of it has been carried out."""
    manners: Manners = field(default_factory=Manners)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.cut_there or self.cut_back or self.refused or self.slow or self.overloaded)


@dataclass
class Wire:
    """All links, and the API server at their end."""

    loop: VirtualLoop
    server: ApiServer
    rng: random.Random
    actor: Actor = field(default_factory=lambda: Actor("api-server"))
    paths: dict[str, tuple[Resource, str, str, str] | Resource | None] = field(default_factory=dict)
    complain: Callable[[str], None] = lambda complaint: None
    """Told of requests that no process may make."""

    def delay(self, link: Link) -> float:
        """Seconds for one way."""
        if link.slow and self.rng.random() < 0.3:
            return self.rng.uniform(*SLOW)
        return self.rng.uniform(*FAST)

    def parse(self, url: str) -> tuple[Resource, str, str, str] | Resource | None:
        """Resource, namespace, name and subresource of a URL; a bare Resource for the root of its group."""
        if url not in self.paths:
            self.paths[url] = self._parse(url)
        return self.paths[url]

    def _parse(self, url: str) -> tuple[Resource, str, str, str] | Resource | None:
        parts = [unquote(part) for part in url.split("/")[3:]]
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        namespace = ""
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        table = self.server.tables.get((group, rest[0])) if rest else None
        if table is None:
            return (
                next((t.resource for (each, _), t in self.server.tables.items() if each == group), None)
                if not rest
                else None
            )
        return table.resource, namespace, *[*rest[1:3], "", ""][:2]  # type: ignore[return-value]


class Session:
    """What `RestStore` uses of an aiohttp session, for one process and one user."""

    def __init__(self, wire: Wire, link: Link, user: str) -> None:
        self._wire = wire
        self._link = link
        self._user = user

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
        allow_redirects: bool = False,
    ) -> _Exchange:
        """One request; what comes of it is known when the block is entered."""
        content = (headers or {}).get("Content-Type", "application/json")
        query = tuple((params or {}).items())
        total = timeout.total if timeout is not None and timeout.total else 60.0
        return _Exchange(self._wire, self._link, self._user, method, url, query, data, content, total)


class _Exchange:
    """A request on its way; an async context manager as aiohttp has them."""

    def __init__(
        self,
        wire: Wire,
        link: Link,
        user: str,
        method: str,
        url: str,
        query: Any,
        data: Any,
        content: str,
        total: float,
    ):
        self._wire, self._link, self._user = wire, link, user
        self._method, self._url, self._query, self._data = method, url, query, data
        self._content, self._total = content, total
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.headers: dict[str, str] = {}
        self.status = 0
        self._text = b""

    async def __aenter__(self) -> _Exchange:
        wire, link, me = self._wire, self._link, ACTOR.get()
        if not me.alive:
            raise asyncio.CancelledError
        link.requests += 1
        loop = wire.loop
        if self._method == "PATCH":
            for fault in link.manners.faults(self._url, self._content, self._data, loop.now) if link.well else ():
                wire.complain(f"{self._user} asks {fault}")
        answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        if link.refused:
            await asyncio.sleep(wire.delay(link))
            raise aiohttp.ClientConnectionError("connection refused")
        if not link.cut_there:
            loop.at(loop.now + wire.delay(link), wire.actor, self._arrive, answer, me)
        patience = loop.call_later(self._total, _give_up, answer)
        try:
            self.status, self._text = await answer
        finally:
            patience.cancel()
        if self._method != "GET" and self.status < 300:
            link.manners.told(self._url, self._text, loop.now)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    async def read(self) -> bytes:
        """The body, which has arrived."""
        return self._text

    def _arrive(self, answer: asyncio.Future[tuple[int, bytes]], me: Actor) -> None:
        """The server has the request: from here on it is done, whatever becomes of its sender."""
        wire, link = self._wire, self._link
        code, body = self._overload() if wire.rng.random() < link.overloaded else self._carry_out()
        if self._method != "GET" and code < 300 and link.axe is not None and me.alive and link.axe.chance():
            link.axe.fall()
        if link.cut_back or not me.alive:
            return
        text = orjson.dumps(body)
        wire.loop.at(wire.loop.now + wire.delay(link), me, _deliver, answer, code, text)

    def _overload(self) -> tuple[int, Any]:
        code = self._wire.rng.choice((429, 500, 503))
        return code, {"kind": "Status", "message": "overloaded", "reason": "TooManyRequests", "code": code}

    def _carry_out(self) -> tuple[int, Any]:
        target = self._wire.parse(self._url)
        if target is None:
            return 404, {
                "kind": "Status",
                "message": "the server could not find the requested resource",
                "reason": "NotFound",
            }
        if isinstance(target, Resource):
            names = [{"name": plural} for group, plural in self._wire.server.tables if group == target.group]
            return 200, {"kind": "APIResourceList", "resources": names}
        resource, namespace, name, subresource = target
        body = orjson.loads(self._data) if self._data else None
        return self._wire.server.answer(
            Request(
                self._method, resource, (namespace, name), subresource, body, self._content, self._query, self._user
            )
        )


def _give_up(answer: asyncio.Future[tuple[int, bytes]]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError("the API server does not answer"))


def _deliver(answer: asyncio.Future[tuple[int, bytes]], code: int, text: bytes) -> None:
    if not answer.done():
        answer.set_result((code, text))
