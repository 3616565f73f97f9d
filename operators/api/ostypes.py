"""Guest operating systems by the names that people choose from; they change nothing about how a guest is run here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

UNKNOWN = "Other (64-bit)"

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "CentOS": ("CentOS 7", "CentOS 8", "CentOS Stream 8", "CentOS Stream 9"),
    "Debian": tuple(f"Debian GNU/Linux {number} (64-bit)" for number in (10, 11, 12, 13)),
    "Oracle": ("Oracle Linux 8", "Oracle Linux 9"),
    "RedHat": tuple(f"Red Hat Enterprise Linux {number}" for number in ("7.0", "8.0", "9.0")),
    "SUSE": ("SUSE Linux Enterprise Server 15 (64-bit)", "openSUSE Leap 15 (64-bit)"),
    "Windows": (
        *(f"Windows Server {year} (64-bit)" for year in (2016, 2019, 2022, 2025)),
        "Windows 10 (64-bit)",
        "Windows 11 (64-bit)",
    ),
    "Ubuntu": tuple(f"Ubuntu {number} LTS" for number in ("18.04", "20.04", "22.04", "24.04")),
    "Unix": ("FreeBSD 13 (64-bit)", "FreeBSD 14 (64-bit)"),
    "Linux": ("Other Linux (64-bit)", "Rocky Linux 8", "Rocky Linux 9", "Fedora Linux (64-bit)"),
    "Other": (UNKNOWN, "Other (32-bit)"),
}


def id_of(name: str) -> str:
    """The id of an operating system or of a family: always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.guest-os.cloudstack.dev"))


def family(name: str) -> str:
    """The family of an operating system; what an Image says that nobody here knows is of the last one."""
    return next((each for each, members in FAMILIES.items() if name in members), "Other")


def every(said: Iterable[str]) -> tuple[str, ...]:
    """The names that there are to choose from: those that are known, and those that Images say."""
    known = [name for members in FAMILIES.values() for name in members]
    return (*known, *sorted(set(said) - {"", *known}))
