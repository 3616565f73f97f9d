"""Domains, Accounts and Users as CloudStack shows them; never a secret key."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call
from operators.api.directory import Account, Domain, User, account_name, domain_name, user_name
from operators.api.wire import Date, date
from operators.contract.identity import DOMAIN, USER, Role

TYPES = {Role.USER: 0, Role.ADMIN: 1, Role.DOMAIN_ADMIN: 2, Role.RESOURCE_ADMIN: 3}
"""CloudStack's numbers of account types."""
ROLES = {
    Role.ADMIN: "Root Admin",
    Role.DOMAIN_ADMIN: "Domain Admin",
    Role.RESOURCE_ADMIN: "Resource Admin",
    Role.USER: "User",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainResponse:
    """A domain."""

    id: str
    name: str
    level: int
    parentdomainid: str | None
    parentdomainname: str | None
    haschild: bool
    path: str
    state: str = "Active"
    created: Date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserResponse:
    """A user."""

    id: str
    username: str
    firstname: str
    lastname: str
    email: str
    created: Date | None
    state: str
    account: str
    accountid: str | None
    accounttype: int | None
    roletype: str | None
    rolename: str | None
    domainid: str | None
    domain: str | None
    apikey: str | None
    is2faenabled: bool = False
    isdefault: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResponse:
    """An account."""

    id: str
    name: str
    accounttype: int
    roletype: str
    rolename: str
    domainid: str | None
    domain: str | None
    domainpath: str | None
    state: str
    created: Date | None
    user: tuple[UserResponse, ...]
    isdefault: bool = False


def domain(call: Call, obj: Domain) -> DomainResponse:
    """The response of one domain."""
    parent = call.directory.parent(obj)
    return DomainResponse(
        id=obj.meta.uid,
        name=domain_name(obj),
        level=level_of(call, obj),
        parentdomainid=parent.meta.uid if parent else None,
        parentdomainname=domain_name(parent) if parent else None,
        haschild=any(each.spec.parent == obj.meta.name for each in call.cloud.cache.all(DOMAIN)),
        path=call.directory.path(obj),
        created=date(obj.meta.creation_timestamp),
    )


def level_of(call: Call, obj: Domain) -> int:
    """How deep it is in the tree; 0 for ROOT."""
    return sum(1 for _ in call.directory.lineage(obj)) - 1


def account(call: Call, obj: Account) -> AccountResponse:
    """The response of one account with its users."""
    its = call.directory.domain_of(obj)
    users = call.cloud.all(USER, None, lambda each: each.spec.account == obj.meta.name)
    return AccountResponse(
        id=obj.meta.uid,
        name=account_name(obj),
        accounttype=TYPES[obj.spec.role],
        roletype=obj.spec.role.value,
        rolename=ROLES[obj.spec.role],
        domainid=its.meta.uid if its else None,
        domain=domain_name(its) if its else None,
        domainpath=call.directory.path(its) if its else None,
        state=_state(obj.spec.enabled),
        created=date(obj.meta.creation_timestamp),
        user=tuple(user(call, each) for each in users),
    )


def user(call: Call, obj: User) -> UserResponse:
    """The response of one user; its API key is for itself and for admins to see."""
    its = call.directory.account_of(obj.spec.account)
    of = call.directory.domain_of(its) if its else None
    own = obj.meta.uid == call.caller.user.meta.uid or call.caller.role is not Role.USER
    return UserResponse(
        id=obj.meta.uid,
        username=user_name(obj),
        firstname=obj.spec.first_name,
        lastname=obj.spec.last_name,
        email=obj.spec.email,
        created=date(obj.meta.creation_timestamp),
        state=_state(obj.spec.enabled),
        account=account_name(its) if its else obj.spec.account,
        accountid=its.meta.uid if its else None,
        accounttype=TYPES[its.spec.role] if its else None,
        roletype=its.spec.role.value if its else None,
        rolename=ROLES[its.spec.role] if its else None,
        domainid=of.meta.uid if of else None,
        domain=domain_name(of) if of else None,
        apikey=obj.spec.api_keys[-1] if own and obj.spec.api_keys else None,
    )


def _state(enabled: bool) -> str:
    return "enabled" if enabled else "disabled"
