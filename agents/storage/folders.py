"""Files beneath a pool, opened step by step so that no link planted in a pool leads out of it.

Every folder is opened relative to the one above it and without following links; what is opened is then used by its
descriptor. The functions block, so they run in threads (`off_loop`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from agents.storage import formats

P = ParamSpec("P")
T = TypeVar("T")

ANSWER = 30.0
"""Seconds within which a pool's file system must answer; one on a lost network may hang for ever."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPEC_PATH = re.compile(r"(?=volumes/|.*\.qcow2$)(volumes|images|snapshots)/([0-9A-Za-z-]{1,64}\.(?:qcow2|raw))")
"""Only Volumes may be raw."""


_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")


class PoolOffline(Exception):
    """The pool cannot be used at present; the text says why and what to do."""


class Unmarked(PoolOffline):
    """The folder is there, but nothing says that it is the pool's."""


class Missing(Exception):
    """The pool is fine, but its folder has not been made yet, so there is no file in it either."""


class Strange(Exception):
    """There is something else where our file should be; it is left alone."""


@dataclass(frozen=True, slots=True)
class PoolFolder:
    """Where a pool is on this host."""

    name: str
    root: str
    """The agents' pool root; links on the way to it are the administrator's."""
    path: str
    """Absolute; must be beneath the root."""
    makes: bool
    """Whether the folder is made when it is missing. Never for a shared one: an empty folder would stand in for a
    file system that is not mounted."""
    uid: str = ""
    """Of its StoragePool."""
    type: str = "Directory"
    marks: bool = False
    """Whether it is for us to mark a folder that is not marked yet."""
    check: Callable[..., None] | None = None
    """Sees that the open folder is the pool's; see `marks`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one file of ours is: in one of the folders of a pool."""

    pool: PoolFolder
    folder: str
    file: str
    said: str = ""
    """Its format, where the name does not tell."""

    @property
    def form(self) -> str:
        """The format of the disk that is here."""
        return self.said or formats.of(self.file)

    @classmethod
    def at(cls, pool: PoolFolder, path: str) -> Place:
        """The place of a `spec.path`. Raises Strange when it has not the shape that Storage gives it."""
        match = _SPEC_PATH.fullmatch(path)
        if match is None:
            raise Strange(f"the path {path!r} is not of the form volumes/<uid>.qcow2 (or .raw; images/, snapshots/)")
        return cls(pool, match[1], match[2])

    @classmethod
    def to_adopt(cls, pool: PoolFolder, file: str) -> Place:
        """The place of a file that the operator of the cloud put there. Raises Strange when it is no plain name."""
        if not _PLAIN.fullmatch(file):
            raise Strange(f"the name {file!r} is none of a file in the folder adopt")
        return cls(pool, "adopt", file)

    @property
    def absolute(self) -> str:
        """The path on the host, for the hypervisor."""
        return f"{self.pool.path}/{self.folder}/{self.file}"


