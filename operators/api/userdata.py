"""User data as callers send it: base64, of either alphabet and with or without its padding."""

from __future__ import annotations

import base64
import binascii

from operators.api import errors

LONGEST = 8192
"""Bytes, as a VirtualMachine takes them."""


def decoded(text: str) -> str:
    """The plain text. Raises ApiError."""
    if not text:
        return ""
    padded = text.strip().replace("-", "+").replace("_", "/")
    padded += "=" * (-len(padded) % 4)
    try:
        data = base64.b64decode(padded, validate=True)
        if len(data) > LONGEST:
            raise errors.invalid(f"User data has {len(data)} bytes; at most {LONGEST} can be given")
        return data.decode()
    except (binascii.Error, UnicodeDecodeError):
        raise errors.invalid("User data is not base64 of plain text") from None


def encoded(text: str) -> str:
    """Plain text as answers show it."""
    return base64.b64encode(text.encode()).decode()
