"""Passwords as salted scrypt hashes: `scrypt$<n>$<r>$<p>$<salt>$<hash>`, salt and hash in base64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

N, R, P = 2**14, 8, 1
"""16 MiB and some fifty milliseconds a try."""


def hashed(password: str, salt: bytes | None = None) -> str:
    """The hash to keep."""
    salt = os.urandom(16) if salt is None else salt
    return f"scrypt${N}${R}${P}${_text(salt)}${_text(_scrypt(password, salt, N, R, P))}"


def matches(password: str, kept: str) -> bool:
    """Whether a password is the one that was kept; a hash that makes no sense matches nothing."""
    try:
        name, n, r, p, salt, expected = kept.split("$")
        if name != "scrypt":
            return False
        found = _scrypt(password, base64.b64decode(salt, validate=True), int(n), int(r), int(p))
        return hmac.compare_digest(found, base64.b64decode(expected, validate=True))
    except (ValueError, binascii.Error):
        return False


NOBODY = f"scrypt${N}${R}${P}$bm9ib2R5IGF0IGFsbC4uLg==${'A' * 86}=="
"""Compared with where there is no such user, so that the time taken tells nothing."""


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=2**26)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
