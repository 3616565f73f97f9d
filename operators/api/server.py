"""HTTP: `/client/api` by GET and POST, in JSON and XML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

from aiohttp import web

from operators.api import peers, wire
from operators.api.dispatch import Dispatcher, Reply, Request
from operators.api.doors import Doors

PATH = "/client/api"
COOKIE, KEY_COOKIE = "JSESSIONID", "sessionkey"
LARGEST = 2 * 2**20
"""Bytes of a request's body: user data has its place in it."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MOST_FIELDS = 2000
FORM = "application/x-www-form-urlencoded"


def application(dispatcher: Dispatcher, doors: Doors) -> web.Application:
    """The HTTP application."""

    async def handle(request: web.Request) -> web.Response:
        asked = await _asked(request)
        if asked is None:
            return web.Response(status=400, text="the request's parameters cannot be read\n")
        reply = await dispatcher.answer(asked)
        return _response(reply, asked.value("response").lower() == "json", doors)

    app = web.Application(client_max_size=LARGEST)
    app.add_routes([web.get(PATH, handle), web.post(PATH, handle), web.post(peers.PATH, dispatcher.peers.heard)])
    return app


def integration(dispatcher: Dispatcher, doors: Doors) -> web.Application:
    """The same for test tools on this very machine, who need not prove who they are, by any path.

    Pages that a browser of it shows are strangers: their requests name another host, or where they are from."""

    async def handle(request: web.Request) -> web.Response:
        if request.url.host not in LOOPBACK or "Origin" in request.headers:
            return web.Response(status=403, text="the integration port is for programs of this machine\n")
        asked = await _asked(request)
        if asked is None:
            return web.Response(status=400, text="the request's parameters cannot be read\n")
        reply = await dispatcher.answer(replace(asked, trusted=True))
        return _response(reply, asked.value("response").lower() == "json", doors)

    app = web.Application(client_max_size=LARGEST)
    app.add_routes([web.get("/{path:.*}", handle), web.post("/{path:.*}", handle)])
    return app


async def _asked(request: web.Request) -> Request | None:
    """The parameters of the address and the form together; the last of repeated names wins. None for nonsense."""
    texts = [request.raw_path.partition("?")[2]]
    if request.method == "POST" and request.content_type == FORM:
        texts.append((await request.read()).decode(errors="replace"))
    params: dict[str, str] = {}
    try:
        for text in texts:
            params |= dict(parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS))
    except ValueError:
        return None
    return Request(params, request.cookies.get(COOKIE, ""), request.method == "POST")


def _response(reply: Reply, json: bool, doors: Doors) -> web.Response:
    body = wire.json_body(reply.key, reply.content) if json else wire.xml_body(reply.key, reply.content)
    response = web.Response(body=body, status=reply.status, headers=_headers(reply, json))
    if reply.begun is not None:
        response.set_cookie(COOKIE, doors.cookie(reply.begun), path="/client", httponly=True, samesite="Lax")
        response.set_cookie(KEY_COOKIE, doors.session_key(reply.begun), path="/", httponly=True, samesite="Lax")
    if reply.ended:
        response.del_cookie(COOKIE, path="/client")
        response.del_cookie(KEY_COOKIE, path="/")
    return response


def _headers(reply: Reply, json: bool) -> Mapping[str, str]:
    headers = {
        "Content-Type": wire.JSON_TYPE if json else wire.XML_TYPE,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    if reply.description:
        # What a caller sent may be quoted in it, line breaks and all.
        line = " ".join(reply.description.split())[:1024]
        headers["X-Description"] = "".join(char if " " <= char <= "~" else "?" for char in line)
    return headers
