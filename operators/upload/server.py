"""HTTP, on two ports: tus's HEAD and PATCH of `/uploads/NAMESPACE/NAME` for clients, `/images/UID` for storage agents.

Where an ImageUpload says so, the file comes as a form by POST in place of them (`forms.py`).

Whoever may use the API server may ask through its proxy: what opens an upload is its token, as with consoles.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import format_datetime

import structlog
from aiohttp import web

from operators.contract.meta import Key
from operators.contract.quantity import Quantity
from operators.contract.uploads import CONTENT_TYPE, OFFSET_HEADER, SIGNATURE_HEADER, TOKEN_HEADER, TUS
from operators.kernel.store import StoreError
from operators.upload import forms
from operators.upload.desk import IDLE, SLOWEST, Desk, Refused
from operators.upload.files import CHUNK, Busy, Files
from operators.upload.model import Seen, State, Upload
from operators.upload.plan import expiry, matches, received, refusal

log = structlog.get_logger()

MOST = 32
"""Requests that bring bytes at a time."""
NOBODY = "there is no such upload, or the token is not its own"
HEADERS = {
    "Tus-Resumable": TUS,
    "Cache-Control": "no-store",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "x-signature, x-metadata, x-expires, content-type",
}
"""The last three let a browser post a form that a page of the cloud's own, at another address, has it post."""
_UID = r"{uid:[0-9a-f-]{36}}"


def clients(desk: Desk, files: Files) -> web.Application:
    """What clients reach, mostly through the API server's proxy."""
    taking = asyncio.Semaphore(MOST)

    async def head(request: web.Request) -> web.StreamResponse:
        upload = await _entitled(desk, request)
        seen = desk.seen(upload)
        if seen.file is not None and seen.file.state is State.WRONG:
            raise Refused(409, "another file came")
        offset = seen.file.size if seen.file is not None else 0
        return web.Response(headers=_told(upload, seen, offset) | {"Upload-Length": str(upload.spec.size)})

    async def patch(request: web.Request) -> web.StreamResponse:
        upload = await _entitled(desk, request)
        if upload.spec.form:
            raise Refused(405, "this file comes as a form, by POST")
        async with _place_for(upload):
            offset = await _take(desk, files, upload, request)
        return web.Response(status=204, headers=_told(upload, desk.seen(upload), offset))

    async def post(request: web.Request) -> web.StreamResponse:
        upload = await _entitled(desk, request)
        if not upload.spec.form:
            raise Refused(405, "this file comes by PATCH, as tus has it")
        async with _place_for(upload):
            await forms.take(desk, files, upload, request)
        return web.Response(text="it is there\n", headers=HEADERS)

    @asynccontextmanager
    async def _place_for(upload: Upload) -> AsyncIterator[None]:
        """Nobody else brings bytes of it, and not too many do of others."""
        if taking.locked():
            raise Refused(503, "too many uploads are going on here: try again in a while")
        try:
            async with taking, files.alone(upload.meta.uid):
                yield
        except Busy as error:
            raise Refused(423, "another request brings bytes of this file: wait for its end") from error

    app = web.Application(middlewares=[_plainly])
    app.router.add_route("POST", "/uploads/{namespace}/{name}", post)
    app.router.add_route("OPTIONS", "/uploads/{namespace}/{name}", _may_post)
    app.router.add_route("HEAD", "/uploads/{namespace}/{name}", head)
    app.router.add_route("PATCH", "/uploads/{namespace}/{name}", patch)
    return app


def agents(files: Files) -> web.Application:
    """What storage agents fetch: whole files only, by a name that cannot be guessed, with ranges for a resumption."""

    async def image(request: web.Request) -> web.StreamResponse:
        path = files.path(request.match_info["uid"], State.WHOLE)
        if not path.is_file():
            return web.Response(status=404, text="there is no such file, or it is not whole\n")
        return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})

    app = web.Application()
    app.add_routes([web.get(f"/images/{_UID}", image)])
    return app


async def _entitled(desk: Desk, request: web.Request) -> Upload:
    """The ImageUpload whose token came along. Raises Refused, alike for what is not there and what is not theirs."""
    key = Key(request.match_info["namespace"], request.match_info["name"])
    upload = await desk.find(key)
    token = request.headers.get(TOKEN_HEADER, "") or request.headers.get(SIGNATURE_HEADER, "")
    if upload is None or not matches(upload, token):
        raise Refused(403, NOBODY)
    if (version := request.headers.get("Tus-Resumable", TUS)) != TUS:
        raise Refused(412, f"this is tus {TUS}, not {version[:20]}")
    return upload


async def _take(desk: Desk, files: Files, upload: Upload, request: web.Request) -> int:
    """Take the bytes of one request; where the next ones go. What came of a request that broke off stays."""
    at, coming = _place(desk.seen(upload), files, upload, request)
    before, uid = received(upload, at), upload.meta.uid
    try:
        async with asyncio.timeout(IDLE + coming / SLOWEST):
            while coming and (data := await request.content.read(min(CHUNK, coming))):
                await asyncio.to_thread(files.append, uid, at, data)
                at, coming = at + len(data), coming - len(data)
    except TimeoutError as error:
        raise Refused(408, "the bytes come too slowly; what came of them stays") from error
    except ConnectionError as error:
        raise Refused(400, "the request broke off") from error  # nobody reads this
    except OSError as error:
        log.warning("not_written", upload=str(upload.key), error=str(error))
        raise Refused(507, "Upload's volume cannot take it; go on in a while") from error
    finally:
        await asyncio.to_thread(files.sync, uid)
        if received(upload, at) != before or at >= upload.spec.size:
            desk.wake(upload.key)
    return at


def _place(seen: Seen, files: Files, upload: Upload, request: web.Request) -> tuple[int, int]:
    """Where the bytes of a request go, and how many they are. Raises Refused."""
    if why := refusal(upload, seen):
        raise Refused(*why)
    at, coming = seen.file.size if seen.file is not None else 0, _announced(request)
    if request.headers.get(OFFSET_HEADER, "") != str(at):
        raise Refused(409, f"{at} bytes are here, and the next ones go there: ask by HEAD")
    if at + coming > upload.spec.size:
        raise Refused(413, f"the file was to have {upload.spec.size} bytes, and would have {at + coming}")
    if (missing := upload.spec.size - at) > (room := files.room()):
        sizes = Quantity(missing), Quantity(max(0, room))
        raise Refused(507, f"{sizes[0]} are to come, and Upload's volume has room for {sizes[1]}")
    return at, coming


def _announced(request: web.Request) -> int:
    """How many bytes a request says it brings. Raises Refused."""
    if request.content_type != CONTENT_TYPE:
        raise Refused(415, f"bytes come as {CONTENT_TYPE}")
    if request.content_length is None:
        raise Refused(411, "say by Content-Length how many bytes come")
    return request.content_length


def _told(upload: Upload, seen: Seen, offset: int) -> dict[str, str]:
    return HEADERS | {OFFSET_HEADER: str(offset), "Upload-Expires": format_datetime(expiry(seen), usegmt=True)}


async def _may_post(request: web.Request) -> web.StreamResponse:
    """What a browser asks before it posts for a page of another address; there are no cookies that it could abuse."""
    return web.Response(status=204, headers=HEADERS)


@web.middleware
async def _plainly(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A refusal is an answer."""
    try:
        return await handler(request)
    except Refused as refused:
        return web.Response(status=refused.status, text=f"{refused.message}\n", headers=HEADERS)
    except StoreError as error:
        return web.Response(status=503, text=f"the API server does not answer: {error}\n", headers=HEADERS)
