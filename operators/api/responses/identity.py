"""Domains, Accounts and Users as CloudStack shows them; never a secret key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from operators.api.call import Call
from operators.api.directory import Account, Domain, Project, User, account_name, domain_name, project_name, user_name
from operators.api.responses.roles import NAMES, id_of, role_name
from operators.api.tags import TagResponse, tag_responses
from operators.api.wire import Date, date
from operators.contract.identity import ACCESS_ROLE, ACCOUNT, DOMAIN, USER, MemberRole, Role

TYPES = {Role.USER: 0, Role.ADMIN: 1, Role.DOMAIN_ADMIN: 2, Role.RESOURCE_ADMIN: 3}
"""CloudStack's numbers of account types."""


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
    roleid: str | None
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
    roleid: str | None
    roletype: str
    rolename: str | None
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
    roleid, rolename = _role(call, obj)
    return AccountResponse(
        id=obj.meta.uid,
        name=account_name(obj),
        accounttype=TYPES[obj.spec.role],
        roletype=obj.spec.role.value,
        roleid=roleid,
        rolename=rolename,
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
    roleid, rolename = _role(call, its) if its else (None, None)
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
        roleid=roleid,
        rolename=rolename,
        domainid=of.meta.uid if of else None,
        domain=domain_name(of) if of else None,
        apikey=obj.spec.api_keys[-1] if own and obj.spec.api_keys else None,
    )


def _role(call: Call, obj: Account) -> tuple[str | None, str | None]:
    """Id and name of an account's role; of one whose AccessRole is not there, only what that is called."""
    if not obj.spec.access_role:
        return id_of(obj.spec.role), NAMES[obj.spec.role]
    found = call.cloud.named(ACCESS_ROLE, obj.spec.access_role)
    return (found.meta.uid, role_name(found)) if found else (None, obj.spec.access_role)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectResponse:
    """A project."""

    id: str
    name: str
    displaytext: str
    domainid: str | None
    domain: str | None
    state: str
    projectaccountname: str
    owner: tuple[Mapping[str, str], ...]
    created: Date | None
    tags: tuple[TagResponse, ...] = ()


def project(call: Call, obj: Project) -> ProjectResponse:
    """The response of one project."""
    its = call.directory.domain_of(obj)
    admins = (each.account for each in obj.spec.members if each.role is MemberRole.ADMIN)
    owners = (call.cloud.named(ACCOUNT, name) for name in admins)
    return ProjectResponse(
        id=obj.meta.uid,
        name=project_name(obj),
        displaytext=obj.spec.description or project_name(obj),
        domainid=its.meta.uid if its else None,
        domain=domain_name(its) if its else None,
        state="Suspended" if obj.spec.suspended else "Active",
        projectaccountname=obj.meta.name,
        owner=tuple({"account": account_name(each), "accountid": each.meta.uid} for each in owners if each),
        created=date(obj.meta.creation_timestamp),
        tags=tag_responses(obj.meta),
    )


def _state(enabled: bool) -> str:
    return "enabled" if enabled else "disabled"
