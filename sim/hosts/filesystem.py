"""A host's file system in memory, behind the few calls of `os` that the storage agent makes.

Files have a state that the kernel shows and one that would survive a loss of power: what was not synced is lost, and so
is a name in a folder that was not synced. Locks are those that a running QEMU holds.
"""

from __future__ import annotations

import errno
import os as real
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from sim.loop import ACTOR, Actor

CAPACITY = 1 << 40
BLOCK = 4096
SPARSE = 1 << 20
"""Bytes from which on a hole in a file is only reckoned with, and not kept."""
MARK_AT, MARK = 1024, struct.Struct(">4sd")
"""Where a disk's file tells of which moment its content is: all that is kept here of what guests write."""
WRITTEN = b"made"


@dataclass(eq=False)
class Node:
    """A file or folder."""

    folder: bool = False
    mode: int = 0o755
    data: bytes = b""
    entries: dict[str, Node] = field(default_factory=dict)
    safe_data: bytes = b""
    safe_entries: dict[str, Node] = field(default_factory=dict)
    size: int = 0
    """Bytes that the file would take, beside the few that it holds here."""
    guards: set[tuple[int, int]] = field(default_factory=set)
    """Descriptors, by their host, through which a lock is held that keeps QEMU from writing."""
    copied: float = 0.0
    """When it was copied from another disk, if it was."""

    @property
    def written(self) -> float:
        """The moment of which a disk's content is: until when a guest wrote to it, or to what it is a copy of."""
        return moment_of(self.data)

    def write(self, moment: float) -> None:
        """A guest writes to a disk, and is told that it is safe."""
        self.data = marked(self.data, moment)
        if self.safe_data:
            self.safe_data = marked(self.safe_data, moment)

    def lose(self) -> None:
        """Power is lost: only what was synced is left."""
        self.entries = dict(self.safe_entries)
        self.data = self.safe_data
        for each in self.entries.values():
            each.lose()


def moment_of(data: bytes) -> float:
    """The moment of which the content of a disk's file is; 0 where no guest ever wrote."""
    mark = data[MARK_AT : MARK_AT + MARK.size]
    return float(MARK.unpack(mark)[1]) if mark.startswith(WRITTEN) else 0.0


def marked(data: bytes, moment: float) -> bytes:
    """The same file with a content of that moment."""
    return data[:MARK_AT].ljust(MARK_AT, b"\0") + MARK.pack(WRITTEN, moment) + data[MARK_AT + MARK.size :]


@dataclass(eq=False)
class Remote(Node):
    """A folder on a server that several hosts mount: no host's power is its own."""

    folder: bool = True

    def lose(self) -> None:
        """Nothing: a host lost power, and the server did not; what was written had reached it."""


