"""Runs qemu-img: a few at a time, never without a deadline, and on untrusted files within limits."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.storage.formats import QCOW2, Layout
from operators.contract.reasons import Reason
from operators.kernel import Problem, Retry

PARALLEL = 4
"""Processes at a time; more only wait for the same disk."""
COPIES = 2
"""Copies of whole disks among them, so that others need not wait for those."""
COPY = 24 * 3600.0
"""Seconds that one may take."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run on an untrusted file may use, as OpenStack limits it since CVE-2015-5162."""

    memory: int = 1 << 30
    cpu: int = 30
    """Seconds."""
    output: int = 0
    """Bytes that a file may grow to."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """The command that imposes them; forking to impose them ourselves would cost a copy of our page tables."""
        return ("prlimit", f"--as={self.memory}", f"--cpu={self.cpu}", "--core=0", f"--fsize={self.output}", "--")


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a disk."""

    start: int
    length: int
    data: bool
    """Whether there is anything but zeros."""
    offset: int
    """Where in the file."""

    @property
    def end(self) -> int:
        """Where the next one starts."""
        return self.start + self.length


class QemuImgError(Exception):
    """qemu-img failed; the text is what it said."""

    @property
    def locked(self) -> bool:
        """Whether another QEMU process has the file open."""
        return " lock" in str(self)


class QemuImg:
    """The one gate to qemu-img of this process."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(PARALLEL)
        self._copies = asyncio.Semaphore(COPIES)

    async def create(self, fd: int, size: int, backing: str = "", layout: Layout = QCOW2) -> None:
        """Make the open, empty file a disk. The backing file is only noted (`-u`): the caller has checked it."""
        base = ("-u", "-F", "qcow2", "-b", backing) if backing else ()
        more = (*base, *layout.options)
        await self._run("create", "-q", "-f", layout.form, *more, _path(fd), str(int(size)), fds=(fd,))

    async def resize(self, fd: int, size: int, layout: Layout = QCOW2) -> None:
        """Grow the open disk. The file behind it is not opened, so nothing in it can lead anywhere."""
        await self._run("resize", "-q", *layout.growth, layered((fd,), layout.form), str(int(size)), fds=(fd,))

    async def info(self, fd: int, form: str, limits: Limits) -> dict[str, Any]:
        """What qemu-img says of an untrusted file."""
        out = await self._run("info", "--output=json", "-f", form, _path(fd), fds=(fd,), limits=limits)
        found = json.loads(out)
        if not isinstance(found, dict):
            raise QemuImgError("qemu-img info gave no object")
        return found

    async def convert(self, source: int, target: int, limits: Limits, form: str = "raw") -> None:
        """Copy an untrusted file of another format into a qcow2 one. The caller has looked at its header."""
        paths = (_path(source), _path(target))
        arguments = ("convert", "-f", form, "-O", "qcow2", *paths)
        await self._run(*arguments, fds=(source, target), limits=limits, timeout=3600)

    async def copy(self, layers: Sequence[int], target: int, form: str = "qcow2", layout: Layout = QCOW2) -> None:
        """Copy a disk, given by its open file and those behind it, into an open, empty file as a disk of its own.

        Raises QemuImgError that is `locked` while a guest runs on it."""
        async with self._copies:
            arguments = ("convert", "-O", layout.form, *layout.options, layered(layers, form), _path(target))
            await self._run(*arguments, fds=(*layers, target), timeout=COPY)

    async def compare(self, layers: Sequence[int], copy: int, form: str = "qcow2") -> None:
        """Raise QemuImgError unless an open disk that stands on its own holds what another one of its format does."""
        async with self._copies:
            try:
                both = layered(layers, form), layered((copy,), form)
                await self._run("compare", "-q", *both, fds=(*layers, copy), timeout=COPY)
            except QemuImgError as error:
                raise QemuImgError(f"the copy is not like what it was made from: {error}") from error

    async def extents(self, fd: int) -> list[Extent]:
        """Where the data of an open disk that stands on its own is in its file."""
        out = await self._run("map", "--output=json", "-f", "qcow2", _path(fd), fds=(fd,), timeout=600)
        found = [
            Extent(each["start"], each["length"], each["data"] and not each["zero"], each.get("offset", -1))
            for each in json.loads(out)
        ]
        if any(each.data and each.offset < 0 for each in found):
            raise QemuImgError("qemu-img map: its data is compressed, and so is none of ours")
        return found

    async def _run(
        self, *arguments: str, fds: tuple[int, ...], limits: Limits | None = None, timeout: float = 60
    ) -> bytes:
        command = (*(limits.prefix if limits else ()), "qemu-img", *arguments)
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=fds,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            )
            try:
                async with asyncio.timeout(timeout):  # wait_for of Python 3.11 may swallow a cancellation
                    out, err = await process.communicate()
            except TimeoutError:
                raise QemuImgError(f"qemu-img {arguments[0]} took longer than {timeout:.0f} s") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode != 0:
            said = err.decode(errors="replace").strip()[-500:] or f"ended with {process.returncode}"
            raise QemuImgError(f"qemu-img {arguments[0]}: {said}")
        return out


def trouble(error: QemuImgError | OSError, pool: str) -> Problem:
    """The outcome that a failed attempt at a file becomes."""
    text = str(error)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return Problem(Retry(Reason.POOL_FULL, f"pool {pool} is full; free space or add a pool", after=30))
    return Problem(Retry(Reason.STORAGE_ERROR, text, after=30))


def _path(fd: int) -> str:
    """An open file by its descriptor: whatever its name leads to by now."""
    return f"/proc/self/fd/{fd}"


def layered(layers: Sequence[int], form: str = "qcow2") -> str:
    """A disk by the descriptors of its file and of those behind it: no name in them is followed."""
    spec: dict[str, Any] | None = None
    for fd in reversed(layers):
        behind = {"backing": spec} if form == "qcow2" else {}
        spec = {"driver": form, "file": {"driver": "file", "filename": _path(fd)}, **behind}
    return f"json:{json.dumps(spec)}"
