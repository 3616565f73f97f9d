"""Projects: tenants that several accounts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, ScopedListArgs, account_of, contains, listing, tagged
from operators.api.changing import change, given, remove, update
from operators.api.declare import Answer, Started, boolean, command, maps, string, uuid
from operators.api.directory import Account, Domain, Project, account_name, project_name
from operators.api.jobs import CREATION, DELETION, changed, done, job_id
from operators.api.limits import reserved
from operators.api.responses.done import Done
from operators.api.responses.identity import ProjectResponse, project
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.identity import (
    ACCOUNT,
    DOMAIN,
    PROJECT,
    PROJECT_PREFIX,
    Member,
    MemberRole,
    ProjectSpec,
    Resource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProject:
    """Arguments."""

    name: str = string("Name of the project", required=True)
    displaytext: str = string("What it is for")
    account: str = string("The account that shall run it; the caller's own by default")
    domainid: Domain | None = uuid("The domain of the account", DOMAIN)


@command(
    "createProject",
    "Creates a project. Its namespace is made by the Data service.",
    item=ProjectResponse,
    key="project",
    asynchronous=True,
    refused="accountid userid",
)
async def create_project(call: Call, args: CreateProject) -> Answer:
    """The Project, whose name is a function of domain and name, so that only one can have it."""
    account = account_of(call, args.account, args.domainid)
    domain = account.spec.domain
    taken = f"The project with name {args.name} already exists in the domain"
    if call.cloud.all(PROJECT, None, lambda obj: obj.spec.domain == domain and project_name(obj) == args.name):
        raise errors.invalid(taken)
    digest = names.digest(domain, args.name, length=6)
    own = names.joined(f"{PROJECT_PREFIX}{naming.slug(args.name, 'new')}", digest)
    members = (Member(account.meta.name, MemberRole.ADMIN),)
    spec = to_wire(ProjectSpec(domain, args.name, args.displaytext, members))
    async with reserved(call, account.meta.name, PROJECT, own, {Resource.PROJECTS: 1}):
        made = await naming.claim(call, PROJECT, own, spec, taken)
    return Started(changed(made), made.meta.uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProjects(ScopedListArgs):
    """Arguments."""

    id: Project | None = uuid("ID of the project", PROJECT)
    name: str = string("Name of the project")
    displaytext: str = string("What it is for")
    state: str = string("Active or Suspended")
    tags: tuple[Mapping[str, str], ...] = maps("Those with all these tags: tags[0].key=a&tags[0].value=b")


@command(
    "listProjects",
    "Lists projects.",
    item=ProjectResponse,
    key="project",
    refused="username",
    ignored="details showicon",
)
async def list_projects(call: Call, args: ListProjects) -> Answer:
    """Those that the caller works in; with listall, all that it may see."""

    def wanted(obj: Project) -> bool:
        member = any(each.account == call.caller.account.meta.name for each in obj.spec.members)
        shown = project(call, obj)
        return (
            call.directory.sees_project(call.caller, obj)
            and (member or args.listall or args.id is not None or args.domainid is not None)
            and (args.id is None or args.id.meta.uid == obj.meta.uid)
            and (args.domainid is None or args.domainid.meta.name == obj.spec.domain)
            and args.name in ("", project_name(obj))
            and args.displaytext in ("", shown.displaytext)
            and args.state.lower() in ("", shown.state.lower())
            and contains(args.keyword, project_name(obj))
            and tagged(obj.meta, args.tags)
        )

    return listing(args, call.cloud.all(PROJECT, None, wanted), lambda obj: project(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneProject:
    """Arguments: a project."""

    id: Project = uuid("ID of the project", PROJECT, required=True)


def _run(call: Call, obj: Project) -> Project:
    if not call.directory.runs_project(call.caller, obj):
        raise errors.denied(f"Only its admins may change project {project_name(obj)}")
    return obj


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateProject(OneProject):
    """Arguments."""

    name: str = string("Name of the project from now on")
    displaytext: str = string("What it is for")


@command(
    "updateProject",
    "Changes what a project is called.",
    item=ProjectResponse,
    key="project",
    asynchronous=True,
    refused="account roletype swapowner userid",
)
async def update_project(call: Call, args: UpdateProject) -> Answer:
    """Its namespace keeps the name that it has."""
    spec = given(displayName=args.name, description=args.displaytext)
    return Started(job_id((await update(call, _run(call, args.id), spec)).meta.uid, CREATION))


@command(
    "suspendProject",
    "Lets nothing more be made in a project; what it has goes on.",
    item=ProjectResponse,
    key="project",
    asynchronous=True,
)
async def suspend_project(call: Call, args: OneProject) -> Answer:
    """The owner's own `spec.suspended`."""
    return Started(job_id((await update(call, _run(call, args.id), {"suspended": True})).meta.uid, CREATION))


