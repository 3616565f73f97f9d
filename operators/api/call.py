"""One call of one command: by whom, on what, and the questions that commands share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from operators.api import errors
from operators.api.cloud import Cloud, name_of, tag_named
from operators.api.declare import Command, Listing, boolean, integer, maps, string, uuid
from operators.api.directory import Account, Caller, Directory, Domain, Project
from operators.api.history import History
from operators.api.tags import tags_of
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT, Role
from operators.contract.meta import Kind, Meta, Obj, SpecT, StatusT
from operators.contract.quantity import Duration
from operators.kernel.clock import Clock
from operators.kernel.store import Store

if TYPE_CHECKING:
    from operators.api.doors import Doors
    from operators.api.throttle import Throttle

T = TypeVar("T")

MOST = 500
"""Entries of a page."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where clients reach other components; empty where they do not."""

    consoles: str = ""
    uploads: str = ""
    images: str = ""
    """Where storage agents, not clients, fetch what was uploaded."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a command gets beside its arguments."""

    caller: Caller
    cloud: Cloud
    directory: Directory
    store: Store
    clock: Clock
    commands: Sequence[Command]
    deadline: Duration
    """How long a deployment may take."""
    doors: Doors
    history: History
    throttle: Throttle
    published: Published

    def find(self, kind: Kind[SpecT, StatusT], uid: str) -> Obj[SpecT, StatusT] | None:
        """The object of a uid, if the caller may know of it."""
        found = self.cloud.by_uid(kind, uid)
        return found if found is not None and self.directory.sees(self.caller, found) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArgs:
    """What every list takes."""

    keyword: str = string("List by keyword: what the name contains, in any case")
    page: int | None = integer("The page, counted from 1; needs pagesize")
    pagesize: int | None = integer("Entries of a page, at most 500; needs page")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerArgs:
    """For whom something is made: for the caller itself when left out."""

    account: str = string("The account that shall have it; with domainid, else of the caller's own domain")
    domainid: Domain | None = uuid("The domain of the account", DOMAIN)
    projectid: Project | None = uuid("The project that shall have it, in place of an account", PROJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedListArgs(ListArgs):
    """What every list of things that belong to accounts takes."""

    account: str = string("List what belongs to this account; with domainid, else of the caller's own domain")
    domainid: Domain | None = uuid("List what belongs to this domain", DOMAIN)
    isrecursive: bool = boolean("Whether domainid means the domains beneath it, too")
    listall: bool = boolean("List all that the caller may see, in place of the caller's own")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedListArgs(ScopedListArgs):
    """What every list of things that belong to accounts or projects takes."""

    projectid: Project | None = uuid("List what belongs to this project", PROJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedListArgs(OwnedListArgs):
    """What every list of things that bear tags takes."""

    tags: tuple[Mapping[str, str], ...] = maps("Those with all these tags: tags[0].key=a&tags[0].value=b")


class Whose(Protocol):
    """The part of arguments that says for whom."""

    @property
    def account(self) -> str: ...
    @property
    def domainid(self) -> Domain | None: ...
    @property
    def projectid(self) -> Project | None: ...


def namespaces(call: Call, args: ScopedListArgs) -> Collection[str] | None:
    """The namespaces that a list is about; None for all of them."""
    if isinstance(args, OwnedListArgs) and args.projectid is not None:
        return (place_of(call, args),)
    if args.account:
        return (account_of(call, args.account, args.domainid).meta.name,)
    if args.domainid is None:
        if not args.listall or call.caller.role is Role.USER:
            return (call.caller.account.meta.name,)
        if call.caller.root:
            return None
    domain = args.domainid or call.caller.domain
    deep = args.isrecursive or args.domainid is None

    def belongs(account: Account) -> bool:
        its = call.directory.domain_of(account)
        if its is None or not call.directory.sees_account(call.caller, account):
            return False
        return call.directory.within(its, domain) if deep else its.meta.uid == domain.meta.uid

    return [account.meta.name for account in call.cloud.all(ACCOUNT, None, belongs)]


def account_of(call: Call, account: str, domain: Domain | None) -> Account:
    """The account that a caller acts for: its own when none is named."""
    if not account:
        if domain is not None and domain.meta.uid != call.caller.domain.meta.uid:
            raise errors.invalid("domainid needs account")
        return call.caller.account
    where = domain or call.caller.domain
    found = call.directory.account_named(account, where)
    if found is None or not call.directory.sees_account(call.caller, found):
        raise errors.invalid(f"Unable to find account {account} in domain {call.directory.path(where)}")
    return found


def place_of(call: Call, args: Whose) -> str:
    """The namespace that a caller acts in: that of a project or an account, its own when none is named."""
    if args.projectid is None:
        return account_of(call, args.account, args.domainid).meta.name
    if args.account:
        raise errors.invalid("Account and projectId can't be specified together")
    return args.projectid.meta.name


def place_to_make(call: Call, args: Whose) -> str:
    """As `place_of`, for what makes something there: a suspended project takes nothing."""
    if args.projectid is not None and args.projectid.spec.suspended:
        raise errors.denied(f"Project {args.projectid.spec.display_name or args.projectid.meta.name} is suspended")
    return place_of(call, args)


def owned(
    call: Call,
    kind: Kind[SpecT, StatusT],
    args: OwnedListArgs,
    id_: Obj[SpecT, StatusT] | None,
    *conditions: Callable[[Obj[SpecT, StatusT]], bool],
) -> list[Obj[SpecT, StatusT]]:
    """The objects that a list asks for; one that is asked for by its id is found wherever the caller may see it."""
    tags = args.tags if isinstance(args, TaggedListArgs) else ()
    tests = (lambda obj: tagged(obj.meta, tags), *conditions) if tags else conditions
    if id_ is not None:
        return [id_] if all(holds(id_) for holds in tests) else []
    where = namespaces(call, args)
    if tags:
        first = tags[0]
        tag = tag_named(first.get("key", ""), first["value"]) if "value" in first else first.get("key", "")
        return call.cloud.tagged(kind, tag, where, *tests)
    return call.cloud.all(kind, where, *tests)


def tagged(meta: Meta, tags: Sequence[Mapping[str, str]]) -> bool:
    """Whether an object has all these tags; a key alone asks for any value."""
    own = tags_of(meta) if tags else {}
    return all(own.get(tag.get("key", "")) in ({tag["value"]} if "value" in tag else own.values()) for tag in tags)


class Named(Protocol):
    """Arguments of a list by id, name and keyword."""

    @property
    def id(self) -> Obj[Any, Any] | None: ...
    @property
    def name(self) -> str: ...
    @property
    def keyword(self) -> str: ...


def asked(args: Named, obj: Obj[Any, Any], *texts: str) -> bool:
    """Whether an object is the one of the id, of the name and with the keyword, as far as these were given."""
    return (
        (args.id is None or obj.meta.uid == args.id.meta.uid)
        and args.name in ("", *texts)
        and contains(args.keyword, *texts)
    )


def listing(args: ListArgs, found: Sequence[T], respond: Callable[[T], object]) -> Listing:
    """The page that was asked for; only its entries are made."""
    size = MOST if args.pagesize is None else len(found) if args.pagesize == -1 else args.pagesize
    first = ((args.page or 1) - 1) * size
    return Listing(len(found), [respond(each) for each in found[first : first + size]])


def contains(word: str, *texts: str) -> bool:
    """Whether one of the texts contains the word, in any case; every text contains no word."""
    return not word or any(word.lower() in text.lower() for text in texts)


def has_in_name(word: str) -> Callable[[Obj[Any, Any]], bool]:
    """Whether an object's name contains the word, in any case."""
    low = word.lower()
    return lambda obj: low in name_of(obj).lower()


def is_or_any(wanted: Obj[Any, Any] | None, name: str | None) -> bool:
    """Whether a filter by an object lets in what refers to one of this name."""
    return wanted is None or wanted.meta.name == name
