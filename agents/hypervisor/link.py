"""The connection to libvirtd: kept up, its calls off the event loop, its events on it.

libvirt's calls block, so they run in threads. Its default event loop runs in a daemon thread of its own and must be
registered before the first connection is opened. Keepalive messages make a frozen daemon known within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import libvirt
import structlog

from agents.hypervisor.driver import HypervisorError, HypervisorGone

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
"""Calls at a time; more do not start guests any faster (measured, see the design's machine.md)."""
LONG_THREADS = 16
"""Guests that move at a time; each takes a thread for as long as that lasts."""
KEEPALIVE = 2, 2
"""Seconds between messages, and how many may stay unanswered."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 1.0
"""Seconds between attempts to connect."""
OPEN_TIMEOUT = 10.0

_EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
    libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
)
"""What makes us look at a domain: it came, went or paused; its guest let go of a disk or will not; a copy is done."""

_GONE = frozenset(
    {
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_RPC,
        libvirt.VIR_ERR_SYSTEM_ERROR,
    }
)
"""Codes of errors that come of the connection, if the connection is indeed dead."""


@cache
def _events() -> None:
    """Run libvirt's default event loop, once per process."""
    libvirt.registerErrorHandler(lambda *_: None, None)  # every error is raised; none needs printing as well
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, name="libvirt-events", daemon=True).start()


class Link:
    """One connection at a time to the libvirtd of a URI."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._pool = ThreadPoolExecutor(THREADS, "libvirt")
        self._long = ThreadPoolExecutor(LONG_THREADS, "libvirt-long")
        self._asking = ThreadPoolExecutor(1, "libvirt-guests")
        """For what a guest may keep waiting: no guest of one tenant may hold up those of others."""
        self._opening = ThreadPoolExecutor(1, "libvirt-open")
        self._connection: Any = None
        self._lost = asyncio.Event()
        self._trouble = "not connected yet"

    async def run(self, changed: Callable[[str], None], link: Callable[[], None]) -> None:
        """Connect, and connect anew whenever the connection is lost, for ever."""
        _events()
        loop = asyncio.get_running_loop()
        wait = FIRST_WAIT
        while True:
            self._lost.clear()
            opening = loop.run_in_executor(self._opening, self._open, loop, changed)
            while not (await asyncio.wait({opening}, timeout=OPEN_TIMEOUT))[0]:
                # A frozen daemon accepts and says nothing. The thread cannot be called back, so it is waited for.
                self._trouble = f"no answer within {OPEN_TIMEOUT:.0f} s"
                log.warning("libvirt_not_reached", uri=self._uri, error=self._trouble)
            try:
                connection = opening.result()
            except libvirt.libvirtError as error:
                self._trouble = _message(error)
                log.warning("libvirt_not_reached", uri=self._uri, error=self._trouble, again_in=wait)
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, wait * 2)
                continue
            log.info("libvirt_connected", uri=self._uri)
            self._connection, wait = connection, FIRST_WAIT
            link()
            await self._lost.wait()
            self._connection = None
            link()
            log.warning("libvirt_lost", uri=self._uri, error=self._trouble)
            await loop.run_in_executor(self._opening, _close, connection)

    async def call(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function(connection, …)` in a thread. Raises HypervisorGone or HypervisorError."""
        return await self._call(self._pool, function, *args, **kwargs)

    async def call_long(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for what takes minutes, so that it keeps nothing else waiting."""
        return await self._call(self._long, function, *args, **kwargs)

    async def ask(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a question that a guest itself answers, or does not."""
        return await self._call(self._asking, function, *args, **kwargs)

    async def _call(
        self,
        pool: ThreadPoolExecutor,
        function: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        connection = self._connection
        if connection is None:
            raise HypervisorGone(f"libvirtd does not answer: {self._trouble}")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(pool, partial(function, connection, *args, **kwargs))
        except libvirt.libvirtError as error:
            if error.get_error_code() in _GONE and not _alive(connection):
                self._lose(_message(error))
                raise HypervisorGone(f"libvirtd does not answer: {_message(error)}") from error
            raise HypervisorError(_message(error)) from error

    def _open(self, loop: asyncio.AbstractEventLoop, changed: Callable[[str], None]) -> Any:
        connection = libvirt.open(self._uri)
        try:
            # Drivers within this process (libvirt's own test driver) know no keepalive.
            with contextlib.suppress(libvirt.libvirtError):
                connection.setKeepAlive(*KEEPALIVE)
                connection.registerCloseCallback(self._closed, loop)
            for event in _EVENTS:
                connection.domainEventRegisterAny(
                    None, event, lambda _conn, domain, *_: _tell(loop, changed, domain.UUIDString()), None
                )
        except BaseException:
            _close(connection)
            raise
        return connection

    def _closed(self, connection: Any, reason: int, loop: asyncio.AbstractEventLoop) -> None:
        _tell(loop, self._lose, f"the connection was closed (reason {reason})", connection)

    def _lose(self, trouble: str, connection: Any = None) -> None:
        if connection is None or connection is self._connection:
            self._trouble = trouble
            self._lost.set()


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended before this thread
        loop.call_soon_threadsafe(function, *args)


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _close(connection: Any) -> None:
    with contextlib.suppress(libvirt.libvirtError):
        connection.close()


def _message(error: BaseException) -> str:
    return str(error.get_error_message() or error) if isinstance(error, libvirt.libvirtError) else str(error)
