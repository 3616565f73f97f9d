"""The store on a real API server: raw HTTP with JSON server-side apply.

Six times less of our CPU than any packaged client (measured, see the README); the server sets the pace. What may heal
by itself within seconds is retried here; everything else is a StoreError for the run to end with.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import structlog

from operators.contract.codec import Json
from operators.contract.meta import Key, Kind, Meta
from operators.kernel import metrics
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

log = structlog.get_logger()

ATTEMPTS = 5
BACKOFF_FIRST = 0.1
BACKOFF_CAP = 2.0
RETRY_AFTER_CAP = 5.0
"""Longest wait that the server may ask for; beyond it the key goes back to its queue."""
TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
LIST_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=3)
CHUNK = 500

MISTYPED = "failed to create typed patch object"
"""How a 500 begins that no retry mends: an apply's value is of another type than the schema's, or of no known field."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"


class RestStore:
    """Access to one API server under one field manager."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        manager: str,
        *,
        permitted: Callable[[], bool] = lambda: True,
        rng: random.Random | None = None,
    ) -> None:
        self._session = session
        self._server = server
        self._manager = manager
        self._permitted = permitted
        """Asked before every attempt of a write: a retry must not outlive the leadership in which it began."""
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret

    async def get(self, kind: Kind[Any, Any], key: Key) -> Json | None:
        """The newest object; None when there is none."""
        try:
            return _parsed(await self._ask("GET", self._url(kind, key)))
        except NotFound:
            return None

    async def list(self, kind: Kind[Any, Any], *, field_selector: str = "", label_selector: str = "") -> Sequence[Json]:
        """All objects of a kind, in chunks; a list that grew too old on the way is begun again."""
        params = {"limit": str(CHUNK)}
        if field_selector:
            params["fieldSelector"] = field_selector
        if label_selector:
            params["labelSelector"] = label_selector
        items: list[Json] = []
        while True:
            try:
                page = _parsed(await self._ask("GET", self._url(kind), params=params, timeout=LIST_TIMEOUT))
            except _Expired:
                items.clear()
                params.pop("continue", None)
                continue
            items += page.get("items") or ()
            if not (more := page["metadata"].get("continue")):
                return items
            params["continue"] = more

    async def served(self, kind: Kind[Any, Any]) -> bool:
        """Whether the API server knows the kind at all."""
        try:
            found = _parsed(await self._ask("GET", self._url(kind, root=True)))
        except NotFound:
            return False
        return any(each["name"] == kind.plural for each in found["resources"])

    async def create(self, kind: Kind[Any, Any], body: Json) -> Json:
        """Create, or raise AlreadyExists. A retry may meet what the first attempt made: callers compare the owner."""
        url = self._url(kind, Key(body["metadata"].get("namespace", ""), ""))
        params = {"fieldManager": self._manager}
        return _parsed(await self._write("create", kind, "POST", url, body, JSON, params))

    async def apply(self, kind: Kind[Any, Any], body: Json) -> Json:
        """Server-side apply."""
        meta = body["metadata"]
        url = self._url(kind, Key(meta.get("namespace", ""), meta["name"]))
        return _parsed(await self._write("apply", kind, "PATCH", url, body, APPLY, self._as()))

    async def apply_status(
        self, kind: Kind[Any, Any], key: Key, status: Mapping[str, Any], *, resource_version: str, manager: str = ""
    ) -> Json | None:
        """Server-side apply of a status; the object as it is now."""
        body = kind.body(key, resourceVersion=resource_version)
        body["status"] = status
        url = self._url(kind, key) + "/status"
        return _parsed(await self._write("apply_status", kind, "PATCH", url, body, APPLY, self._as(manager)))

    async def finalize(self, kind: Kind[Any, Any], meta: Meta, finalizers: Sequence[str]) -> Json | None:
        """Set the finalizers of the very state that was observed."""
        guarded = meta.guard | {"finalizers": list(finalizers)}
        params = {"fieldManager": self._manager}
        try:
            answer = await self._write(
                "finalize", kind, "PATCH", self._url(kind, meta.key), {"metadata": guarded}, MERGE, params
            )
        except NotFound:
            return None
        return _parsed(answer)

    async def merge(self, kind: Kind[Any, Any], meta: Meta, change: Json) -> Json:
        """Merge-patch the very state that was observed."""
        guard = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        body = change | {"metadata": change.get("metadata", {}) | guard}
        params = {"fieldManager": self._manager}
        return _parsed(await self._write("merge", kind, "PATCH", self._url(kind, meta.key), body, MERGE, params))

    async def delete(self, kind: Kind[Any, Any], key: Key, *, uid: str, resource_version: str = "") -> None:
        """Ask for the deletion of that very object, its dependents after it. Gone, or another one by now, is fine."""
        guard = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        options: Json = {"propagationPolicy": "Background", "preconditions": guard}
        try:
            await self._write("delete", kind, "DELETE", self._url(kind, key), options, JSON, {})
        except (NotFound, Conflict) as error:
            if resource_version and isinstance(error, Conflict):
                raise
            log.debug("already_gone", kind=kind.kind, key=str(key))

    def _as(self, part: str = "") -> dict[str, str]:
        return {"fieldManager": f"{self._manager}/{part}" if part else self._manager, "force": "true"}

    def _url(self, kind: Kind[Any, Any], key: Key | None = None, *, root: bool = False) -> str:
        base = f"{self._server}/{f'apis/{kind.group}' if kind.group else 'api'}/{kind.version}"
        if root:
            return base
        if key is None:
            return f"{base}/{kind.plural}"
        where = f"{base}/namespaces/{quote(key.namespace, safe='')}" if kind.namespaced else base
        return f"{where}/{kind.plural}/{quote(key.name, safe='')}".rstrip("/")

    async def _write(
        self,
        verb: str,
        kind: Kind[Any, Any],
        method: str,
        url: str,
        body: Json,
        content: str,
        params: Mapping[str, str],
    ) -> bytes:
        def count(code: str) -> None:
            metrics.API_WRITES.labels(kind.kind, verb, code).inc()

        return await self._ask(method, url, params=params, data=orjson.dumps(body), content=content, count=count)

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        content: str = JSON,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
        count: Callable[[str], None] | None = None,
    ) -> bytes:
        """One request with its retries; the body of a good answer. Raises a StoreError."""
        headers = {"Content-Type": content, "Accept": JSON}
        trouble, wait = "", None
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(self._delay(attempt, wait))
            if count and not self._permitted():
                raise Deposed("this replica does not lead any more")
            try:
                async with self._session.request(
                    method, url, params=params, data=data, headers=headers, timeout=timeout, allow_redirects=False
                ) as answer:
                    text, code = await answer.read(), answer.status
                    wait = _seconds(answer.headers.get("Retry-After", ""))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble, wait = f"{type(error).__name__}: {error}", None
                if count:
                    count("none")
                continue
            if count:
                count(str(code))
            if code < 300:
                return text
            refusal = error_of(code, text)
            if code not in (401, 429) and (code < 500 or isinstance(refusal, Invalid)):
                raise refusal
            trouble = str(refusal)
        raise Unavailable(f"{method} {url}: {trouble}")

    def _delay(self, attempt: int, asked: float | None) -> float:
        backoff = min(BACKOFF_CAP, BACKOFF_FIRST * 2.0 ** (attempt - 1)) * self._rng.uniform(0.5, 1.5)
        return backoff if asked is None else max(backoff, min(asked, RETRY_AFTER_CAP))


class _Expired(StoreError):
    """The place where a list in chunks was to go on is no longer kept."""


def error_of(code: int, text: bytes) -> StoreError:
    """The StoreError that an answer of the API server stands for."""
    message = message_of(text)
    match code:
        case 404:
            return NotFound(message)
        case 409:
            return AlreadyExists(message) if _reason(text) == "AlreadyExists" else Conflict(message)
        case 410:
            return _Expired(message)
        case 403 if "exceeded quota" in message or "being terminated" in message or "admission" in message.lower():
            return Invalid(message)
        case 403:
            return Forbidden(message)
        case 422 if "metadata.uid" in _causes(text):
            return Conflict(message)  # an apply that was meant for an earlier object of the name
        case 400 | 413 | 422:
            return Invalid(message)
        case 500 if message.startswith(MISTYPED):
            return Invalid(message)
    return StoreError(f"{code} {message}")


def message_of(text: bytes) -> str:
    """What the API server says in a Status object, or the start of what else it says."""
    status = _status(text)
    return str(status.get("message") or text[:300].decode(errors="replace"))


def _reason(text: bytes) -> str:
    return str(_status(text).get("reason", ""))


def _causes(text: bytes) -> list[str]:
    return [cause.get("field", "") for cause in (_status(text).get("details") or {}).get("causes") or ()]


def _status(text: bytes) -> Json:
    try:
        status = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return status if isinstance(status, dict) else {}


def _parsed(text: bytes) -> Json:
    parsed: Json = orjson.loads(text)
    return parsed


def _seconds(header: str) -> float | None:
    return float(int(header)) if header.isdecimal() else None
