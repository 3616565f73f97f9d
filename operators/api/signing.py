"""The signature of a request: HMAC-SHA1 over its sorted parameters, with an expiry from version 3 on."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

SIGNATURE, API_KEY, VERSION, EXPIRES = "signature", "apikey", "signatureversion", "expires"
"""Parameters about the request itself, which match in any case."""

EXPIRES_FORMATS = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%SZ")


def sign(params: Mapping[str, str], secret: str) -> str:
    """The signature of parameters as they are sent, whether or not one of them is a signature."""
    return _mac(_text(params), secret)


def verified(params: Mapping[str, str], secret: str, now: datetime) -> bool:
    """Whether the request was signed with this secret and has not expired."""
    own = {name.lower(): value for name, value in params.items()}
    said = own.get(SIGNATURE, "").encode()
    text = _text(params)
    # Java encodes the tilde and most other clients' languages do not, so both count.
    signatures = [_mac(each, secret).encode() for each in {text, text.replace("~", "%7e")}]
    good = any(hmac.compare_digest(each, said) for each in signatures)
    return good and _in_time(own, now)


def _text(params: Mapping[str, str]) -> str:
    pairs = sorted((name, value) for name, value in params.items() if name.lower() != SIGNATURE)
    return "&".join(f"{name}={quote(value, safe='*')}" for name, value in pairs).lower()


def _mac(text: str, secret: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def _in_time(own: Mapping[str, str], now: datetime) -> bool:
    """From version 3 on `expires` is a must; without a version it is not looked at, as the signature covers it."""
    version = own.get(VERSION, "")
    if not version.isdecimal() or int(version) < 3:
        return not version or version.isdecimal()
    expires = _moment(own.get(EXPIRES, ""))
    return expires is not None and expires > now


def _moment(text: str) -> datetime | None:
    for form in EXPIRES_FORMATS:
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
