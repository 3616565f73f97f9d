"""Domains, accounts and users."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, listing
from operators.api.declare import Answer, Command, boolean, command, integer, string, uuid
from operators.api.directory import Account, Domain, User, account_name, domain_name, user_name
from operators.api.responses import identity as respond
from operators.contract.identity import ACCOUNT, DOMAIN, USER, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDomains(ListArgs):
    """Arguments."""

    id: Domain | None = uuid("ID of the domain", DOMAIN)
    name: str = string("Name of the domain")
    level: int | None = integer("Domains so deep in the tree; 0 is ROOT")
    listall: bool = boolean("List all that the caller may see, which is the default")


@command(
    "listDomains",
    "Lists domains.",
    item=respond.DomainResponse,
    key="domain",
    refused="tag",
    ignored="details showicon",
)
async def list_domains(call: Call, args: ListDomains) -> Answer:
    """Admins see theirs and those beneath, others their own."""

    def wanted(obj: Domain) -> bool:
        return (
            call.directory.sees_domain(call.caller, obj)
            and (args.id is None or obj.meta.uid == args.id.meta.uid)
            and args.name in ("", domain_name(obj))
            and args.level in (None, respond.level_of(call, obj))
            and contains(args.keyword, domain_name(obj))
        )

    return listing(args, call.cloud.all(DOMAIN, None, wanted), lambda obj: respond.domain(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleArgs(ListArgs):
    """What both lists of people take."""

    domainid: Domain | None = uuid("Those of this domain", DOMAIN)
    isrecursive: bool = boolean("Whether domainid means the domains beneath it, too")
    listall: bool = boolean("List all that the caller may see, in place of the caller's own")
    accounttype: int | None = integer("0 user, 1 root admin, 2 domain admin, 3 resource admin")
    state: str = string("enabled or disabled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAccounts(PeopleArgs):
    """Arguments."""

    id: Account | None = uuid("ID of the account", ACCOUNT)
    name: str = string("Name of the account")


@command(
    "listAccounts",
    "Lists accounts.",
    item=respond.AccountResponse,
    key="account",
    refused="apikeyaccess iscleanuprequired tag",
    ignored="details showicon",
)
async def list_accounts(call: Call, args: ListAccounts) -> Answer:
    """Admins see those of their domains, others their own."""

    def wanted(obj: Account) -> bool:
        return (
            (args.id is None or obj.meta.uid == args.id.meta.uid)
            and args.name in ("", account_name(obj))
            and _in_scope(call, args, obj, by_id=args.id is not None)
            and contains(args.keyword, account_name(obj))
        )

    return listing(args, call.cloud.all(ACCOUNT, None, wanted), lambda obj: respond.account(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUsers(PeopleArgs):
    """Arguments."""

    id: User | None = uuid("ID of the user", USER)
    username: str = string("Name that the user logs in with")
    account: str = string("Users of this account")


@command(
    "listUsers",
    "Lists users.",
    item=respond.UserResponse,
    key="user",
    refused="apikeyaccess usersource",
    ignored="showicon",
)
async def list_users(call: Call, args: ListUsers) -> Answer:
    """Admins see those of their domains, others those of their own account."""

    def wanted(obj: User) -> bool:
        its = call.directory.account_of(obj.spec.account)
        return (
            its is not None
            and (args.id is None or obj.meta.uid == args.id.meta.uid)
            and args.username in ("", user_name(obj))
            and args.account in ("", account_name(its))
            and _in_scope(call, args, its, by_id=bool(args.id or args.account))
            and contains(args.keyword, user_name(obj))
        )

    return listing(args, call.cloud.all(USER, None, wanted), lambda obj: respond.user(call, obj))


def _in_scope(call: Call, args: PeopleArgs, account: Account, *, by_id: bool) -> bool:
    """Whether an account is among those asked for, and one that the caller may see."""
    if not call.directory.sees_account(call.caller, account):
        return False
    if args.accounttype not in (None, respond.TYPES[account.spec.role]):
        return False
    if args.state.lower() not in ("", "enabled" if account.spec.enabled else "disabled"):
        return False
    if args.domainid is not None:
        its = call.directory.domain_of(account)
        deep = args.isrecursive and its is not None and call.directory.within(its, args.domainid)
        return deep or (its is not None and its.meta.uid == args.domainid.meta.uid)
    everything = by_id or args.listall or call.caller.role is not Role.USER
    return everything or account.meta.uid == call.caller.account.meta.uid


COMMANDS: tuple[Command, ...] = (list_domains, list_accounts, list_users)
