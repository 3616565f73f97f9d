"""HTTP: endpoints behind the cluster's own authentication and authorisation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import orjson
import structlog
from aiohttp import web

from operators.data.history.database import Away
from operators.data.rest.declare import BadRequest, Endpoint, NoSuchThing, described, parsed

log = structlog.get_logger()

Judge: TypeAlias = Callable[[str, str, str], Awaitable[int]]
"""Of a bearer token, a verb and a path: 200, 401 or 403."""
Ready: TypeAlias = Callable[[], bool]


def application(endpoints: tuple[Endpoint, ...], judge: Judge, ready: Ready, version: str) -> web.Application:
    """The HTTP application."""
    app = web.Application()
    document = orjson.dumps(described(endpoints, version))

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    app.router.add_get("/openapi.json", openapi)
    for endpoint in endpoints:
        app.router.add_route(endpoint.method, endpoint.path, _handler(endpoint, judge, ready))
    return app


def _handler(endpoint: Endpoint, judge: Judge, ready: Ready) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        verdict = await judge(token, endpoint.method.lower(), request.path)
        if verdict != 200:
            text = "this token may not read here" if verdict == 403 else "a valid bearer token is needed"
            return _json({"error": text}, verdict)
        if not ready():
            return _json({"error": "the first lists are not complete: try again in a moment"}, 503)
        try:
            values = {**parsed(endpoint.params, dict(request.query)), **request.match_info}
            return _json(await endpoint.run(values), 200)
        except BadRequest as error:
            return _json({"error": str(error)}, 400)
        except NoSuchThing as error:
            return _json({"error": str(error)}, 404)
        except Away as error:
            log.warning("database_away", error=str(error))
            return _json({"error": "the database cannot be asked now: try again in a moment"}, 503)

    return handle


def _json(content: Any, status: int) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
