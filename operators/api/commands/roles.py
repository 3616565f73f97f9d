"""Roles: the four that are built in, and AccessRoles, which say command by command what their accounts may call."""

from __future__ import annotations

import uuid as rfc
from collections.abc import Sequence
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, contains, listing
from operators.api.changing import change, given, remove, update
from operators.api.declare import (
    ADMINS,
    ROOT_ADMIN,
    Answer,
    Listing,
    Single,
    boolean,
    command,
    identifier,
    string,
    uuid,
    words,
)
from operators.api.responses.done import Done
from operators.api.responses.roles import NAMES, RoleResponse, access_role, built_in, id_of, role_name
from operators.api.rights import AccessRole
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.identity import ACCESS_ROLE, ACCOUNT, AccessRoleSpec, Permission, Role, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRoles(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the role")
    name: str = string("Name of the role")
    type: str = string("Admin, DomainAdmin, ResourceAdmin or User")
    state: str = string("enabled, which all are")


@command("listRoles", "Lists roles.", item=RoleResponse, key="role", roles=ADMINS)
async def list_roles(call: Call, args: ListRoles) -> Answer:
    """The built-in ones first. Those that are not public are for root admins to see."""
    custom = call.cloud.all(ACCESS_ROLE, None, lambda obj: obj.spec.public or call.caller.root)
    every = [built_in(role) for role in Role] + [access_role(obj) for obj in custom]
    found = [
        each
        for each in every
        if args.id in ("", each.id)
        and args.name in ("", each.name)
        and args.type.lower() in ("", each.type.lower())
        and args.state.lower() in ("", each.state)
        and contains(args.keyword, each.name)
    ]
    return listing(args, found, lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRole:
    """Arguments."""

    name: str = string("Name of the role", required=True)
    type: str = string("Admin, DomainAdmin, ResourceAdmin or User; or roleid")
    roleid: str = identifier("ID of a role to begin with the rules and type of")
    description: str = string("What it is for")
    ispublic: bool = boolean("Whether admins of domains may give it to accounts", default=True)


@command(
    "createRole",
    "Creates a role, which lets nothing until it has rules.",
    item=RoleResponse,
    key="role",
    roles=ROOT_ADMIN,
)
async def create_role(call: Call, args: CreateRole) -> Answer:
    """The AccessRole that kubectl would make; its rules narrow what its type may do."""
    if any(each.name == args.name for each in [built_in(role) for role in Role]) or call.cloud.all(
        ACCESS_ROLE, None, lambda obj: role_name(obj) == args.name
    ):
        raise errors.invalid(_taken(args.name))
    type_, rules = _origin(call, args)
    own = names.joined(naming.slug(args.name, "role"), names.digest(args.name, length=6))
    spec = AccessRoleSpec(type_, args.name, args.description, args.ispublic, rules)
    wire = to_wire(spec) | {"public": args.ispublic}
    return Single(access_role(await naming.claim(call, ACCESS_ROLE, own, wire, _taken(args.name))))


def _taken(name: str) -> str:
    return f"Role with name {name} already exists"


def _origin(call: Call, args: CreateRole) -> tuple[Role, tuple[Rule, ...]]:
    """The type, and the rules to begin with."""
    if not args.roleid:
        types = {each.value.lower(): each for each in Role}
        if args.type.lower() not in types:
            raise errors.invalid("Role type is needed: Admin, DomainAdmin, ResourceAdmin or User; or a roleid")
        return types[args.type.lower()], ()
    if args.type:
        raise errors.invalid("Only one of type and roleid can be given")
    for role in Role:
        if id_of(role) == args.roleid:
            return role, (Rule("*", Permission.ALLOW),)
    origin = call.cloud.by_uid(ACCESS_ROLE, args.roleid)
    if origin is None:
        raise errors.no_entity("createRole", "roleid", args.roleid)
    return origin.spec.type, origin.spec.rules


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRole:
    """Arguments."""

    id: AccessRole = uuid("ID of the role", ACCESS_ROLE, required=True)
    name: str = string("Name of the role from now on")
    description: str = string("What it is for")
    ispublic: bool | None = boolean("Whether admins of domains may give it to accounts", default=None)


@command(
    "updateRole",
    "Changes what a role is called, and who may give it.",
    item=RoleResponse,
    key="role",
    roles=ROOT_ADMIN,
    refused="type",
)
async def update_role(call: Call, args: UpdateRole) -> Answer:
    """Its type cannot change."""
    spec = given(displayName=args.name, description=args.description, public=args.ispublic)
    return Single(access_role(await update(call, args.id, spec)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRole:
    """Arguments."""

    id: AccessRole = uuid("ID of the role", ACCESS_ROLE, required=True)


@command("deleteRole", "Deletes a role that no account has.", item=Done, roles=ROOT_ADMIN)
async def delete_role(call: Call, args: DeleteRole) -> Answer:
    """Refuse what is in use: its accounts would be left without any rights."""
    if users := call.cloud.all(ACCOUNT, None, lambda obj: obj.spec.access_role == args.id.meta.name):
        raise errors.in_use(f"Can't delete role {role_name(args.id)}: account {users[0].meta.name} has it")
    await remove(call, args.id)
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePermission:
    """A rule of a role."""

    id: str
    roleid: str
    rolename: str
    rule: str
    permission: str
    description: str


def _id(role: AccessRole, rule: Rule) -> str:
    """A rule's id: a function of its role and what it is about, since no object stands for it."""
    return str(rfc.uuid5(rfc.NAMESPACE_DNS, f"{rule.command.lower()}.{role.meta.uid}"))


def _shown(role: AccessRole, rule: Rule) -> RulePermission:
    return RulePermission(
        id=_id(role, rule),
        roleid=role.meta.uid,
        rolename=role_name(role),
        rule=rule.command,
        permission=rule.permission.value.lower(),
        description=rule.description,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRolePermissions:
    """Arguments."""

    roleid: str = identifier("ID of the role; all roles when left out")


@command(
    "listRolePermissions",
    "Lists the rules of roles, in their order.",
    item=RulePermission,
    key="rolepermission",
    roles=ADMINS,
)
async def list_role_permissions(call: Call, args: ListRolePermissions) -> Answer:
    """A built-in role has the one rule that lets everything of its type."""
    custom = call.cloud.all(ACCESS_ROLE, None, lambda obj: obj.spec.public or call.caller.root)
    found = [_shown(role, rule) for role in custom for rule in role.spec.rules if args.roleid in ("", role.meta.uid)]
    for role in Role:
        if args.roleid in ("", id_of(role)):
            rule = f"*.{id_of(role)}"
            one = RulePermission(
                id=str(rfc.uuid5(rfc.NAMESPACE_DNS, rule)),
                roleid=id_of(role),
                rolename=NAMES[role],
                rule="*",
                permission="allow",
                description="Every command of this type of role",
            )
            found.append(one)
    return Listing(len(found), found)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRolePermission:
    """Arguments."""

    roleid: AccessRole = uuid("ID of the role", ACCESS_ROLE, required=True)
    rule: str = string("Name of a command; * stands for any letters", required=True)
    permission: str = string("allow or deny", required=True)
    description: str = string("What it is for")


def _permission(text: str) -> Permission:
    known = {each.value.lower(): each for each in Permission}
    if text.lower() not in known:
        raise errors.invalid(f"permission must be allow or deny, not {text}")
    return known[text.lower()]


def _rules(rules: Sequence[Rule]) -> Json:
    return {"spec": {"rules": to_wire(tuple(rules))}}


@command(
    "createRolePermission",
    "Adds a rule to a role, after its others.",
    item=RulePermission,
    key="rolepermission",
    roles=ROOT_ADMIN,
)
async def create_role_permission(call: Call, args: CreateRolePermission) -> Answer:
    """The first rule that fits a command decides."""
    rule = Rule(args.rule, _permission(args.permission), args.description)

    def make(role: AccessRole) -> Json:
        if any(each.command.lower() == rule.command.lower() for each in role.spec.rules):
            raise errors.invalid(f"Rule {rule.command} already exists in role {role_name(role)}")
        return _rules([*role.spec.rules, rule])

    return Single(_shown(await change(call, args.roleid, make), rule))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRolePermission:
    """Arguments."""

    roleid: AccessRole = uuid("ID of the role", ACCESS_ROLE, required=True)
    ruleid: str = identifier("ID of a rule, whose permission shall change")
    permission: str = string("allow or deny, with ruleid")
    ruleorder: tuple[str, ...] = words("IDs of all its rules in their order from now on, in place of ruleid")


@command("updateRolePermission", "Changes a rule of a role, or their order.", item=Done, roles=ROOT_ADMIN)
async def update_role_permission(call: Call, args: UpdateRolePermission) -> Answer:
    """Either one rule or all of their order."""
    if bool(args.ruleorder) == bool(args.ruleid):
        raise errors.invalid("Only one of ruleid and ruleorder can be given")

    def make(role: AccessRole) -> Json:
        rules = {_id(role, rule): rule for rule in role.spec.rules}
        if args.ruleorder:
            if sorted(args.ruleorder) != sorted(rules):
                raise errors.invalid("ruleorder must name every rule of the role once")
            return _rules([rules[each] for each in args.ruleorder])
        if args.ruleid not in rules:
            raise errors.no_entity("updateRolePermission", "ruleid", args.ruleid)
        old = rules[args.ruleid]
        rules[args.ruleid] = Rule(old.command, _permission(args.permission), old.description)
        return _rules(list(rules.values()))

    await change(call, args.roleid, make)
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRolePermission:
    """Arguments."""

    id: str = identifier("ID of the rule", required=True)


@command("deleteRolePermission", "Takes a rule off its role.", item=Done, roles=ROOT_ADMIN)
async def delete_role_permission(call: Call, args: DeleteRolePermission) -> Answer:
    """Found in whichever role has it."""
    for role in call.cloud.all(ACCESS_ROLE):
        if any(_id(role, rule) == args.id for rule in role.spec.rules):
            await change(call, role, lambda now: _rules([rule for rule in now.spec.rules if _id(now, rule) != args.id]))
            return Single(Done())
    raise errors.no_entity("deleteRolePermission", "id", args.id)
