"""The disk image: a boot record, a FAT partition with syslinux, kernel and initrd, and free space for /data."""

import os
import struct
from pathlib import Path

from images.tiny.packages import run

MIB = 1 << 20
DISK_SIZE = 64 * MIB
BOOT_START = 1 * MIB
BOOT_SIZE = 32 * MIB
# The guest finds its own disk by this signature in the boot record; guest/data-partition says the same.
SIGNATURE = b"TINY"

COMMAND_LINE = (
    "console=tty0 console=ttyS0 quiet loglevel=3 panic=1 net.ifnames=0 audit=0 8250.nr_uarts=1 scsi_mod.scan=sync "
    # Without these, boot under TCG spends its time on calibrating clocks and on guarding an emulated CPU.
    "tsc=reliable no_timer_check mitigations=off random.trust_cpu=on"
)
_SYSLINUX = (
    f"DEFAULT tiny\nPROMPT 0\nTIMEOUT 0\nLABEL tiny\n KERNEL vmlinuz\n APPEND initrd=initrd.img {COMMAND_LINE}\n"
)

# FAT stores times: fix them (and the time zone they are read in).
_FIXED_TIME = {"SOURCE_DATE_EPOCH": "946684800", "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}


def write(system: Path, kernel: Path, initrd: bytes, work: Path) -> Path:
    """Write the image into `work` with the tools of the unpacked `system`, and return the qcow2 file."""
    raw = work / "disk.raw"
    with raw.open("wb") as disk:
        disk.truncate(DISK_SIZE)
        disk.write(boot_record((system / "usr/lib/syslinux/mbr/mbr.bin").read_bytes()))
    partition = f"{raw}@@{BOOT_START}"
    sectors = str(BOOT_SIZE // 512)
    geometry = ("-T", sectors, "-h", "64", "-s", "32", "-H", str(BOOT_START // 512))
    run("mformat", "-i", partition, *geometry, "-N", SIGNATURE.hex(), "-v", "TINYBOOT", "::", env=_FIXED_TIME)
    files = {"vmlinuz": kernel.read_bytes(), "initrd.img": initrd, "syslinux.cfg": _SYSLINUX.encode()}
    for name, content in files.items():
        (work / name).write_bytes(content)
        os.utime(work / name, (946684800, 946684800))
    run("mcopy", "-m", "-i", partition, *(work / name for name in files), "::", env=_FIXED_TIME)
    run(system / "usr/bin/syslinux", "--offset", str(BOOT_START), "--install", raw, env=_FIXED_TIME)
    image = work / "tiny.qcow2"
    run("qemu-img", "convert", "-m", "1", "-f", "raw", "-O", "qcow2", raw, image)
    return image


def boot_record(loader: bytes) -> bytes:
    """Return a master boot record with one active FAT16 partition; the guest adds the second at first boot."""
    cylinders = b"\xfe\xff\xff"  # "look at the sector numbers instead"
    entry = b"\x80" + cylinders + b"\x06" + cylinders + struct.pack("<II", BOOT_START // 512, BOOT_SIZE // 512)
    return loader[:440].ljust(440, b"\0") + SIGNATURE + bytes(2) + entry + bytes(48) + b"\x55\xaa"
