"""Accounts."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from operators.api import errors, naming
from operators.api.call import Call, account_of, asked, listing
from operators.api.changing import remove, update
from operators.api.declare import (
    ADMINS,
    Answer,
    Single,
    Started,
    boolean,
    command,
    identifier,
    integer,
    string,
    uuid,
)
from operators.api.directory import Account, Domain, account_name
from operators.api.jobs import DELETION, done, job_id
from operators.api.keys import check_username, make_user
from operators.api.people import PeopleArgs, chosen_role, in_scope, rule_over
from operators.api.responses import identity as respond
from operators.api.responses.done import Done
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.identity import ACCOUNT, DOMAIN, ROOT, AccountSpec, Role, UserSpec
from operators.contract.meta import holds
from operators.contract.reasons import Type

log = structlog.get_logger()

KEEPERS = ADMINS - {Role.RESOURCE_ADMIN}
"""Who may make and change accounts."""
SECONDS = 8.0
"""For which a new account's namespace is waited for, so that its caller can use it at once; clients wait for ten."""


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
        return asked(args, obj, account_name(obj)) and in_scope(call, args, obj, by_id=args.id is not None)

    return listing(args, call.cloud.all(ACCOUNT, None, wanted), lambda obj: respond.account(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAccount:
    """Arguments."""

    account: str = string("Name of the account; that of its user by default")
    username: str = string("Name that its first user logs in with", required=True)
    password: str = string("The user's password", required=True)
    firstname: str = string("The user's first name", required=True)
    lastname: str = string("The user's last name", required=True)
    email: str = string("The user's address", required=True)
    accounttype: int | None = integer("0 user, 1 root admin, 2 domain admin, 3 resource admin; or roleid")
    roleid: str = identifier("ID of the role, in place of accounttype")
    domainid: Domain | None = uuid("ID of the domain; ROOT by default", DOMAIN)


@command(
    "createAccount",
    "Creates an account with its first user.",
    item=respond.AccountResponse,
    key="account",
    roles=KEEPERS,
    refused="accountdetails accountid networkdomain userid",
    ignored="timezone",
)
async def create_account(call: Call, args: CreateAccount) -> Answer:
    """The Account, then its User. The Data service makes its namespace, where everything that it will have is."""
    domain = args.domainid or (call.cloud.named(DOMAIN, ROOT) if call.caller.root else call.caller.domain)
    if domain is None:
        raise errors.internal()
    role, custom = chosen_role(call, args.roleid, args.accounttype)
    if role is Role.ADMIN and domain.meta.name != ROOT:
        raise errors.invalid("only accounts of domain ROOT can have the role of a root admin")
    name = args.account or args.username
    if call.directory.account_named(name, domain) is not None:
        raise errors.invalid(_taken(name))
    check_username(call, args.username, domain)
    own = names.joined(naming.slug(name, "account"), names.digest(domain.meta.name, name, length=6))
    spec = AccountSpec(domain=domain.meta.name, display_name=name, role=role, access_role=custom)
    made = await naming.claim(call, ACCOUNT, own, to_wire(spec), _taken(name))
    person = UserSpec(own, args.username, args.firstname, args.lastname, args.email)
    await make_user(call, person, domain, args.password)
    if not await call.cloud.seen((ACCOUNT,), lambda: _usable(call, made), SECONDS):
        log.warning("account_without_namespace", account=own, waited=SECONDS)
    return Single(respond.account(call, made))


def _usable(call: Call, account: Account) -> bool:
    """Whether it has its namespace, with its people's rights."""
    now = call.cloud.by_uid(ACCOUNT, account.meta.uid)
    return now is not None and bool(now.status.namespace) and holds(now.status.conditions, Type.READY)


def _taken(name: str) -> str:
    return f"The specified account {name} already exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneAccount:
    """Arguments: an account, by its id or by its name and domain."""

    id: Account | None = uuid("ID of the account", ACCOUNT)
    account: str = string("Name of the account, in place of id")
    domainid: Domain | None = uuid("ID of the account's domain, with account", DOMAIN)


def _target(call: Call, args: OneAccount) -> Account:
    if args.id is None and not args.account:
        raise errors.invalid("Either id, or account and domainid, is needed")
    return rule_over(call, args.id or account_of(call, args.account, args.domainid))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAccount(OneAccount):
    """Arguments."""

    newname: str = string("Name of the account from now on")
    roleid: str = identifier("ID of its role from now on, of the same type")


@command(
    "updateAccount",
    "Changes an account's name or role.",
    item=respond.AccountResponse,
    key="account",
    roles=KEEPERS,
    refused="accountdetails apikeyaccess networkdomain",
)
async def update_account(call: Call, args: UpdateAccount) -> Answer:
    """Its namespace keeps the name that it has."""
    account = _target(call, args)
    spec: dict[str, str | None] = {}
    if args.newname and args.newname != account_name(account):
        domain = call.directory.domain_of(account)
        if domain is not None and call.directory.account_named(args.newname, domain) is not None:
            raise errors.invalid(_taken(args.newname))
        spec["displayName"] = args.newname
    if args.roleid:
        role, custom = chosen_role(call, args.roleid, None)
        if role is Role.ADMIN and account.spec.domain != ROOT:
            raise errors.invalid("only accounts of domain ROOT can have the role of a root admin")
        spec |= {"role": role.value, "accessRole": custom or None}
    return Single(respond.account(call, await update(call, account, spec)))


@command(
    "enableAccount",
    "Lets an account's users in again.",
    item=respond.AccountResponse,
    key="account",
    roles=KEEPERS,
)
async def enable_account(call: Call, args: OneAccount) -> Answer:
    """The operator's own `spec.enabled`."""
    return Single(respond.account(call, await update(call, _target(call, args), {"enabled": True})))


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableAccount(OneAccount):
    """Arguments."""

    lock: bool = boolean("Whether to lock it in CloudStack's sense: it is the same here", required=True)


@command(
    "disableAccount",
    "Keeps an account's users out; what it has goes on.",
    item=respond.AccountResponse,
    key="account",
    roles=KEEPERS,
    asynchronous=True,
)
async def disable_account(call: Call, args: DisableAccount) -> Answer:
    """The operator's own `spec.enabled`; its API keys and sessions end at once."""
    return Started(done((await _shut(call, _target(call, args))).meta.uid))


async def _shut(call: Call, account: Account) -> Account:
    if account.meta.uid == call.caller.account.meta.uid:
        raise errors.denied("Nobody can disable the own account")
    return await update(call, account, {"enabled": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAccount:
    """Arguments."""

    account: str = string("Name of the account", required=True)
    domainid: Domain = uuid("ID of the account's domain", DOMAIN, required=True)


@command(
    "lockAccount",
    "Keeps an account's users out; what it has goes on. It is then shown as disabled.",
    item=respond.AccountResponse,
    key="account",
    roles=KEEPERS,
)
async def lock_account(call: Call, args: LockAccount) -> Answer:
    """What CloudStack's locking does, and `disableAccount` here."""
    account = rule_over(call, account_of(call, args.account, args.domainid))
    return Single(respond.account(call, await _shut(call, account)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAccount:
    """Arguments."""

    id: Account = uuid("ID of the account", ACCOUNT, required=True)


@command(
    "deleteAccount",
    "Deletes an account with its users and everything that it has.",
    item=Done,
    roles=KEEPERS,
    asynchronous=True,
)
async def delete_account(call: Call, args: DeleteAccount) -> Answer:
    """The Data service ends what it has, in order, and lets it go then."""
    account = rule_over(call, args.id)
    if account.meta.uid == call.caller.account.meta.uid:
        raise errors.denied("Nobody can delete the own account")
    await remove(call, account)
    return Started(job_id(account.meta.uid, DELETION))
