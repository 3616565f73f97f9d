"""What may go into a command or a file of the host: checked here once more, whoever wrote the object."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from operators.contract.reasons import Reason
from operators.kernel.outcome import Rejected

remembered = lru_cache(maxsize=16384)
"""Every change of one Port looks at the values of all."""

_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def refusal(
    *, devices: Iterable[str] = (), addresses: Iterable[str] = (), macs: Iterable[str] = (), domains: Iterable[str] = ()
) -> Rejected | None:
    """Why these values must not be used on the host, or None when all of them are what they should be."""
    for what, values, fits in (
        ("the name of a device", devices, is_device),
        ("an IPv4 address", addresses, is_address),
        ("a MAC address", macs, is_mac),
        ("a domain name", domains, is_domain),
    ):
        for value in values:
            if not fits(value):
                return Rejected(Reason.INVALID, f"{value!r} is not {what}; nothing was done on the host")
    return None


def is_device(text: str) -> bool:
    """Whether Linux can have a network device of that name."""
    return _DEVICE.fullmatch(text) is not None and text not in (".", "..")


@remembered
def is_mac(text: str) -> bool:
    """Whether it is a MAC address in lower case."""
    return _MAC.fullmatch(text) is not None


@remembered
def is_address(text: str) -> bool:
    """Whether it is an IPv4 address, with or without a prefix length."""
    try:
        ipaddress.IPv4Interface(text)
    except ValueError:
        return False
    return True


def is_label(text: str) -> bool:
    """Whether it can be a host name: one label of a domain name."""
    return _LABEL.fullmatch(text) is not None


def is_domain(text: str) -> bool:
    """Whether it is a domain name."""
    return 0 < len(text) <= 253 and all(is_label(part) for part in text.split("."))