async def off_loop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread. Raises PoolOffline when the file system does not answer."""
    try:
        async with asyncio.timeout(ANSWER):  # wait_for of Python 3.11 may swallow a cancellation
            return await asyncio.to_thread(function, *args, **kwargs)
    except TimeoutError:
        raise PoolOffline(f"the file system has not answered for {ANSWER:.0f} s; see whether it is mounted") from None


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function that uses descriptors of its caller, and outlast it even when cancelled.

    Were they closed meanwhile, their numbers could be another file's by the time the thread writes."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


@contextlib.contextmanager
def pool_folder(pool: PoolFolder, *, make: bool) -> Iterator[int]:
    """A descriptor of the pool's folder. Raises PoolOffline, and Missing where `make` would have made it."""
    steps = pool.path.removeprefix(f"{pool.root}/").split("/")
    if not pool.path.startswith(f"{pool.root}/") or any(step in ("", ".", "..") for step in steps):
        raise PoolOffline(f"its path {pool.path} is not beneath {pool.root}; make a StoragePool whose path is")
    try:
        here = os.open(pool.root, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise PoolOffline(f"the pool root {pool.root} cannot be opened: {error.strerror}") from error
    try:
        for step in steps:
            above, here = here, _down(here, step, make=make and pool.makes)
            os.close(above)
        if pool.check is not None:
            pool.check(here, pool, make=make)
        yield here
    except FileNotFoundError as error:
        if pool.makes:
            raise Missing from error
        raise PoolOffline(f"{pool.path} is not there; mount the shared folder on this host, or make it") from error
    finally:
        os.close(here)


@contextlib.contextmanager
def inner_folder(place: Place, *, make: bool) -> Iterator[int]:
    """A descriptor of the folder that a file is in. Raises PoolOffline, and Missing where `make` would have made it."""
    with pool_folder(place.pool, make=make) as pool:
        try:
            here = _down(pool, place.folder, make=make)
        except FileNotFoundError as error:
            raise Missing from error
        try:
            yield here
        finally:
            os.close(here)


def _down(above: int, step: str, *, make: bool) -> int:
    """Open a folder inside another. Raises PoolOffline and FileNotFoundError."""
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(step, 0o755, dir_fd=above)
        return os.open(step, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        raise
    except OSError as error:
        why = error.strerror
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            why = "it is a link or a file, not a folder"
        raise PoolOffline(f"its folder {step} cannot be opened: {why}") from error


def open_file(folder: int, file: str, flags: int = os.O_RDONLY) -> int | None:
    """Open a regular file, None when there is nothing. Raises Strange for anything else, a link above all."""
    try:
        fd = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise Strange(f"{file} is not a regular file") from error
        raise PoolOffline(f"{file} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Strange(f"{file} is not a regular file")
    return fd


def take(origin: Place, place: Place, fd: int, mode: int) -> None:
    """Give the open file another place in the pool. Raises Strange when what has its name is no longer that file."""
    with inner_folder(origin, make=False) as source, inner_folder(place, make=True) as target:
        named, open_ = os.stat(origin.file, dir_fd=source, follow_symlinks=False), os.fstat(fd)
        if (named.st_dev, named.st_ino) != (open_.st_dev, open_.st_ino):
            raise Strange(f"{origin.file} was changed while it was looked at")
        os.fchown(fd, 0, 0)
        os.fchmod(fd, mode)
        os.fsync(fd)
        os.rename(origin.file, place.file, src_dir_fd=source, dst_dir_fd=target)
        os.fsync(target)
        os.fsync(source)


def remove(place: Place, *files: str) -> None:
    """Unlink files of the place's folder (a link is unlinked itself) and make that last. Missing is fine."""
    with contextlib.suppress(Missing), inner_folder(place, make=False) as folder:
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file, dir_fd=folder)
        os.fsync(folder)


class Draft:
    """A file in the making, under a temporary name that holds the uid of the object which it is for.

    Only `publish` gives it its own name, so that whatever has that name is whole. A draft of the same uid that a
    killed agent left is continued or thrown away, as `keep` says.
    """

    def __init__(self, place: Place, temporary: str, *, keep: bool = False) -> None:
        self._place = place
        self._temporary = temporary
        with inner_folder(place, make=True) as folder:
            self._folder = os.dup(folder)
        try:
            self.fd = self._open(keep)
        except BaseException:
            os.close(self._folder)
            raise

    def _open(self, keep: bool) -> int:
        fd = open_file(self._folder, self._temporary, os.O_RDWR) if keep else None
        if fd is not None:
            return fd
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=self._folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._temporary, flags, 0o600, dir_fd=self._folder)

    def publish(self, mode: int) -> None:
        """Give it its name, for good: data, name and folder are on the disk when this returns."""
        os.fchmod(self.fd, mode)
        os.fsync(self.fd)
        os.rename(self._temporary, self._place.file, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)

    def discard(self) -> None:
        """Throw it away."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary, dir_fd=self._folder)

    def close(self) -> None:
        """Close what is open; an unpublished draft stays for the next attempt."""
        os.close(self.fd)
        os.close(self._folder)
