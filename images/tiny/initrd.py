"""The guest's root file system: files taken from unpacked packages, written as a reproducible cpio archive."""

import re
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from images.tiny.packages import BuildError, run

# Loaded at boot, with what they need; the others wait for a device's or a file system's alias.
MODULES_AT_BOOT = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "button", "evdev")
MODULES = (
    *MODULES_AT_BOOT,
    *("virtio_balloon", "virtio_scsi", "ata_piix", "sd_mod", "sr_mod"),
    *("isofs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8"),
)

_LIBRARY_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_LOADER = "ld-linux-x86-64.so.2"


@dataclass
class Tree:
    """A file system in memory: path without leading slash -> (mode with type bits, content or link target)."""

    nodes: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Add a folder and the folders above it."""
        for parent in reversed(Path(path).parents[:-1]):
            self.nodes.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))
        self.nodes[path] = (stat.S_IFDIR | mode, b"")

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file, and its folder where there is none."""
        self._parent(path)
        self.nodes[path] = (stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link, and its folder where there is none."""
        self._parent(path)
        self.nodes[path] = (stat.S_IFLNK | 0o777, target.encode())

    def _parent(self, path: str) -> None:
        parent = str(Path(path).parent)
        if parent not in (".", *self.nodes):
            self.folder(parent)

    def cpio(self) -> bytes:
        """Return the archive in the kernel's `newc` format: sorted, owned by root, dated 1970."""
        nodes = {**self.nodes, "dev/console": (stat.S_IFCHR | 0o600, b"")}
        entries = [(path, *nodes[path]) for path in sorted(nodes)]
        parts = [
            _cpio_entry(number, path, mode, content, (5, 1) if path == "dev/console" else (0, 0))
            for number, (path, mode, content) in enumerate(entries, 1)
        ]
        return b"".join([*parts, _cpio_entry(0, "TRAILER!!!", 0, b"", (0, 0))])


def _cpio_entry(number: int, path: str, mode: int, content: bytes, device: tuple[int, int]) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    numbers = (number, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in numbers) + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def add_program(tree: Tree, system: Path, source: str, target: str) -> None:
    """Copy a program of the unpacked `system` into the tree, with every shared library it needs."""
    tree.file(target, (system / source).read_bytes(), 0o755)
    waiting = needed(tree.nodes[target][1])
    while waiting:
        name = waiting.pop()
        path = f"lib64/{name}" if name == _LOADER else f"{_LIBRARY_FOLDERS[0]}/{name}"
        if path not in tree.nodes:
            content = _library(system, name).read_bytes()
            tree.file(path, content, 0o755)
            waiting += needed(content)


def _library(system: Path, name: str) -> Path:
    for folder in _LIBRARY_FOLDERS:
        if (system / folder / name).exists():
            return (system / folder / name).resolve()
    raise BuildError(f"no package in PACKAGES holds {name}")


def needed(elf: bytes) -> list[str]:
    """Return the names of the shared libraries that a 64-bit little-endian ELF file asks for (DT_NEEDED)."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise BuildError("not a 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    # Of each program header: type, offset in the file, virtual address, size in the file.
    raw = [struct.unpack_from("<IIQQQQ", elf, table + size * index) for index in range(count)]
    loads = [(address, offset, length) for kind, _, offset, address, _, length in raw if kind == 1]
    dynamic = [(offset, length) for kind, _, offset, _, _, length in raw if kind == 2]
    entries = [
        struct.unpack_from("<QQ", elf, position)
        for offset, length in dynamic
        for position in range(offset, offset + length, 16)
    ]
    strings = next((value for tag, value in entries if tag == 5), 0)
    start = next((strings - address + offset for address, offset, length in loads
                  if address <= strings < address + length), 0)  # fmt: skip
    names = [start + value for tag, value in entries if tag == 1]
    return [elf[position : elf.index(b"\0", position)].decode() for position in names]


def add_modules(tree: Tree, system: Path, wanted: Iterable[str] = MODULES) -> None:
    """Copy kernel modules and what they depend on, with the indexes that busybox's modprobe reads."""
    (folder,) = (system / "lib/modules").iterdir()
    files = {path.stem.replace("-", "_"): path for path in sorted(folder.rglob("*.ko"))}
    builtin = {Path(line).stem.replace("-", "_") for line in (folder / "modules.builtin").read_text().split()}
    chosen: dict[str, list[str]] = {}  # module -> the modules it needs directly, in the order found
    waiting = [name for name in (name.replace("-", "_") for name in wanted) if name not in builtin]
    aliases: list[str] = []
    while waiting:
        name = waiting.pop(0)
        if name in chosen:
            continue
        if name not in files:
            raise BuildError(f"the kernel package has no module {name}")
        content = files[name].read_bytes()
        info = [match.groups() for match in re.finditer(rb"(?<=\0)(depends|alias)=([^\0]*)\0", content)]
        chosen[name] = [
            part for key, value in info if key == b"depends" for part in value.decode().replace("-", "_").split(",")
            if part
        ]  # fmt: skip
        aliases += [f"alias {value.decode()} {name}" for key, value in info if key == b"alias"]
        waiting += chosen[name]
        tree.file(f"lib/modules/{folder.name}/{name}.ko", content)

    def loads(name: str) -> list[str]:
        """Return what is loaded with a module, itself last: each after what it needs."""
        return [*dict.fromkeys(deep for near in chosen[name] for deep in loads(near)), name]

    # Modprobe loads a line of modules.dep from its end.
    lines = [f"{name}.ko: {' '.join(f'{need}.ko' for need in reversed(loads(name)[:-1]))}" for name in sorted(chosen)]
    tree.file(f"lib/modules/{folder.name}/modules.dep", "\n".join([*lines, ""]).encode())
    tree.file(f"lib/modules/{folder.name}/modules.alias", "\n".join([*sorted(aliases), ""]).encode())
    tree.file("etc/modules", "\n".join([*(name for name in MODULES_AT_BOOT if name in chosen), ""]).encode())


def add_busybox(tree: Tree, system: Path) -> None:
    """Copy busybox and link each of its programs, except those that the tree has already."""
    busybox = system / "bin/busybox"
    tree.file("bin/busybox", busybox.read_bytes(), 0o755)
    present = {Path(path).name for path in tree.nodes}
    for name in run(busybox, "--list").split():
        if name not in present:
            tree.link(f"bin/{name}", "/bin/busybox")
