"""A file that comes as a form, the way CloudStack's own clients post one: all at once, and of a size that nobody said.

It is there when the form ends as forms end. One that broke off is thrown away, for the next one begins anew.
"""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import BodyPartReader, web
from aiohttp.client_exceptions import ClientPayloadError

from operators.contract.quantity import Quantity
from operators.upload.desk import IDLE, SLOWEST, Desk, Refused
from operators.upload.files import CHUNK, Files
from operators.upload.model import State, Upload
from operators.upload.plan import WRONG, refusal

log = structlog.get_logger()

BROKEN = "the form broke off, or is none: post the file again"


async def take(desk: Desk, files: Files, upload: Upload, request: web.Request) -> None:
    """Take the first file of a form. Raises Refused."""
    if why := refusal(upload, desk.seen(upload)):
        raise Refused(*why)
    uid, coming = upload.meta.uid, request.content_length
    if coming is None:
        raise Refused(411, "say by Content-Length how many bytes come")
    if coming > (room := files.room()):
        sizes = Quantity(coming), Quantity(max(0, room))
        raise Refused(507, f"{sizes[0]} are to come, and Upload's volume has room for {sizes[1]}")
    await asyncio.to_thread(files.restart, uid)
    try:
        async with asyncio.timeout(IDLE + coming / SLOWEST):
            size = await _file(files, upload, request, min(upload.spec.size, desk.seen(upload).limit))
    except TimeoutError as error:
        raise Refused(408, "the bytes come too slowly") from error
    except (ValueError, ConnectionError, ClientPayloadError) as error:
        raise Refused(400, BROKEN) from error
    except OSError as error:
        log.warning("not_written", upload=str(upload.key), error=str(error))
        raise Refused(507, "Upload's volume cannot take it; post it again in a while") from error
    seen = await desk.whole(upload, size)
    if seen.file is None or seen.file.state is not State.WHOLE:
        raise Refused(409, WRONG)


async def _file(files: Files, upload: Upload, request: web.Request, most: int) -> int:
    """Write the form's first file, and read to the form's end; its size. Raises ValueError for what is no form."""
    if not request.content_type.startswith("multipart/"):
        raise Refused(415, "the file comes as multipart/form-data")
    form, size = await request.multipart(), -1
    while (part := await form.next()) is not None:
        if isinstance(part, BodyPartReader) and part.filename is not None and size < 0:
            size = await _write(files, upload, part, most)
    if size < 0:
        raise Refused(400, "there is no file in the form")
    await asyncio.to_thread(files.sync, upload.meta.uid)
    return size


async def _write(files: Files, upload: Upload, part: BodyPartReader, most: int) -> int:
    at = 0
    while data := await part.read_chunk(CHUNK):
        if at + len(data) > most:
            raise Refused(413, f"the file has more than {Quantity(most)}")
        await asyncio.to_thread(files.append, upload.meta.uid, at, bytes(data))
        at += len(data)
    if not part.at_eof():
        raise ValueError(BROKEN)
    return at
