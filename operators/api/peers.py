"""Replicas tell one another what their callers wrote, before the callers hear of it.

So whoever asks another replica next finds there what it did, whichever replica that is: the news says up to which
version of each kind a replica must have seen before it answers anything, and the watch brings that in a moment. A
caller needs no cookie and no header for it, and what only reads asks nobody. News is signed with the key that all
replicas share; telling it twice does no harm. What a replica that cannot be reached missed, its watch tells it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

import aiohttp
import orjson
import structlog
from aiohttp import web

from operators.api.cloud import KINDS
from operators.api.noting import AnyKind, Noting
from operators.api.sessions import Sessions
from operators.contract.meta import Key
from operators.kernel.cache import Cache
from operators.kernel.clock import Clock

log = structlog.get_logger()

PATH, SIGNATURE = "/peers/news", "X-Cloudstack-Peer"
PATIENCE = 2.0
"""Seconds that a request waits for the watch to bring what another replica told of."""
LOOK = 5.0
"""Seconds between look-ups of the others' addresses."""
APART = 5.0
"""Seconds for which one that could not be reached is left alone, unless it tells of itself."""
TIMEOUT = aiohttp.ClientTimeout(total=2.0, sock_connect=0.5)
_KINDS: Mapping[str, AnyKind] = {kind.crd: kind for kind in KINDS}

News: TypeAlias = dict[str, Any]


class Floors:
    """What this replica must have seen before it answers."""

    def __init__(self, cache: Cache, sessions: Sessions) -> None:
        self._cache = cache
        self._sessions = sessions
        self._wanted: dict[AnyKind, int] = {}
        self._newest: dict[AnyKind, int] = {}
        """Of what was written here or told by others, for a replica that has just started."""

    def told(self, news: News) -> None:
        """Take in what another replica wrote."""
        for name, version in news["versions"].items():
            if (kind := _KINDS.get(name)) is not None:
                self._wanted[kind] = max(version, self._wanted.get(kind, 0))
                self.wrote(kind, version)
        self._sessions.ended_elsewhere(news.get("ended", {}))
        for name, namespace, own, uid in news["gone"]:
            if (kind := _KINDS.get(name)) is not None:
                self._cache.drop(kind, Key(namespace, own), uid)

    def wrote(self, kind: AnyKind, version: int) -> None:
        """Note what was written here."""
        self._newest[kind] = max(version, self._newest.get(kind, 0))

    @property
    def newest(self) -> News:
        """All that is known of, as news."""
        versions = {kind.crd: version for kind, version in self._newest.items() if kind.crd in _KINDS}
        return {"versions": versions, "gone": [], "ended": dict(self._sessions.ended)}

    async def caught_up(self) -> None:
        """Wait until the watches have brought what others told of, for a while at most."""
        for kind, version in list(self._wanted.items()):
            if not await self._cache.reached(kind, version, PATIENCE):
                log.warning("watch_is_late", kind=kind.kind, version=version)
            if self._wanted.get(kind) == version:
                del self._wanted[kind]


class Peers:
    """The other replicas."""

    def __init__(self, floors: Floors, key: bytes, clock: Clock, where: str = "", own: str = "") -> None:
        self.floors = floors
        self._key = key
        self._clock = clock
        self._where = [each.strip() for each in where.split(",") if each.strip()]
        """`host:port` each; a host may have many addresses."""
        self._own = own
        """The address by which others reach this one."""
        self._met = asyncio.Event()
        if not self._where:
            self._met.set()
        self._known: set[str] = set()
        self._apart: dict[str, float] = {}
        self._session: aiohttp.ClientSession | None = None

    async def caught_up(self) -> None:
        """Wait until this replica knows what the others' callers did."""
        await self._met.wait()
        await self.floors.caught_up()

    async def tell(self, noted: Noting) -> None:
        """Have every other replica know what a command did. Whoever cannot be reached serves nobody, or learns late."""
        for kind, version in noted.versions.items():
            self.floors.wrote(kind, version)
        versions = {kind.crd: version for kind, version in noted.versions.items() if kind.crd in _KINDS}
        gone = [[kind.crd, key.namespace, key.name, uid] for kind, key, uid in noted.gone if kind.crd in _KINDS]
        if self._known and (versions or gone):
            await self._send(self._known, {"versions": versions, "gone": gone})

    async def logged_out(self, ended: Mapping[str, int]) -> None:
        """Have every other replica know of sessions that ended here."""
        if self._known and ended:
            await self._send(self._known, {"versions": {}, "gone": [], "ended": dict(ended)})

    async def meet(self) -> None:
        """Look up the others and tell them of this one, which takes in all that they know of. It serves by then."""
        found = await _addresses(self._where) - {self._own}
        now = self._clock.monotonic()
        self._apart = {each: until for each, until in self._apart.items() if until > now}
        new = found - self._known - self._apart.keys()
        self._known |= new
        if new:
            await self._send(new, {"versions": {}, "gone": []})
        self._met.set()

    async def run(self) -> None:
        """Go on looking for new ones."""
        while True:
            await self._clock.sleep(LOOK)
            await self.meet()

    async def _send(self, addresses: Iterable[str], news: News) -> None:
        body = orjson.dumps(news | {"from": self._own})
        await asyncio.gather(*(self._one(address, body) for address in tuple(addresses)))

    async def _one(self, address: str, body: bytes) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        headers = {SIGNATURE: self._mac(body)}
        try:
            async with self._session.post(f"http://{address}{PATH}", data=body, headers=headers) as answer:
                told = await answer.read()
                if answer.status == 200 and hmac.compare_digest(answer.headers.get(SIGNATURE, ""), self._mac(told)):
                    self.floors.told(orjson.loads(told))
                    return
                trouble = f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            trouble = f"{type(error).__name__}: {error}"
        log.info("peer_not_told", peer=address, why=trouble)
        self._known.discard(address)
        self._apart[address] = self._clock.monotonic() + APART

    async def heard(self, request: web.Request) -> web.Response:
        """Take in what another replica tells."""
        body = await request.read()
        if not hmac.compare_digest(request.headers.get(SIGNATURE, "").encode(), self._mac(body).encode()):
            return web.Response(status=403)
        news = orjson.loads(body)
        self.floors.told(news)
        if news["from"] and news["from"] != self._own:
            self._known.add(news["from"])
            self._apart.pop(news["from"], None)
        # One that says nothing has just started: what was written before it was known here, it must have seen, too.
        told_something = news["versions"] or news["gone"] or news.get("ended")
        answer = {"versions": {}, "gone": []} if told_something else self.floors.newest
        told = orjson.dumps(answer)
        return web.Response(body=told, headers={SIGNATURE: self._mac(told)})

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    def _mac(self, body: bytes) -> str:
        return hmac.new(self._key, b"peers:" + body, hashlib.sha256).hexdigest()


async def _addresses(where: Collection[str]) -> set[str]:
    """All addresses of all hosts; of one that has none now, none."""
    loop, found = asyncio.get_running_loop(), set[str]()
    for each in where:
        host, _, port = each.rpartition(":")
        try:
            infos = await loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except OSError:
            continue
        found |= {f"[{info[4][0]}]:{port}" if ":" in str(info[4][0]) else f"{info[4][0]}:{port}" for info in infos}
    return found
