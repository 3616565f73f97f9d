"""Ways in: who sent a request, by signature or session, and the two commands that begin and end a session."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from operators.api import errors, passwords, signing
from operators.api.declare import Declared, long, string
from operators.api.directory import Caller, Directory, Domain, User, account_name, user_name
from operators.api.responses.identity import TYPES
from operators.api.sessions import TIMEOUT, Session, Sessions
from operators.contract import names
from operators.contract.core import SECRET
from operators.contract.identity import DOMAIN, PASSWORD, USER
from operators.contract.meta import Key
from operators.kernel.clock import Clock
from operators.kernel.store import Store

log = structlog.get_logger()

CHECKS = 2
"""Passwords checked side by side, at 16 MiB each."""
WAITING = 100
"""Logins that may wait for that; a flood of more is turned away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs:
    """Arguments."""

    username: str = string("Name of the user", required=True)
    password: str = string("The password", required=True)
    domain: str = string("Path of the user's domain, such as /sales/east; ROOT when left out")
    domainid: int | None = long("ID of the user's domain, in place of its path", name="domainId")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutArgs:
    """Arguments: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginResponse:
    """A session."""

    username: str
    userid: str
    domainid: str
    timeout: int = TIMEOUT
    account: str
    firstname: str
    lastname: str
    type: str
    timezone: str = "UTC"
    timezoneoffset: str = "0.0"
    registered: str = "false"
    sessionkey: str
    is2faenabled: str = "false"
    is2faverified: str = "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutResponse:
    """The end of a session."""

    description: str = "success"


LOGIN = Declared(name="login", about="Begins a session.", args=LoginArgs, item=LoginResponse)
LOGOUT = Declared(name="logout", about="Ends a session.", args=LogoutArgs, item=LogoutResponse)


@dataclass(frozen=True, slots=True)
class Proven:
    """A caller, and the session if it came with one."""

    caller: Caller
    session: Session | None = None


class Doors:
    """Proves callers. Secrets are read when needed and kept only for API keys that are still their users'."""

    def __init__(self, directory: Directory, store: Store, clock: Clock, sessions: Sessions) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._checks = asyncio.Semaphore(CHECKS)
        self._waiting = 0
        self._secrets: dict[tuple[str, str], str] = {}
        """Secret keys by User uid and API key; a pair never changes, a new one is another API key."""

    async def prove(self, params: Mapping[str, str], cookie: str) -> Proven:
        """Who sent a request. Raises ApiError 401."""
        own = {name.lower(): value for name, value in params.items()}
        if api_key := own.get(signing.API_KEY, ""):
            return Proven(await self._signed(params, api_key))
        now = self._clock.now().timestamp()
        session = self._sessions.proven(cookie, own.get("sessionkey", ""), now) if cookie else None
        if session is not None:
            caller = self._directory.caller(self._directory.cloud.by_uid(USER, session.user))
            if caller is not None:
                return Proven(caller, session)
        raise errors.unauthenticated()

    def operator(self) -> Proven:
        """Whoever calls by the integration port: the oldest user of a root admin's account. Raises ApiError 401."""
        callers = (self._directory.caller(user) for user in self._directory.cloud.all(USER))
        found = next((each for each in callers if each is not None and each.root), None)
        if found is None:
            raise errors.unauthenticated()
        return Proven(found)

    async def _signed(self, params: Mapping[str, str], api_key: str) -> Caller:
        user = self._directory.by_api_key(api_key)
        caller = self._directory.caller(user)
        secret = await self._secret(user, api_key) if user is not None and caller is not None else ""
        good = signing.verified(params, secret or "nobody", self._clock.now())
        if caller is None or not secret or not good:
            raise errors.unauthenticated()
        return caller

    async def _secret(self, user: User, api_key: str) -> str:
        where = user.meta.uid, api_key
        if where not in self._secrets:
            found = (await self._kept(user)).get(api_key, "")
            if not found:
                return ""
            self._secrets[where] = found
        return self._secrets[where]

    async def _kept(self, user: User) -> Mapping[str, str]:
        """What the user's Secret holds."""
        key = Key(self._directory.identity, names.user_secret(user.meta.name))
        body = await self._store.get(SECRET, key) or {}
        try:
            data = body.get("data") or {}
            return {name: base64.b64decode(value, validate=True).decode() for name, value in data.items()}
        except (binascii.Error, UnicodeDecodeError):
            log.warning("secret_not_understood", secret=str(key))
            return {}

    async def login(self, args: LoginArgs, domain: str) -> tuple[LoginResponse, Session]:
        """Begin a session; `domain` is a Domain's uid, in place of a path. Raises ApiError 531."""
        where = self._directory.cloud.by_uid(DOMAIN, domain) if domain else self._directory.at_path(args.domain)
        user = self._directory.by_username(args.username, where) if where is not None else None
        caller = self._directory.caller(user)
        kept = (await self._kept(caller.user)).get(PASSWORD, "") if caller is not None else ""
        # For nobody too, since the time must not tell.
        good = await self._matches(args.password, kept or passwords.NOBODY)
        if caller is None or not kept or not good:
            log.info("login_refused", username=args.username)
            raise errors.ApiError(531, _failed(args, where, self._directory), None)
        session = self._sessions.begin(caller.user.meta.uid, self._clock.now().timestamp())
        return self._response(caller, session), session

    async def knows(self, user: User, password: str) -> bool:
        """Whether that is the user's password."""
        kept = (await self._kept(user)).get(PASSWORD, "")
        return await self._matches(password, kept or passwords.NOBODY) and bool(kept)

    async def _matches(self, password: str, kept: str) -> bool:
        """Check in a thread, since it takes a while by design; few at a time, since it takes memory, too."""
        if self._waiting >= WAITING:
            raise errors.ApiError(429, "Too many logins at once: try again in a moment", None)
        self._waiting += 1
        try:
            async with self._checks:
                return await asyncio.to_thread(passwords.matches, password, kept)
        finally:
            self._waiting -= 1

    def logout(self, session: Session | None) -> Mapping[str, int]:
        """End a session; what the other replicas are to be told of it."""
        return self._sessions.end(session, self._clock.now().timestamp()) if session is not None else {}

    def cookie(self, session: Session) -> str:
        """What the client is to keep of a session."""
        return self._sessions.cookie(session)

    def session_key(self, session: Session) -> str:
        """What the client is to send beside it."""
        return self._sessions.session_key(session)

    def renewed(self, session: Session) -> Session | None:
        """The session with its time begun anew, when that is worth a cookie."""
        return self._sessions.renewed(session, self._clock.now().timestamp())

    def _response(self, caller: Caller, session: Session) -> LoginResponse:
        return LoginResponse(
            username=user_name(caller.user),
            userid=caller.user.meta.uid,
            domainid=caller.domain.meta.uid,
            account=account_name(caller.account),
            firstname=caller.user.spec.first_name,
            lastname=caller.user.spec.last_name,
            type=str(TYPES[caller.role]),
            sessionkey=self._sessions.session_key(session),
        )


def _failed(args: LoginArgs, where: Domain | None, directory: Directory) -> str:
    domain = directory.path(where) if where is not None else args.domain
    return f"Failed to authenticate user {args.username} in domain {domain}; please provide valid credentials"
