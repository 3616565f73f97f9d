"""Builds the tiny guest image: `python3 -m images.tiny.build [--output DIR]`.

Prints the image's path, size in bytes and sha256. The same inputs (packages and the files of this folder) give
the same file; it is built once and kept under `$XDG_CACHE_HOME/cloudstack-dev/images`.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from images.tiny import disk, initrd
from images.tiny.packages import BuildError, Package, fetch, install, resolve, run, unpack

HERE = Path(__file__).parent

TOOLS = {"lz4": "lz4", "mformat": "mtools", "mcopy": "mtools", "qemu-img": "qemu-utils"}  # program -> its package

PROGRAMS = {  # in the package -> in the guest
    "usr/sbin/dropbear": "sbin/dropbear",
    "usr/sbin/qemu-ga": "sbin/qemu-ga",
    "sbin/mke2fs": "sbin/mke2fs",
    "sbin/resize2fs": "sbin/resize2fs",
    "sbin/blkid": "sbin/blkid",
}

PACKAGES = (
    "linux-image-cloud-amd64", "syslinux", "syslinux-common",
    "busybox-static", "dropbear-bin", "e2fsprogs", "qemu-guest-agent", "util-linux",
    # The libraries of the programs above.
    "libblkid1", "libc6", "libcom-err2", "libcrypt1", "libext2fs2", "libglib2.0-0", "libgmp10", "libnuma1",
    "libpcre2-8-0", "libtomcrypt1", "libtommath1", "libudev1", "liburing2", "libuuid1", "zlib1g",
)  # fmt: skip

GUEST_FILES = {  # in guest/ -> in the guest, mode
    "init": ("init", 0o755),
    "chpasswd": ("sbin/chpasswd", 0o755),
    "data-partition": ("sbin/data-partition", 0o755),
    "datasource": ("sbin/datasource", 0o755),
    "hotplug": ("sbin/hotplug", 0o755),
    "nic-up": ("sbin/nic-up", 0o755),
    "ssh-host-keys": ("sbin/ssh-host-keys", 0o755),
    "ssh-server": ("sbin/ssh-server", 0o755),
    "addresses": ("sbin/addresses", 0o755),
    "shutdown": ("sbin/shutdown", 0o755),
    "udhcpc": ("etc/udhcpc", 0o755),
    "cloud-config.awk": ("etc/cloud-config.awk", 0o644),
    "status.cgi": ("www/cgi-bin/status", 0o755),
}

ETC = {
    "passwd": "root::0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
    "shadow": "root:*:19000:0:99999:7:::\n",
    "shells": "/bin/sh\n",
    "hosts": "127.0.0.1 localhost\n",
    "hostname": "tiny\n",
}

LINKS = {  # in the guest -> target
    "sbin/poweroff": "shutdown",
    "sbin/reboot": "shutdown",
    "sbin/halt": "shutdown",
    "etc/acpi/PWRF/00000080": "/sbin/shutdown",
    "etc/dropbear": "/data/ssh",
    "sbin/modprobe": "/bin/busybox",  # where the kernel looks for it
    "usr/sbin": "/sbin",
    "usr/bin": "/bin",
    "var/run": "/run",
    "www/index.html": "/etc/hostname",
    "www/hostname": "/etc/hostname",
}

FOLDERS = ("bin", "data", "dev", "mnt", "proc", "run", "sys", "var/log")


def cache() -> Path:
    """Return the folder that keeps packages and built images."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cloudstack-dev"


def build() -> Path:
    """Return the image built from today's inputs, building it when the cache has none."""
    packages = resolve(PACKAGES)
    image = cache() / "images" / f"tiny-{fingerprint(packages)}.qcow2"
    if image.exists():
        return image
    install(package for program, package in TOOLS.items() if not shutil.which(program))
    files = fetch(packages, cache() / "packages")
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=image.parent, prefix=".building-") as folder:
        system, work = Path(folder, "system"), Path(folder, "work")
        work.mkdir()
        unpack(files, system)
        (kernel,) = (system / "boot").glob("vmlinuz-*")
        fresh = disk.write(system, kernel, compress(root_file_system(system).cpio(), work), work)
        fresh.chmod(0o444)  # disks of guests are backed by it
        fresh.replace(image)
    return image


def fingerprint(packages: Sequence[Package]) -> str:
    """Return 16 hex digits that change when a package or a file of this folder does."""
    sources = [path for path in sorted(HERE.rglob("*")) if path.is_file() and path.suffix not in (".pyc", ".md")]
    lines = [f"{package.name} {package.sha256}" for package in packages]
    lines += [f"{path.relative_to(HERE)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sources]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def root_file_system(system: Path) -> initrd.Tree:
    """Put the guest's root file system together from the unpacked packages and from guest/."""
    tree = initrd.Tree()
    for name in FOLDERS:
        tree.folder(name)
    tree.folder("tmp", 0o1777)
    tree.folder("root", 0o700)
    tree.folder("root/.ssh", 0o700)
    for name, text in ETC.items():
        tree.file(f"etc/{name}", text.encode())
    for name, (target, mode) in GUEST_FILES.items():
        tree.file(target, (HERE / "guest" / name).read_bytes(), mode)
    for path, target in LINKS.items():
        tree.link(path, target)
    for source, target in PROGRAMS.items():
        initrd.add_program(tree, system, source, target)
    initrd.add_modules(tree, system)
    initrd.add_busybox(tree, system)
    return tree


def compress(content: bytes, work: Path) -> bytes:
    """Compress for the kernel: lz4 in its legacy format, the fastest to unpack under emulation."""
    plain, packed = work / "initrd.cpio", work / "initrd.lz4"
    plain.write_bytes(content)
    run("lz4", "-l", "-12", "-f", "-q", plain, packed)
    return packed.read_bytes()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, copy to --output when given, and print path, size and sha256."""
    parser = argparse.ArgumentParser(prog="python3 -m images.tiny.build", description="Build the tiny guest image.")
    parser.add_argument("--output", type=Path, metavar="DIR", help="also copy the image to DIR/tiny.qcow2")
    output: Path | None = parser.parse_args(arguments).output
    try:
        image = build()
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if output:
        output.mkdir(parents=True, exist_ok=True)
        copy = output / ".tiny.qcow2.new"
        shutil.copy(image, copy)
        image = copy.replace(output / "tiny.qcow2")
    print(image, image.stat().st_size, hashlib.sha256(image.read_bytes()).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
