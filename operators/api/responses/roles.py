"""Roles as CloudStack shows them: the four that are built in, and AccessRoles."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from operators.api.rights import AccessRole
from operators.contract.identity import Role

NAMES = {
    Role.ADMIN: "Root Admin",
    Role.DOMAIN_ADMIN: "Domain Admin",
    Role.RESOURCE_ADMIN: "Resource Admin",
    Role.USER: "User",
}
ABOUT = {
    Role.ADMIN: "Everything, everywhere",
    Role.DOMAIN_ADMIN: "Everything of the accounts of a domain and of those beneath",
    Role.RESOURCE_ADMIN: "What the accounts of a domain have",
    Role.USER: "What its own account has",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleResponse:
    """A role."""

    id: str
    name: str
    type: str
    description: str
    isdefault: bool
    ispublic: bool = True
    state: str = "enabled"


def built_in(role: Role) -> RoleResponse:
    """The response of a role that is always there."""
    return RoleResponse(id=id_of(role), name=NAMES[role], type=role.value, description=ABOUT[role], isdefault=True)


def access_role(obj: AccessRole) -> RoleResponse:
    """The response of an AccessRole."""
    return RoleResponse(
        id=obj.meta.uid,
        name=role_name(obj),
        type=obj.spec.type.value,
        description=obj.spec.description,
        isdefault=False,
        ispublic=obj.spec.public,
    )


def role_name(obj: AccessRole) -> str:
    """What the API calls an AccessRole."""
    return obj.spec.display_name or obj.meta.name


def id_of(role: Role) -> str:
    """The id of a role that is always there: no object stands for it."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{role.value}.role.cloudstack.dev"))
