"""Upload as a component: what it watches, its controller, and the two servers that run beside.

It has one replica, for the files are on its volume, and no leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from operators.contract.meta import Key, Kind
from operators.contract.quantity import Quantity
from operators.contract.reasons import Type
from operators.contract.storage import IMAGE, VOLUME
from operators.contract.uploads import IMAGE_UPLOAD, ImageUploadStatus, image_url
from operators.kernel import Blocked, Done, Outcome, Rejected, Report, health
from operators.kernel.clock import parse_stamp, stamp
from operators.kernel.component import Component, shared
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context
from operators.kernel.report import Voice
from operators.upload import server
from operators.upload.files import Files
from operators.upload.model import Action, Finish, Remove, Seen, State, Upload
from operators.upload.plan import ALL, expiry, plan, received

log = structlog.get_logger()

NAME = "upload"
FOLDER = "UPLOAD_FOLDER"
"""Environment: where the files are; `/uploads` by default."""
PORT = "UPLOAD_PORT"
"""Environment: the port for clients; 8000 by default, a free one for 0."""
IMAGES_PORT = "IMAGES_PORT"
"""Environment: the port for storage agents; 8081 by default, a free one for 0."""
IMAGES_URL = "IMAGES_URL"
"""Environment, and needed: where storage agents reach that port, `http://…` without a path."""
LIMIT = "IMAGE_MAX_DOWNLOAD"
"""Environment: the largest file, as for storage agents; 20Gi by default."""
BY_URL = "url"


class Uploads:
    """Keyed by ImageUpload: has its file checked, says how it stands, and sees to its end."""

    name = "uploads"
    kind = IMAGE_UPLOAD
    workers = 4
    voice = Voice(Type.READY)

    def __init__(self, context: Context, files: Files) -> None:
        self._context = context
        self._cache = context.cache
        self._files = files
        self._limit = Quantity.parse(context.env.get(LIMIT) or "20Gi")
        self._base = context.env[IMAGES_URL].rstrip("/")
        self.gone = asyncio.Event()
        """Set when files may have been left behind."""
        self._cache.index(IMAGE, BY_URL, lambda image: (image.spec.url,))
        self._cache.index(VOLUME, BY_URL, lambda volume: (volume.spec.source.url,) if volume.spec.source.url else ())
        self._cache.index(IMAGE_UPLOAD, BY_URL, lambda upload: (self.url(upload),))

    def url(self, upload: Upload) -> str:
        """Where storage agents fetch its file."""
        return image_url(self._base, upload.meta.uid)

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """An ImageUpload, and what names its url."""
        return {
            IMAGE_UPLOAD: lambda upload: (upload.key,),
            IMAGE: lambda image: self._fetched_from(image.spec.url),
            VOLUME: lambda volume: self._fetched_from(volume.spec.source.url),
        }

    def _fetched_from(self, url: str) -> Iterable[Key]:
        return [upload.key for upload in self._cache.by(IMAGE_UPLOAD, BY_URL, url)] if url else ()

    async def observe(self, key: Key) -> tuple[Upload, Seen] | None:
        """The ImageUpload, its file, and who needs that."""
        upload = self._cache.get(IMAGE_UPLOAD, key)
        if upload is None:
            self.gone.set()
            return None
        return upload, self.seen(upload)

    def seen(self, upload: Upload) -> Seen:
        """How it stands."""
        made = (each for kind in (IMAGE, VOLUME) for each in self._cache.by(kind, BY_URL, self.url(upload)))
        users = (f"{each.kind.kind} {each.meta.name}" for each in made if each.meta.namespace == upload.meta.namespace)
        return Seen(
            now=self._context.clock.now(),
            created=parse_stamp(upload.meta.creation_timestamp),
            limit=self._limit,
            file=self._files.staged(upload.meta.uid),
            images=tuple(sorted(users)),
        )

    def plan(self, upload: Upload, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        """See `plan`."""
        return plan(upload, seen)

    async def act(self, action: Action) -> None:
        """Check a file, or let it go: the object first, so that no byte comes after."""
        upload = action.upload
        match action:
            case Finish():
                async with self._files.alone(upload.meta.uid, wait=True):
                    await asyncio.to_thread(self._files.finish, upload.meta.uid, upload.spec.size, upload.spec.sha256)
                self.wake(upload.key)
            case Remove():
                await self._context.store.delete(IMAGE_UPLOAD, upload.key, uid=upload.meta.uid)
                self.gone.set()

    def report(self, upload: Upload, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """The status of the ImageUpload."""
        file = seen.file
        whole = file is not None and file.state is State.WHOLE
        fields = ImageUploadStatus(
            phase=_phase(outcome),
            received=_received(upload, seen),
            url=self.url(upload) if whole or (seen.images and not upload.spec.form) else "",
            expires="" if seen.images else stamp(expiry(seen)),
        )
        return (Report(upload, fields),)

    async def whole(self, upload: Upload, size: int) -> Seen:
        """See `Desk`; its caller is the only one that writes the file."""
        await asyncio.to_thread(self._files.finish, upload.meta.uid, size, upload.spec.sha256)
        self.wake(upload.key)
        return self.seen(upload)

    async def find(self, key: Key) -> Upload | None:
        """See `Desk`."""
        found = self._cache.get(IMAGE_UPLOAD, key)
        if found is None and (body := await self._context.store.get(IMAGE_UPLOAD, key)) is not None:
            return IMAGE_UPLOAD.parse(body)
        return found

    def wake(self, key: Key) -> None:
        """See `Desk`."""
        self._context.poke(self.name, key)

    async def sweep(self) -> None:
        """Remove the files whose ImageUploads are gone, now and whenever one goes."""
        await self._context.synced.wait()
        while True:
            self.gone.clear()
            known = {upload.meta.uid for upload in self._cache.all(IMAGE_UPLOAD)}
            for uid in await asyncio.to_thread(self._files.orphans, known):
                if any(upload.meta.uid == uid for upload in self._cache.all(IMAGE_UPLOAD)):
                    continue  # it came meanwhile
                async with self._files.alone(uid, wait=True):
                    await asyncio.to_thread(self._files.remove, uid)
                log.info("file_removed", uid=uid)
            await self.gone.wait()


def _received(upload: Upload, seen: Seen) -> int:
    """Percent; of a form, all or nothing, and what was there once stays said."""
    if not upload.spec.form:
        return received(upload, seen.file.size) if seen.file is not None else 0
    whole = seen.file is not None and seen.file.state is State.WHOLE
    return ALL if whole else upload.status.received


def _phase(outcome: Outcome) -> str:
    match outcome:
        case Done():
            return "Ready"
        case Rejected() | Blocked():
            return "Failed"
        case _:
            return "Uploading"


class Replica:
    """The parts of the process, wired together."""

    def __init__(self, context: Context) -> None:
        self._env = context.env
        self.files = Files(context.env.get(FOLDER) or "/uploads")
        self.uploads = Uploads(context, self.files)
        self.port = self.images_port = 0
        """For clients and for storage agents, once it serves."""

    async def serve(self) -> None:
        """Serve clients and agents until the process ends."""
        ports = int(self._env.get(PORT) or "8000"), int(self._env.get(IMAGES_PORT) or "8081")
        clients = server.clients(self.uploads, self.files)
        async with (
            health.served(server.agents(self.files), ports[1]) as self.images_port,
            health.served(clients, ports[0]) as self.port,
        ):
            log.info("serving", port=self.port, images=self.images_port)
            await asyncio.Event().wait()


replica = shared(Replica)


def _build(context: Context) -> Sequence[AnyController]:
    return (replica(context).uploads,)


def _background(context: Context) -> Sequence[Awaitable[None]]:
    return replica(context).serve(), replica(context).uploads.sweep()


COMPONENT = Component(
    name=NAME,
    watches=lambda env: [Watch(IMAGE_UPLOAD), Watch(IMAGE), Watch(VOLUME)],
    build=_build,
    background=_background,
    leads=False,
)