@dataclass(eq=False)
class FileSystem:
    """The file system of one host."""

    root: Node = field(default_factory=lambda: Node(True))
    descriptors: dict[int, tuple[Node, Actor | None]] = field(default_factory=dict)
    full: bool = False
    frozen: bool = False
    next_fd: int = 1000
    removing: Callable[[Node, str], None] = lambda node, name: None
    """Told before a file is removed."""

    def make(self, path: str) -> Node:
        """Make folders, for good."""
        node = self.root
        for step in filter(None, path.split("/")):
            node = node.entries.setdefault(step, Node(True))
            self._keep(path, node)
        self._sync_all(self.root)
        return node

    def mount(self, path: str, remote: Remote) -> None:
        """Have a folder of a server at a path."""
        parent, _, name = path.rpartition("/")
        node = self.make(parent)
        node.entries[name] = node.safe_entries[name] = remote

    def _keep(self, path: str, node: Node) -> None:
        node.safe_entries = dict(node.entries)

    def _sync_all(self, node: Node) -> None:
        node.safe_entries = dict(node.entries)
        for each in node.entries.values():
            self._sync_all(each)

    def find(self, path: str) -> Node | None:
        """What is at an absolute path."""
        node: Node | None = self.root
        for step in filter(None, path.split("/")):
            node = node.entries.get(step) if node is not None else None
        return node

    def flattened(self, disk: Node, now: float) -> Node:
        """A copy of a qcow2 file that stands on its own: only its header is kept here, and of when its content is."""
        head = bytearray(disk.data[:104].ljust(104, b"\0"))
        head[8:20] = bytes(12)
        data = marked(bytes(head), disk.written) if disk.written else bytes(head)
        return Node(False, 0o600, data, size=disk.size, copied=now)

    def files(self, path: str) -> dict[str, Node]:
        """Every file beneath a folder, by path."""
        top = self.find(path)
        out: dict[str, Node] = {}
        if top is not None:
            self._walk(top, path, out)
        return out

    def _walk(self, node: Node, path: str, out: dict[str, Node]) -> None:
        for name, each in sorted(node.entries.items()):
            if each.folder:
                self._walk(each, f"{path}/{name}", out)
            else:
                out[f"{path}/{name}"] = each

    def close_all(self, actor: Actor) -> None:
        """A process ended: its descriptors are closed."""
        for fd in [fd for fd, each in self.descriptors.items() if each[1] is actor]:
            self.close(fd)

    def close_everything(self) -> None:
        """The host lost power."""
        for fd in list(self.descriptors):
            self.close(fd)

    # The calls.

    def node(self, fd: int) -> Node:
        """What a descriptor stands for."""
        try:
            return self.descriptors[fd][0]
        except KeyError:
            raise OSError(errno.EBADF, "Bad file descriptor") from None

    def new(self, node: Node) -> int:
        """A new descriptor of the running process."""
        self.next_fd += 1
        self.descriptors[self.next_fd] = node, ACTOR.get(None)
        return self.next_fd

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """open(2)."""
        folder, name = self._at(path, dir_fd)
        node = folder.entries.get(name) if name else folder
        if node is None:
            if not flags & real.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            self._room()
            node = folder.entries[name] = Node(False, mode)
        elif flags & real.O_EXCL and flags & real.O_CREAT:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        elif flags & real.O_DIRECTORY and not node.folder:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
        return self.new(node)

    def _at(self, path: str, dir_fd: int | None) -> tuple[Node, str]:
        here = self.root if dir_fd is None or path.startswith("/") else self.node(dir_fd)
        steps = [step for step in path.split("/") if step]
        for step in steps[:-1]:
            if step not in here.entries:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            here = here.entries[step]
        return here, steps[-1] if steps else ""

    def _room(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """mkdir(2)."""
        folder, name = self._at(path, dir_fd)
        if name in folder.entries:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        self._room()
        folder.entries[name] = Node(True, mode)
        # As if synced by whoever makes it: an empty folder that is lost is made again, and nobody is the worse for it.
        folder.safe_entries[name] = folder.entries[name]

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        """unlink(2)."""
        folder, name = self._at(path, dir_fd)
        if name not in folder.entries:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        self._goes(folder, name)
        del folder.entries[name]

    def _goes(self, folder: Node, name: str) -> None:
        """Tell of a file that is about to lose its last name."""
        node = folder.entries[name]
        if sum(each is node for each in folder.entries.values()) == 1:
            self.removing(node, name)

    def link(
        self, old: str, new: str, *, src_dir_fd: int | None, dst_dir_fd: int | None, follow_symlinks: bool
    ) -> None:
        """link(2)."""
        source, name = self._at(old, src_dir_fd)
        target, other = self._at(new, dst_dir_fd)
        if name not in source.entries:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", old)
        if other in target.entries:
            raise FileExistsError(errno.EEXIST, "File exists", new)
        target.entries[other] = source.entries[name]

    def rename(self, old: str, new: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        """rename(2)."""
        source, name = self._at(old, src_dir_fd)
        if name not in source.entries:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", old)
        target, other = self._at(new, dst_dir_fd)
        if target.entries.get(other) is source.entries[name]:
            return  # Two names of one file: nothing is done.
        if other in target.entries:
            self._goes(target, other)
        target.entries[other] = source.entries.pop(name)

    def fsync(self, fd: int) -> None:
        """fsync(2): of a file its data, of a folder its names."""
        node = self.node(fd)
        node.safe_data = node.data
        node.safe_entries = dict(node.entries)

    def pread(self, fd: int, count: int, at: int) -> bytes:
        """pread(2)."""
        return self.node(fd).data[at : at + count]

    def pwrite(self, fd: int, data: Any, at: int) -> int:
        """pwrite(2)."""
        self._room()
        node, new = self.node(fd), bytes(data)
        node.data = node.data[:at].ljust(at, b"\0") + new + node.data[at + len(new) :]
        return len(new)

    def write(self, fd: int, data: Any) -> int:
        """write(2), to a file that is only ever appended to."""
        return self.pwrite(fd, data, len(self.node(fd).data))

    def ftruncate(self, fd: int, size: int) -> None:
        """ftruncate(2)."""
        node = self.node(fd)
        node.size = size if size > SPARSE else 0
        node.data = node.data[:size] if size > SPARSE else node.data[:size].ljust(size, b"\0")

    def listdir(self, path: int | str) -> list[str]:
        """The names in a folder; by descriptor or path."""
        node = self.node(path) if isinstance(path, int) else self.find(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return sorted(node.entries)

    def close(self, fd: int) -> None:
        """close(2)."""
        self.node(fd).guards.discard((id(self), fd))
        del self.descriptors[fd]

    def guard(self, fd: int) -> None:
        """Keep QEMU from writing to an open file until the descriptor is closed, as its own locks do."""
        self.node(fd).guards.add((id(self), fd))

    def dup(self, fd: int) -> int:
        """dup(2)."""
        return self.new(self.node(fd))

    def fstat(self, fd: int) -> Any:
        """fstat(2)."""
        return self._stat(self.node(fd))

    def stat(self, path: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
        """fstatat(2)."""
        folder, name = self._at(path, dir_fd)
        if name not in folder.entries:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self._stat(folder.entries[name])

    def chown(self, path: str, uid: int, gid: int, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> None:
        """fchownat(2): everybody is root here."""

    def _stat(self, node: Node) -> Any:
        kind = stat.S_IFDIR if node.folder else stat.S_IFREG
        size = max(len(node.data), node.size)
        return SimpleNamespace(
            st_mode=kind | node.mode, st_blocks=8, st_size=size, st_ino=id(node), st_dev=1, st_uid=0, st_gid=0
        )

    def fchmod(self, fd: int, mode: int) -> None:
        """fchmod(2)."""
        self.node(fd).mode = mode

    def fstatvfs(self, fd: int) -> Any:
        """fstatvfs(2)."""
        self.node(fd)
        used = sum(max(len(each.data), each.size) for each in self.files("").values())
        free = 0 if self.full else max(0, CAPACITY - used)
        return SimpleNamespace(f_blocks=CAPACITY // BLOCK, f_frsize=BLOCK, f_bavail=free // BLOCK)


class Os:
    """Stands in for the module `os` in the storage agent: each call goes to the host of the process that makes it."""

    environ = real.environ
    path = real.path
    """Of which only `samestat` is asked."""
    defpath = real.defpath

    def __getattr__(self, name: str) -> Any:
        if name.startswith("O_"):
            return getattr(real, name)
        return getattr(ACTOR.get().host.files, name)  # type: ignore[attr-defined]
