"""The bytes of a file to Upload, by tus: where they are broken off, they go on."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import urllib3
from urllib3.exceptions import HTTPError

from client.cluster import ClientError, Cluster
from operators.contract.meta import Key
from operators.contract.uploads import CONTENT_TYPE, OFFSET_HEADER, TOKEN_HEADER, TUS

SERVICE = "cloudstack-upload:http"
"""Name and port of Upload's Service, as the API server's proxy has them."""
PIECE = 8 << 20
"""Bytes of a request: proxies on the way keep such ones whole, and little is lost with one."""
TIMEOUT = urllib3.Timeout(connect=10, read=120)
PATIENCE = 120.0
"""Seconds without a byte more before it is given up; the same command goes on later."""
AGAIN = frozenset({408, 409, 423, 429, 500, 502, 503, 504})
"""Statuses after which it is asked how much is there, and tried again."""


class Broken(Exception):
    """A request came to nothing, and the next one may not."""


class Link:
    """One ImageUpload, as its token opens it: through the API server, or at a `url` where Upload is published."""

    def __init__(self, cluster: Cluster, key: Key, token: str, url: str = "") -> None:
        self._http = urllib3.PoolManager() if url else cluster.http
        self._where = f"{url.rstrip('/') or cluster.service(SERVICE)}/uploads/{key.namespace}/{key.name}"
        word = "" if url else cluster.authorization()
        self._headers = {TOKEN_HEADER: token, "Tus-Resumable": TUS} | ({"Authorization": word} if word else {})

    def offset(self, size: int) -> int:
        """How many bytes are there. All of them where they were another file's: its ImageUpload tells that."""
        answer = self._ask("HEAD")
        if answer.status == 409:
            return size
        return self._offset(answer)

    def send(self, offset: int, data: bytes) -> int:
        """Bring bytes; how many are there then."""
        headers = {OFFSET_HEADER: str(offset), "Content-Type": CONTENT_TYPE}
        answer = self._ask("PATCH", body=data, headers=headers)
        if answer.status == 409:
            raise Broken(_said(answer))
        return self._offset(answer)

    def _ask(self, method: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        try:
            answer = self._http.request(
                method,
                self._where,
                body=body,
                headers=self._headers | (headers or {}),
                timeout=TIMEOUT,
                retries=False,
                redirect=False,
            )
        except HTTPError as error:
            raise Broken(f"Upload is not reached: {error}") from error
        if answer.status in AGAIN - {409}:
            raise Broken(_said(answer))
        if answer.status >= 300 and answer.status != 409:
            raise ClientError(_said(answer))
        return answer

    @staticmethod
    def _offset(answer: Any) -> int:
        try:
            return int(answer.headers[OFFSET_HEADER])
        except (KeyError, ValueError) as error:
            raise ClientError("what answered is not Upload: is CloudStack's release older than this one?") from error


def carry(link: Link, source: BinaryIO, size: int, told: Callable[[int], None], pause: Pause | None = None) -> None:
    """Bring all bytes that are not there yet. Raises ClientError when it does not go on for PATIENCE."""
    pause = pause or Pause()
    at = -1
    while at < size:
        try:
            if at < 0:
                at = link.offset(size)
                told(at)
            if at < size:
                source.seek(at)
                if not (data := source.read(min(PIECE, size - at))):
                    raise ClientError("the file became shorter meanwhile")
                at = link.send(at, data)
                told(at)
                pause.over()
        except Broken as broken:
            at = -1
            pause.wait(str(broken))


class Pause:
    """Waits longer and longer, and at last no more."""

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep, self._clock = sleep, clock
        self.over()

    def over(self) -> None:
        """It went on."""
        self._since, self._next = self._clock(), 0.5

    def wait(self, why: str) -> None:
        """Give it time. Raises ClientError."""
        if self._clock() - self._since > PATIENCE:
            raise ClientError(f"{why}; the same command goes on from there later")
        self._sleep(self._next)
        self._next = min(10.0, self._next * 2)


def _said(answer: Any) -> str:
    """What Upload or the API server before it said; without a word of theirs, the number."""
    body = (answer.data or b"").decode(errors="replace").strip()
    with contextlib.suppress(TypeError, ValueError, KeyError):
        body = str(json.loads(body)["message"])
    return body or f"the upload is refused with status {answer.status}"