@command("activateProject", "Ends the suspension of a project.", item=ProjectResponse, key="project", asynchronous=True)
async def activate_project(call: Call, args: OneProject) -> Answer:
    """The owner's own `spec.suspended`."""
    return Started(job_id((await update(call, _run(call, args.id), {"suspended": None})).meta.uid, CREATION))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteProject(OneProject):
    """Arguments."""

    cleanup: bool = boolean("Whether all that it has shall go, too, which is always so")


@command("deleteProject", "Deletes a project with everything that it has.", item=Done, asynchronous=True)
async def delete_project(call: Call, args: DeleteProject) -> Answer:
    """The Data service ends what it has, in order, and lets it go then."""
    await remove(call, _run(call, args.id))
    return Started(job_id(args.id.meta.uid, DELETION))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAccountToProject:
    """Arguments."""

    projectid: Project = uuid("ID of the project", PROJECT, required=True)
    account: str = string("Name of the account, in the project's domain or one that the caller sees")
    roletype: str = string("Admin or Regular")


@command(
    "addAccountToProject",
    "Lets an account work in a project.",
    item=Done,
    asynchronous=True,
    refused="email projectroleid",
)
async def add_account_to_project(call: Call, args: AddAccountToProject) -> Answer:
    """At once, without an invitation."""
    roles = {"": MemberRole.REGULAR} | {each.value.lower(): each for each in MemberRole}
    if args.roletype.lower() not in roles:
        raise errors.invalid("roletype must be Admin or Regular")
    role = roles[args.roletype.lower()]

    def joined(members: tuple[Member, ...], account: Account) -> tuple[Member, ...]:
        others = tuple(each for each in members if each.account != account.meta.name)
        return (*others, Member(account.meta.name, role))

    return await _changed_members(call, args.projectid, args.account, joined)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAccountFromProject:
    """Arguments."""

    projectid: Project = uuid("ID of the project", PROJECT, required=True)
    account: str = string("Name of the account", required=True)


@command("deleteAccountFromProject", "Ends an account's work in a project.", item=Done, asynchronous=True)
async def delete_account_from_project(call: Call, args: DeleteAccountFromProject) -> Answer:
    """A project keeps one admin at least."""

    def left(members: tuple[Member, ...], account: Account) -> tuple[Member, ...]:
        others = tuple(each for each in members if each.account != account.meta.name)
        if not any(each.role is MemberRole.ADMIN for each in others):
            raise errors.invalid("A project needs an admin: add another first")
        return others

    return await _changed_members(call, args.projectid, args.account, left)


async def _changed_members(
    call: Call, obj: Project, name: str, make: Callable[[tuple[Member, ...], Account], tuple[Member, ...]]
) -> Answer:
    account = _member(call, _run(call, obj), name)

    def patch(now: Project) -> Json:
        return {"spec": {"members": to_wire(make(now.spec.members, account))}}

    return Started(done((await change(call, obj, patch)).meta.uid))


def _member(call: Call, obj: Project, name: str) -> Account:
    """An account of the project's own domain, or one that an admin sees elsewhere."""
    domain = call.directory.domain_of(obj)
    found = call.directory.account_named(name, domain) if domain is not None else None
    if found is None:
        raise errors.invalid(f"Account name={name} doesn't exist in the domain of project {project_name(obj)}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProjectAccounts(ListArgs):
    """Arguments."""

    projectid: Project = uuid("ID of the project", PROJECT, required=True)
    account: str = string("Name of the account")
    role: str = string("Admin or Regular")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectAccountResponse:
    """An account that works in a project; CloudStack declares that it answers with projects, and answers with these."""

    projectid: str
    project: str
    accountid: str
    account: str
    role: str
    domainid: str | None
    domain: str | None


@command(
    "listProjectAccounts",
    "Lists the accounts that work in a project.",
    item=ProjectResponse,
    key="projectaccount",
    refused="projectroleid userid",
)
async def list_project_accounts(call: Call, args: ListProjectAccounts) -> Answer:
    """For whoever sees the project."""
    shown = project(call, args.projectid)
    found = []
    for member in args.projectid.spec.members:
        account = call.cloud.named(ACCOUNT, member.account)
        if (
            account is not None
            and args.account in ("", account_name(account))
            and contains(args.keyword, account_name(account))
        ):
            one = ProjectAccountResponse(
                projectid=shown.id,
                project=shown.name,
                accountid=account.meta.uid,
                account=account_name(account),
                role=member.role.value,
                domainid=shown.domainid,
                domain=shown.domain,
            )
            found.append(one)
    wanted = [each for each in found if args.role.lower() in ("", each.role.lower())]
    return listing(args, wanted, lambda each: each)
