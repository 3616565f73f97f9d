"""Which commands a role may call, and what one account may give another: never more than it has itself."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

from operators.api import errors
from operators.api.cloud import Cloud
from operators.api.declare import Command
from operators.api.directory import Account, Caller
from operators.contract.compute import CatalogueStatus
from operators.contract.identity import ACCESS_ROLE, AccessRoleSpec, Permission, Role
from operators.contract.meta import Obj

AccessRole: TypeAlias = Obj[AccessRoleSpec, CatalogueStatus]

RANK = {Role.USER: 0, Role.RESOURCE_ADMIN: 1, Role.DOMAIN_ADMIN: 2, Role.ADMIN: 3}


def may_call(cloud: Cloud, account: Account, command: Command) -> bool:
    """Whether the users of an account may call a command: by its role, and by its AccessRole if it has one."""
    if not account.spec.access_role:
        return account.spec.role in command.roles
    role = cloud.named(ACCESS_ROLE, account.spec.access_role)
    return role is not None and role.spec.type is account.spec.role and allows(role.spec, command)


def allows(role: AccessRoleSpec, command: Command) -> bool:
    """Whether an AccessRole lets a command: the first rule that fits decides, within what its type may."""
    if role.type not in command.roles:
        return False
    for rule in role.rules:
        if fnmatchcase(command.name.lower(), rule.command.lower()):
            return rule.permission is Permission.ALLOW
    return False


def check_may_give(
    cloud: Cloud, caller: Caller, commands: Sequence[Command], role: Role, custom: AccessRole | None
) -> None:
    """Refuse to give a role that may do what the caller may not. Raises ApiError 531."""
    if RANK[role] > RANK[caller.role]:
        raise errors.denied(f"User can not create an account with role {role.value}, which may do more than its own")
    if custom is not None and not (custom.spec.public or caller.root):
        raise errors.denied(f"Role {custom.meta.name} is for root admins alone to give")
    for command in commands:
        given = allows(custom.spec, command) if custom is not None else role in command.roles
        if given and not may_call(cloud, caller.account, command):
            raise errors.denied(f"User can not give a role that may call {command.name}, which it may not itself")
