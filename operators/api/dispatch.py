"""From a request's parameters to an answer: who calls, which command, may it, with what, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from operators.api import errors, known, missing
from operators.api.call import Call, Published
from operators.api.commands import ALL
from operators.api.declare import Answer, Command, Listing, Single, Started
from operators.api.directory import Directory
from operators.api.doors import LOGIN, LOGOUT, Doors, LoginArgs, LogoutResponse, Proven
from operators.api.errors import ApiError, UnknownCommand
from operators.api.history import History
from operators.api.noting import Noting
from operators.api.parse import parse
from operators.api.peers import Peers
from operators.api.rights import may_call
from operators.api.sessions import Session
from operators.api.throttle import Throttle
from operators.api.wire import plain
from operators.contract.codec import Json
from operators.contract.quantity import Duration
from operators.kernel.clock import Clock
from operators.kernel.store import Conflict, Forbidden, Invalid, Store, StoreError

log = structlog.get_logger()

COMMANDS: Mapping[str, Command] = {command.name.lower(): command for command in ALL}
KNOWN = frozenset(name.lower() for name in known.NAMES)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, whatever it came by."""

    params: Mapping[str, str]
    cookie: str = ""
    post: bool = False
    trusted: bool = False
    """Whether it came by the integration port, where nobody has to prove who they are."""

    def value(self, name: str) -> str:
        """A parameter about the request itself, in any case."""
        return next((value for key, value in self.params.items() if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever it goes by."""

    key: str
    content: Json = field(default_factory=dict)
    status: int = 200
    description: str = ""
    """Of an error, for the header that CloudStack sends with most of them."""
    begun: Session | None = None
    """A session whose cookie the client is to keep."""
    ended: bool = False
    """Whether the client is to forget its cookies."""


class Dispatcher:
    """Answers requests."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        clock: Clock,
        doors: Doors,
        ready: asyncio.Event,
        deadline: Duration,
        history: History,
        throttle: Throttle,
        peers: Peers,
        published: Published | None = None,
    ) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._doors = doors
        self._ready = ready
        self._deadline = deadline
        self._history = history
        self._throttle = throttle
        self.peers = peers
        self._published = published or Published()

    async def answer(self, request: Request) -> Reply:
        """The answer, which may be an error; never an exception."""
        name = request.value("command")
        known = COMMANDS.get(name.lower())
        key = (known and known.envelope) or (f"{name.lower()}response" if name else "null")
        try:
            return await self._answer(request, name, key)
        except UnknownCommand as error:
            return failed("errorresponse" if name else "null", error)
        except ApiError as error:
            return failed(key, error)
        except StoreError as error:
            return failed(key, _refused(error))
        except Exception:
            # The one place: whatever a command did not expect is our fault, and its caller still gets an answer.
            log.exception("command_failed", command=name)
            return failed(key, errors.internal())

    async def _answer(self, request: Request, name: str, key: str) -> Reply:
        if not self._ready.is_set():
            raise errors.unavailable("The API is starting: try again in a moment")
        await self.peers.caught_up()
        if name.lower() == LOGIN.name:
            return await self._login(request, key)
        command = COMMANDS.get(name.lower())
        if command is None and name.lower() not in KNOWN and name.lower() != LOGOUT.name:
            raise errors.unknown_command()
        if request.trusted:
            proven = self._doors.operator()
        else:
            proven = await self._doors.prove(request.params, request.cookie)
        if name.lower() == LOGOUT.name:
            await self.peers.logged_out(self._doors.logout(proven.session))
            return Reply(key, plain(LogoutResponse()), ended=True)
        self._throttle.admit(proven.caller)
        if command is None:
            raise errors.not_yet(name, missing.reason(name))
        return await self._run(command, request, proven, key)

    async def _run(self, command: Command, request: Request, proven: Proven, key: str) -> Reply:
        caller = proven.caller
        if not may_call(self._directory.cloud, caller.account, command):
            raise errors.not_available(command.name)
        cloud, store = self._directory.cloud, Noting(self._store)
        call = Call(
            caller,
            cloud,
            self._directory,
            store,
            self._clock,
            ALL,
            self._deadline,
            self._doors,
            self._history,
            self._throttle,
            self._published,
        )
        with structlog.contextvars.bound_contextvars(command=command.name, user=caller.user.meta.name):
            args = parse(command, request.params, call.find)
            try:
                answer = await command.run(call, args)
            finally:  # one that failed may have written, too
                await self.peers.tell(store)
        begun = self._doors.renewed(proven.session) if proven.session else None
        return Reply(key, content(command, answer), begun=begun)

    async def _login(self, request: Request, key: str) -> Reply:
        """By POST only, since a password has no place in an address that proxies write down."""
        if not request.post:
            raise ApiError(405, "login is for POST requests only", None)
        domain = request.value("domainid")
        own = {name: value for name, value in request.params.items() if name.lower() != "domainid"}
        args: LoginArgs = parse(LOGIN, own, lambda kind, uid: None)
        response, session = await self._doors.login(args, domain)
        return Reply(key, plain(response), begun=session)


def content(command: Command, answer: Answer) -> Json:
    """What comes under the answer's key."""
    match answer:
        case Listing(total, items):
            listed = {command.key: plain(items)} if items else {}
            return ({"count": total} if total else {}) | listed
        case Single(item):
            return {command.key: plain(item)} if command.key else dict(plain(item))
        case Started(jobid, id_):
            return ({"id": id_} if id_ else {}) | {"jobid": jobid}


def failed(key: str, error: ApiError) -> Reply:
    """An error as CloudStack tells it."""
    fine = {} if error.cserror is None else {"cserrorcode": error.cserror}
    said = {"uuidList": [], "errorcode": error.code, **fine, "errortext": error.text}
    return Reply(key, said, error.code, "" if error.cserror is None else error.text)


def _refused(error: StoreError) -> ApiError:
    """What the API server's refusal means to the caller."""
    match error:
        case Invalid():
            return errors.invalid(str(error))
        case Forbidden():
            log.error("forbidden", error=str(error))
            return errors.internal()
        case Conflict():
            return errors.unavailable("It was changed by somebody else at the same moment: try again")
    log.warning("api_server_trouble", error=str(error))
    return errors.unavailable("The cloud's API server cannot be reached: try again in a moment")
