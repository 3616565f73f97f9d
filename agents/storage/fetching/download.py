"""The bytes of an image: streamed to a file, hashed on the way, bounded in size, resumed where they broke off."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from agents.storage.failure import Failed
from agents.storage.fetching.sources import GuardedResolver, check_url, redirected
from agents.storage.folders import in_thread
from agents.storage.settings import Sources
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason

CHUNK = 1 << 20
REDIRECTS = 5
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
SLOWEST = (60.0, 1 << 20)
"""Seconds, and the bytes that must come in them: a source that drips would hold a place among the few for ever."""
RESERVE = 1 << 30
"""Bytes of a pool that fetching leaves free (at most a twentieth of the pool), for the disks on it to grow into."""
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch."""

    url: str
    checksum: str
    """The algorithm's name, a colon and hexadecimal digits; empty if whatever comes is taken."""
    limit: int
    """The most bytes that it may have."""
    pool: str


class Download:
    """One attempt after another at one file, each of which goes on where the last one ended."""

    def __init__(self, wanted: Wanted, fd: int, sources: Sources, told: Callable[[int], None]) -> None:
        self._wanted = wanted
        self._fd = fd
        self._sources = sources
        self._told = told
        self._algorithm = wanted.checksum.partition(":")[0] or "sha256"
        self._hash = self._fresh()
        self._size = 0

    async def run(self) -> str:
        """Fetch it whole; its checksum. Raises Failed."""
        # Without a checksum nobody could tell whether what is there is of the same file.
        await in_thread(self._take_up if self._wanted.checksum else self._start_over)
        resumed = self._size > 0
        try:
            await self._fetch()
            if resumed and not self._matches():
                # What was there before may have been of an older file at that url.
                await in_thread(self._start_over)
                await self._fetch()
        except aiohttp.ClientResponseError as error:
            raise Failed(Reason.SOURCE_UNREACHABLE, f"{self._host} answered {error.status} {error.message}") from error
        except aiohttp.InvalidURL as error:
            raise Failed(Reason.SOURCE_REFUSED, f"the url cannot be understood: {error}"[:500]) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            said = str(error) or "it does not answer in time"
            raise Failed(Reason.SOURCE_UNREACHABLE, f"{self._host} cannot be read: {said}"[:500]) from error
        if not self._matches():
            await in_thread(self._start_over)
            shown = len(self._algorithm) + 13
            served, asked = self._last[:shown], self._wanted.checksum[:shown]
            message = f"{self._host} served a file of {served}…, and the Image says {asked}…"
            raise Failed(Reason.CHECKSUM_MISMATCH, message)
        return self._last

    @property
    def _host(self) -> str:
        """The source as messages name it: without path, query or credentials."""
        return URL(self._wanted.url).host or "the source"

    def _matches(self) -> bool:
        self._last = f"{self._algorithm}:{self._hash.hexdigest()}"
        return self._wanted.checksum in ("", self._last)

    def _fresh(self) -> Any:
        # Not for what is secret: MD5 and SHA-1 tell a broken file from a sound one, and are said to be no more.
        return hashlib.new(self._algorithm, usedforsecurity=False)

    def _take_up(self) -> None:
        """Hash what an earlier attempt left."""
        while chunk := os.pread(self._fd, CHUNK, self._size):
            self._hash.update(chunk)
            self._size += len(chunk)

    def _start_over(self) -> None:
        os.ftruncate(self._fd, 0)
        self._hash = self._fresh()
        self._size = 0

    async def _fetch(self) -> None:
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(self._sources), use_dns_cache=False, force_close=True)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=TIMEOUT,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=CHUNK,
        ) as session:
            url = self._wanted.url
            for _ in range(REDIRECTS):
                check_url(url, self._sources)
                async with session.get(URL(url), headers=self._headers(), allow_redirects=False) as response:
                    if response.status in (301, 302, 303, 307, 308):
                        url = redirected(url, response.headers.get("Location", ""))
                        continue
                    await self._receive(response)
                    return
        raise Failed(Reason.SOURCE_REFUSED, f"{self._host} redirects more than {REDIRECTS} times")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if self._size:
            headers["Range"] = f"bytes={self._size}-"
        return headers

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 416:
            # There is no more of it: it is whole, or it is another file by now. The checksum tells.
            return
        response.raise_for_status()
        if response.status != 206 or not self._continues(response):
            await in_thread(self._start_over)
        length = response.content_length
        total = None if length is None else self._size + length
        self._check_size(total or 0)
        self._check_space(length or 0)
        slow = _Pace()
        while chunk := await _chunk(response.content):
            await in_thread(self._write, chunk)
            self._check_size(self._size)
            self._check_space(0)
            slow.came(len(chunk))
            if total:
                self._told(min(99, self._size * 100 // total))

    def _continues(self, response: aiohttp.ClientResponse) -> bool:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self._size:
            raise Failed(Reason.SOURCE_UNREACHABLE, f"{self._host} answered with another part than it was asked for")
        return True

    def _write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._fd, view, self._size)
            self._size += written
            view = view[written:]

    def _check_size(self, size: int) -> None:
        if size > self._wanted.limit:
            limit = Quantity(self._wanted.limit)
            message = f"the file at {self._host} is larger than the {limit} that images may have (IMAGE_MAX_DOWNLOAD)"
            raise Failed(Reason.IMAGE_TOO_LARGE, message)

    def _check_space(self, coming: int) -> None:
        pool = os.fstatvfs(self._fd)
        reserve = min(RESERVE, pool.f_blocks * pool.f_frsize // 20)
        if pool.f_bavail * pool.f_frsize - coming < reserve:
            missing = Quantity(coming or CHUNK)
            message = f"pool {self._wanted.pool} has no room for {missing} more; free space or add a pool"
            raise Failed(Reason.POOL_FULL, message)


class _Pace:
    """Notices a source that drips."""

    def __init__(self) -> None:
        self._since = asyncio.get_running_loop().time()
        self._bytes = 0

    def came(self, count: int) -> None:
        seconds, least = SLOWEST
        self._bytes += count
        now = asyncio.get_running_loop().time()
        if now - self._since >= seconds:
            if self._bytes < least:
                raise Failed(Reason.SOURCE_UNREACHABLE, f"the source is too slow: {self._bytes} bytes in a minute")
            self._since, self._bytes = now, 0


async def _chunk(content: Any) -> bytes:
    """The next piece of at most CHUNK bytes, gathered from what comes in, so that a thread is worth it."""
    pieces, size = [], 0
    while size < CHUNK:
        piece = await content.read(CHUNK - size)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
