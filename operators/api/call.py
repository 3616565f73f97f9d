"""One call of one command: by whom, on what, and the questions that commands share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from operators.api import errors
from operators.api.cloud import Cloud
from operators.api.declare import Command, Listing, boolean, integer, string, uuid
from operators.api.directory import Account, Caller, Directory, Domain
from operators.contract.identity import ACCOUNT, DOMAIN, Role
from operators.contract.meta import Kind, Obj, SpecT, StatusT
from operators.contract.quantity import Duration
from operators.kernel.clock import Clock
from operators.kernel.store import Store

T = TypeVar("T")

MOST = 500
"""Entries of a page."""


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
class OwnedListArgs(ListArgs):
    """What every list of things that belong to accounts takes."""

    account: str = string("List what belongs to this account; with domainid, else of the caller's own domain")
    domainid: Domain | None = uuid("List what belongs to this domain", DOMAIN)
    isrecursive: bool = boolean("Whether domainid means the domains beneath it, too")
    listall: bool = boolean("List all that the caller may see, in place of the caller's own")


def namespaces(call: Call, args: OwnedListArgs) -> Collection[str] | None:
    """The namespaces that a list is about; None for all of them."""
    if args.account:
        return (owner_of(call, args.account, args.domainid).meta.name,)
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


def owner_of(call: Call, account: str, domain: Domain | None) -> Account:
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


def owned(
    call: Call,
    kind: Kind[SpecT, StatusT],
    args: OwnedListArgs,
    id_: Obj[SpecT, StatusT] | None,
    *conditions: Callable[[Obj[SpecT, StatusT]], bool],
) -> list[Obj[SpecT, StatusT]]:
    """The objects that a list asks for; one that is asked for by its id is found wherever the caller may see it."""
    if id_ is not None:
        return [id_] if all(holds(id_) for holds in conditions) else []
    return call.cloud.all(kind, namespaces(call, args), *conditions)


def listing(args: ListArgs, found: Sequence[T], respond: Callable[[T], object]) -> Listing:
    """The page that was asked for; only its entries are made."""
    size = MOST if args.pagesize is None else len(found) if args.pagesize == -1 else args.pagesize
    first = ((args.page or 1) - 1) * size
    return Listing(len(found), [respond(each) for each in found[first : first + size]])


def contains(word: str, *texts: str) -> bool:
    """Whether one of the texts contains the word, in any case; every text contains no word."""
    return not word or any(word.lower() in text.lower() for text in texts)


def is_or_any(wanted: Obj[Any, Any] | None, name: str | None) -> bool:
    """Whether a filter by an object lets in what refers to one of this name."""
    return wanted is None or wanted.meta.name == name
