"""Sessions of people who logged in: everything is in the cookie, signed, so that any replica can take it.

The cookie is `<id>.<user uid>.<expiry>.<mac>`; the session key, which every call must bring beside the cookie against
forged requests, is derived from id and user alone, so it stays while the cookie is renewed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT = 1800
"""Seconds without a request after which a session is over."""
RENEW = 60
"""Seconds of its time that a session has used when its cookie is renewed: not with every request."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was proven."""

    id: str
    user: str
    """The User's uid."""
    expires: int
    """Seconds since 1970."""


class Sessions:
    """Makes and checks sessions with a key that all replicas share."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._ended: dict[str, int] = {}
        """Sessions that were logged out, until they would have expired anyway."""

    def begin(self, user: str, now: float) -> Session:
        """A new session."""
        return Session(secrets.token_urlsafe(18), user, int(now) + TIMEOUT)

    def cookie(self, session: Session) -> str:
        """What the client keeps."""
        text = f"{session.id}.{session.user}.{session.expires}"
        return f"{text}.{self._mac('cookie', text)}"

    def session_key(self, session: Session) -> str:
        """What the client sends as `sessionkey` with each call."""
        return self._mac("key", f"{session.id}.{session.user}")

    def proven(self, cookie: str, session_key: str, now: float) -> Session | None:
        """The session that a request belongs to."""
        text, _, mac = cookie.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac("cookie", text).encode()):
            return None
        id_, user, expires = text.split(".")
        session = Session(id_, user, int(expires))
        good = hmac.compare_digest(session_key.encode(), self.session_key(session).encode())
        return session if good and session.expires > now and id_ not in self._ended else None

    def renewed(self, session: Session, now: float) -> Session | None:
        """The session with its time begun anew, when that is worth a cookie."""
        if session.expires - now > TIMEOUT - RENEW:
            return None
        return Session(session.id, session.user, int(now) + TIMEOUT)

    def end(self, session: Session, now: float) -> Mapping[str, int]:
        """Log out; what the other replicas are to be told of it."""
        self._ended = {id_: expires for id_, expires in self._ended.items() if expires > now}
        told = {session.id: int(now) + TIMEOUT}
        self._ended |= told
        return told

    def ended_elsewhere(self, ended: Mapping[str, int]) -> None:
        """Take in what another replica tells of sessions that were logged out there."""
        self._ended |= ended

    @property
    def ended(self) -> Mapping[str, int]:
        """Sessions that were logged out, here or elsewhere, and until when that must be known."""
        return self._ended

    def _mac(self, what: str, text: str) -> str:
        return hmac.new(self._key, f"{what}:{text}".encode(), hashlib.sha256).hexdigest()[:40]
