"""Domains."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, asked, listing
from operators.api.changing import given, remove, update
from operators.api.declare import ADMINS, Answer, Single, Started, boolean, command, integer, string, uuid
from operators.api.directory import Domain, domain_name
from operators.api.jobs import DELETION, job_id
from operators.api.responses import identity as respond
from operators.api.responses.done import Done
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT, ROOT, DomainSpec, Role


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
            and asked(args, obj, domain_name(obj))
            and args.level in (None, respond.level_of(call, obj))
        )

    return listing(args, call.cloud.all(DOMAIN, None, wanted), lambda obj: respond.domain(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDomainChildren(ListArgs):
    """Arguments."""

    id: Domain | None = uuid("ID of the domain; the caller's own by default", DOMAIN)
    name: str = string("Name of the domains")
    isrecursive: bool = boolean("Whether to list those beneath them, too")
    listall: bool = boolean("List all that the caller may see, which is the default")


@command(
    "listDomainChildren",
    "Lists the domains beneath one.",
    item=respond.DomainResponse,
    key="domain",
    ignored="showicon",
)
async def list_domain_children(call: Call, args: ListDomainChildren) -> Answer:
    """Those the caller sees."""
    top = args.id or call.caller.domain

    def wanted(obj: Domain) -> bool:
        beneath = call.directory.within(obj, top) if args.isrecursive else obj.spec.parent == top.meta.name
        named = args.name in ("", domain_name(obj)) and args.keyword.lower() in domain_name(obj).lower()
        return named and beneath and obj.meta.uid != top.meta.uid and call.directory.sees_domain(call.caller, obj)

    return listing(args, call.cloud.all(DOMAIN, None, wanted), lambda obj: respond.domain(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDomain:
    """Arguments."""

    name: str = string("Name of the domain", required=True)
    parentdomainid: Domain | None = uuid("ID of the domain above it; the caller's own by default", DOMAIN)


@command(
    "createDomain",
    "Creates a domain.",
    item=respond.DomainResponse,
    key="domain",
    roles=frozenset({Role.ADMIN, Role.DOMAIN_ADMIN}),
    refused="domainid networkdomain",
)
async def create_domain(call: Call, args: CreateDomain) -> Answer:
    """The object's name is a function of parent and name, so only one of a name can be beneath a parent."""
    if "/" in args.name:
        raise errors.invalid(f"Invalid domain name {args.name}: it may not contain /")
    parent = args.parentdomainid or call.caller.domain
    _must_be_free(call, parent.meta.name, args.name)
    own = names.joined(naming.slug(args.name, "domain"), names.digest(parent.meta.name, args.name.lower(), length=6))
    spec = to_wire(DomainSpec(parent=parent.meta.name, display_name=args.name))
    made = await naming.claim(call, DOMAIN, own, spec, _taken(args.name))
    return Single(respond.domain(call, made))


def _must_be_free(call: Call, parent: str, name: str) -> None:
    def is_it(obj: Domain) -> bool:
        return obj.spec.parent == parent and domain_name(obj).lower() == name.lower()

    if call.cloud.all(DOMAIN, None, is_it):
        raise errors.invalid(_taken(name))


def _taken(name: str) -> str:
    return f"Domain with name {name} already exists for the parent"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDomain:
    """Arguments."""

    id: Domain = uuid("ID of the domain", DOMAIN, required=True)
    name: str = string("Name of the domain from now on")


@command(
    "updateDomain",
    "Gives a domain another name.",
    item=respond.DomainResponse,
    key="domain",
    roles=ADMINS - {Role.RESOURCE_ADMIN},
    refused="networkdomain",
)
async def update_domain(call: Call, args: UpdateDomain) -> Answer:
    """The name for people."""
    if args.name and args.name != domain_name(args.id):
        _must_be_free(call, args.id.spec.parent, args.name)
    return Single(respond.domain(call, await update(call, args.id, given(displayName=args.name))))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDomain:
    """Arguments."""

    id: Domain = uuid("ID of the domain", DOMAIN, required=True)


@command(
    "deleteDomain",
    "Deletes a domain that nothing is in.",
    item=Done,
    roles=frozenset({Role.ADMIN, Role.DOMAIN_ADMIN}),
    asynchronous=True,
    refused="cleanup",
)
async def delete_domain(call: Call, args: DeleteDomain) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""
    name = args.id.meta.name
    if name == ROOT or args.id.meta.uid == call.caller.domain.meta.uid:
        raise errors.denied("The domain of the caller, or ROOT, cannot be deleted")
    beneath = call.cloud.all(DOMAIN, None, lambda obj: obj.spec.parent == name)
    accounts = call.cloud.all(ACCOUNT, None, lambda obj: obj.spec.domain == name)
    projects = call.cloud.all(PROJECT, None, lambda obj: obj.spec.domain == name)
    if first := [*beneath, *accounts, *projects][:1]:
        raise errors.in_use(f"Can't delete domain {domain_name(args.id)}: {first[0].meta.name} is in it")
    await remove(call, args.id)
    return Started(job_id(args.id.meta.uid, DELETION))
