"""What accounts, projects and domains may have, and what they have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from operators.api import errors
from operators.api.call import Call, OwnedListArgs, account_of, listing
from operators.api.changing import update
from operators.api.declare import ADMINS, Answer, Listing, Single, command, integer, long, string, uuid
from operators.api.directory import Account, Domain, Project
from operators.api.limits import NUMBERS, Holder, called, used
from operators.api.wire import Long
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT, Resource, Role

UNLIMITED = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitResponse:
    """The most that somebody may have of something; -1 for any number."""

    account: str | None = None
    project: str | None = None
    projectid: str | None = None
    domainid: str | None
    domain: str | None
    resourcetype: str
    resourcetypename: str
    max: Long


@dataclass(frozen=True, slots=True, kw_only=True)
class CountResponse:
    """How much somebody has of something."""

    account: str | None = None
    project: str | None = None
    projectid: str | None = None
    domainid: str | None
    domain: str | None
    resourcetype: str
    resourcetypename: str
    resourcecount: Long


def _owner(call: Call, holder: Holder) -> dict[str, str | None]:
    name = called(holder).partition(" ")[2]
    if holder.kind is DOMAIN:
        return {"domainid": holder.meta.uid, "domain": name}
    owner = call.directory.owner(holder.meta.name)
    about = {"domainid": owner.domainid, "domain": owner.domain}
    return about | ({"account": name} if holder.kind is ACCOUNT else {"project": name, "projectid": holder.meta.uid})


def _limit(call: Call, holder: Holder, resource: Resource) -> LimitResponse:
    numbered = NUMBERS[resource]
    return LimitResponse(
        resourcetype=str(numbered.number),
        resourcetypename=numbered.name,
        max=Long(holder.spec.limits.get(resource, UNLIMITED)),
        **_owner(call, holder),
    )


def _resource(number: int) -> Resource:
    found = [each for each, numbered in NUMBERS.items() if numbered.number == number]
    if not found:
        raise errors.invalid(f"there is no resource type {number}: they are 0 to 11")
    return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListResourceLimits(OwnedListArgs):
    """Arguments."""

    resourcetype: int | None = integer("Number of the resource, 0 to 11")
    resourcetypename: str = string("Name of the resource, such as user_vm")


@command("listResourceLimits", "Lists limits.", item=LimitResponse, key="resourcelimit", refused="id tag")
async def list_resource_limits(call: Call, args: ListResourceLimits) -> Answer:
    """Of the caller's account, or of whom it asks about; of a domain when no account is named."""
    found = [
        _limit(call, _holder(call, args.account, args.domainid, args.projectid), resource)
        for resource, numbered in NUMBERS.items()
        if args.resourcetype in (None, numbered.number) and args.resourcetypename.lower() in ("", numbered.name)
    ]
    return listing(args, found, lambda each: each)


def _holder(call: Call, account: str, domain: Domain | None, project: Project | None) -> Holder:
    if project is not None:
        return project
    return domain if domain is not None and not account else account_of(call, account, domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResourceLimit:
    """Arguments."""

    resourcetype: int = integer("Number of the resource, 0 to 11", required=True)
    max: int | None = long("The most from now on; -1 for any number")
    account: str = string("Name of the account; the domain itself when left out")
    domainid: Domain | None = uuid("ID of the domain", DOMAIN)
    projectid: Project | None = uuid("ID of the project", PROJECT)


@command(
    "updateResourceLimit",
    "Sets a limit.",
    item=LimitResponse,
    key="resourcelimit",
    roles=ADMINS - {Role.RESOURCE_ADMIN},
    refused="tag",
)
async def update_resource_limit(call: Call, args: UpdateResourceLimit) -> Answer:
    """The operator's own `spec.limits`. What is there already stays; nobody changes the limits on themselves."""
    resource, holder = _resource(args.resourcetype), _holder(call, args.account, args.domainid, args.projectid)
    own = {call.caller.account.meta.uid, *(each.meta.uid for each in call.directory.lineage(call.caller.domain))}
    if holder.meta.uid in own and not call.caller.root:
        raise errors.denied("Nobody can change limits of the own account, or of the domains that it is in")
    most = UNLIMITED if args.max is None else args.max
    if most < UNLIMITED:
        raise errors.invalid("max must be -1 or more")
    limits = {resource.value: None if most == UNLIMITED else most}
    changed = await update(call, cast(Account, holder), {"limits": limits})
    return Single(_limit(call, changed, resource))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResourceCount:
    """Arguments."""

    domainid: Domain = uuid("ID of the domain", DOMAIN, required=True)
    account: str = string("Name of the account; the domain itself when left out")
    projectid: Project | None = uuid("ID of the project", PROJECT)
    resourcetype: int | None = integer("Number of the resource, 0 to 11; all when left out")


@command(
    "updateResourceCount",
    "Tells how much somebody has. It is counted anew each time, so nothing needs to be updated.",
    item=CountResponse,
    key="resourcecount",
    roles=ADMINS - {Role.RESOURCE_ADMIN},
    refused="tag",
)
async def update_resource_count(call: Call, args: UpdateResourceCount) -> Answer:
    """From the objects that there are."""
    found = list(_counts(call, args))
    return Listing(len(found), found)


def _counts(call: Call, args: UpdateResourceCount) -> Iterator[CountResponse]:
    holder = _holder(call, args.account, args.domainid, args.projectid)
    has = used(call, holder)
    for resource, numbered in NUMBERS.items():
        if args.resourcetype in (None, numbered.number):
            yield CountResponse(
                resourcetype=str(numbered.number),
                resourcetypename=numbered.name,
                resourcecount=Long(has[resource]),
                **_owner(call, holder),
            )
