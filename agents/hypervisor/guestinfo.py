"""What a guest's own agent and the hypervisor say of a guest: read, bounded, and told only when it is news. Pure.

What a guest says of itself is its tenant's word: it is cut to size and never acted upon.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from operators.contract.compute import FilesystemInfo, GuestInfo, Usage
from operators.contract.quantity import Quantity

MOST_ADDRESSES, MOST_FILESYSTEMS, LONGEST = 16, 16, 128
MOST_LOOKED_AT = 64
FULLER = 0.1
"""Part of a file system's size, or of the guest's memory, by which its use has to change to be news."""
BUSIER = 25
"""Percentage points by which the use of a guest's processors has to change to be news."""
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """The hypervisor's counters of one running guest at one moment."""

    at: float
    """Seconds on the monotonic clock."""
    cpu_seconds: float = 0.0
    cpus: int = 1
    memory: int = 0
    """Bytes that the guest has."""
    memory_used: int = 0
    """Bytes that it uses, by its balloon's word, else those that QEMU takes of the host."""
    disks: tuple[tuple[str, int, int, int, int], ...] = ()
    """Device; bytes read, requests to read, bytes written, requests to write."""
    nics: tuple[tuple[str, int, int, int, int], ...] = ()
    """Device; bytes and packets received, bytes and packets sent, as the guest sees it."""


def guest_info(told: Mapping[str, Any]) -> GuestInfo:
    """What libvirt's `virDomainGetGuestInfo` gives, in our own words."""
    return GuestInfo(
        os=_text(told.get("os.pretty-name", "")),
        kernel=_text(told.get("os.kernel-release", "")),
        hostname=_text(told.get("hostname", "")),
        addresses=tuple(_addresses(told))[:MOST_ADDRESSES],
        filesystems=tuple(_filesystems(told))[:MOST_FILESYSTEMS],
    )


def _addresses(told: Mapping[str, Any]) -> Iterator[str]:
    for nic in range(_few(told, "if.count")):
        for number in range(_few(told, f"if.{nic}.addr.count")):
            try:
                address = ipaddress.ip_address(str(told.get(f"if.{nic}.addr.{number}.addr", "")))
            except ValueError:
                continue
            if not address.is_loopback and not address.is_link_local:
                yield str(address)


def _filesystems(told: Mapping[str, Any]) -> Iterator[FilesystemInfo]:
    for number in range(_few(told, "fs.count")):
        total, used = (_count(told, f"fs.{number}.{what}-bytes") for what in ("total", "used"))
        path, kind = (_text(told.get(f"fs.{number}.{what}", "")) for what in ("mountpoint", "fstype"))
        if total and path:
            yield FilesystemInfo(path, kind, Quantity(total), Quantity(used))


def _few(told: Mapping[str, Any], name: str) -> int:
    """How many of something to look at: a guest may claim to have any number."""
    return min(_count(told, name), MOST_LOOKED_AT)


def _count(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name, 0)
    return value if isinstance(value, int) and value >= 0 else 0


def _text(value: object) -> str:
    return "".join(each for each in str(value) if each.isprintable())[:LONGEST]


def usage(before: Sample | None, now: Sample) -> Usage | None:
    """How busy a guest was between two samples."""
    if before is None or now.at <= before.at or now.cpu_seconds < before.cpu_seconds:
        return None
    busy = (now.cpu_seconds - before.cpu_seconds) / (now.at - before.at) / max(1, now.cpus)
    return Usage(min(100, round(100 * busy)), Quantity(now.memory_used // MIB * MIB))


def told(before: GuestInfo | None, now: GuestInfo | None) -> GuestInfo | None:
    """What the status should say: as before, unless what changed is worth a write."""
    if before is None or now is None:
        return now
    same = replace(before, filesystems=(), usage=None) == replace(now, filesystems=(), usage=None)
    if not same or _other_disks(before, now) or _other_use(before.usage, now.usage):
        return now
    return before


def _other_disks(before: GuestInfo, now: GuestInfo) -> bool:
    last = {(each.mountpoint, each.type, int(each.size)): int(each.used) for each in before.filesystems}
    here = {(each.mountpoint, each.type, int(each.size)): int(each.used) for each in now.filesystems}
    return last.keys() != here.keys() or any(abs(here[key] - last[key]) > FULLER * key[2] for key in here)


def _other_use(before: Usage | None, now: Usage | None) -> bool:
    if now is None or before is None:
        return before is None and now is not None
    much = max(64 * MIB, int(FULLER * max(before.memory_used, now.memory_used)))
    busier, fuller = now.cpu_percent - before.cpu_percent, int(now.memory_used) - int(before.memory_used)
    return abs(busier) >= BUSIER or abs(fuller) > much
