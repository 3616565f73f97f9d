"""What the kubelet and Prometheus ask a process: /healthz, /readyz and /metrics."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str]
"""Says what is wrong; "" when nothing is."""

MISSED_ROUNDS = 2
"""Resyncs in a row that found what the watches had not told: the watch is dead, and only a new process mends it."""


def application(alive: Check, ready: Check) -> web.Application:
    """The three pages. That one of them answers at all shows that the event loop turns."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(alive() or ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


@contextlib.asynccontextmanager
async def served(
    app: web.Application,
    port: int,
    host: str = "0.0.0.0",  # noqa: S104 - probes
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port, which is a free one when 0 was asked for. Raises OSError if taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(trouble: str) -> web.Response:
    return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)
