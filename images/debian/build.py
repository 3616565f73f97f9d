"""Builds a Debian guest with cloud-init from this machine's package sources: `python3 -m images.debian.build`.

Nothing in it knows of this project: it is Debian's own kernel, systemd and cloud-init. It needs root (mmdebstrap), some
three minutes and 2 GB while it builds; then it is kept beside the tiny image, until one of its packages changes.
"""

import hashlib
import struct
import sys
import tempfile
from pathlib import Path

from images.tiny import packages
from images.tiny.build import cache
from images.tiny.packages import BuildError, run

MIB = 1 << 20
BOOT_START, BOOT_SIZE = 1 * MIB, 96 * MIB
ROOT_START, ROOT_SIZE = BOOT_START + BOOT_SIZE, 1400 * MIB

SYSTEM = (
    "linux-image-cloud-amd64", "systemd-sysv", "udev", "dbus", "iproute2", "ifupdown", "isc-dhcp-client",
    "cloud-init", "openssh-server", "qemu-guest-agent",
)  # fmt: skip
FOR_BOOT = ("syslinux", "syslinux-common")
NAMED = ("linux-image-cloud-amd64", "systemd-sysv", "cloud-init", "openssh-server")
"""What makes a new image when it changes."""

# cloud-init looks for its sources itself (`ds-identify`), as in any cloud image.
FILES = {
    "etc/fstab": "LABEL=rootfs / ext4 errors=remount-ro 0 1\n",
    "etc/hostname": "unnamed\n",
    "etc/machine-id": "",
    "etc/network/interfaces": "auto lo\niface lo inet loopback\n",
}
COMMAND_LINE = (
    "root=LABEL=rootfs ro console=ttyS0 quiet net.ifnames=0 systemd.show_status=0 "
    "tsc=reliable no_timer_check mitigations=off random.trust_cpu=on"
)
SYSLINUX = (
    f"DEFAULT debian\nPROMPT 0\nTIMEOUT 0\nLABEL debian\n KERNEL vmlinuz\n APPEND initrd=initrd.img {COMMAND_LINE}\n"
)


def build() -> Path:
    """Return the image of today's packages, building it when the cache has none."""
    image = cache() / "images" / f"debian-{fingerprint()}.qcow2"
    if image.exists():
        return image
    packages.install(package for package in ("mmdebstrap", "mtools", "qemu-utils") if not _installed(package))
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=image.parent, prefix=".building-") as folder:
        fresh = _write(Path(folder))
        fresh.chmod(0o444)  # disks of guests are backed by it
        fresh.replace(image)
    return image


def fingerprint() -> str:
    """Return 16 hex digits that change when one of the packages that matter or this file does."""
    lines = [f"{package.name} {package.sha256}" for package in packages.resolve(NAMED)]
    return hashlib.sha256("\n".join([*lines, Path(__file__).read_text()]).encode()).hexdigest()[:16]


def _installed(package: str) -> bool:
    try:
        return "ok installed" in run("dpkg-query", "-W", "-f", "${Status}", package)
    except BuildError:
        return False


def _write(work: Path) -> Path:
    system, tools, raw = work / "system", work / "tools", work / "disk.raw"
    run("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(SYSTEM)}", "bookworm", system)
    for name, text in FILES.items():
        (system / name).write_text(text)
    for key in (system / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each guest makes its own
    packages.unpack(packages.fetch(packages.resolve(FOR_BOOT), cache() / "packages"), tools)
    with raw.open("wb") as disk:
        disk.truncate(ROOT_START + ROOT_SIZE)
        disk.write(_boot_record((tools / "usr/lib/syslinux/mbr/mbr.bin").read_bytes()))
    _boot_partition(raw, system, tools, work)
    size = f"{ROOT_SIZE // 1024}k"
    where = f"offset={ROOT_START},lazy_itable_init=1,lazy_journal_init=1"
    run("mkfs.ext4", "-q", "-F", "-L", "rootfs", "-b", "4096", "-m", "0", "-E", where, "-d", system, raw, size)
    image = work / "debian.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image)
    return image


def _boot_partition(raw: Path, system: Path, tools: Path, work: Path) -> None:
    (kernel,), (initrd,) = (system / "boot").glob("vmlinuz-*"), (system / "boot").glob("initrd.img-*")
    partition, sectors = f"{raw}@@{BOOT_START}", str(BOOT_SIZE // 512)
    geometry = ("-T", sectors, "-h", "64", "-s", "32", "-H", str(BOOT_START // 512))
    quiet = {"MTOOLS_SKIP_CHECK": "1"}
    run("mformat", "-i", partition, *geometry, "-v", "BOOT", "::", env=quiet)
    (work / "syslinux.cfg").write_text(SYSLINUX)
    for file, name in ((kernel, "vmlinuz"), (initrd, "initrd.img"), (work / "syslinux.cfg", "syslinux.cfg")):
        run("mcopy", "-i", partition, file, f"::{name}", env=quiet)
    run(tools / "usr/bin/syslinux", "--offset", str(BOOT_START), "--install", raw, env=quiet)


def _boot_record(loader: bytes) -> bytes:
    """A master boot record with two partitions, the first of them active."""
    anywhere = b"\xfe\xff\xff"  # "look at the sector numbers instead"
    entries = b"".join(
        bytes([active]) + anywhere + bytes([kind]) + anywhere + struct.pack("<II", start // 512, size // 512)
        for active, kind, start, size in ((0x80, 0x06, BOOT_START, BOOT_SIZE), (0, 0x83, ROOT_START, ROOT_SIZE))
    )
    return loader[:440].ljust(446, b"\0") + entries + bytes(32) + b"\x55\xaa"


if __name__ == "__main__":
    try:
        print(build())
    except BuildError as error:
        sys.exit(f"error: {error}")
