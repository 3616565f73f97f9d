"""The identity group: domains as a tree, accounts with their namespaces, and the users who act for them.

A secret stands in none of these objects: it is in a Secret, see `names.user_secret`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from operators.contract import names
from operators.contract.compute import CatalogueStatus
from operators.contract.meta import Condition, Kind

ROOT = "root"
"""Name of the Domain at the top of the tree; the CloudStack API shows it as ROOT."""

PASSWORD = "password-hash"  # noqa: S105 - the key of an entry
"""In a user's Secret: the salted hash of the password. Every other entry is an API key with its secret key."""


PROJECT_PREFIX = "project-"
"""What the name of every Project begins with and that of no Account, so that no two tenants share a namespace."""


class Role(StrEnum):
    """What an account's users may do; an AccessRole of the same type narrows it."""

    ADMIN = "Admin"
    DOMAIN_ADMIN = "DomainAdmin"
    RESOURCE_ADMIN = "ResourceAdmin"
    USER = "User"


class Resource(StrEnum):
    """What is counted, and may be limited. Memory is in MiB, storage in GiB."""

    VIRTUAL_MACHINES = "virtualMachines"
    PUBLIC_IPS = "publicIPs"
    VOLUMES = "volumes"
    SNAPSHOTS = "snapshots"
    IMAGES = "images"
    PROJECTS = "projects"
    NETWORKS = "networks"
    VPCS = "vpcs"
    CPUS = "cpus"
    MEMORY = "memory"
    PRIMARY_STORAGE = "primaryStorage"
    SECONDARY_STORAGE = "secondaryStorage"


@dataclass(frozen=True, slots=True)
class Reservation:
    """What somebody is about to make: it counts from the moment it is written here, before the object exists."""

    object: str
    """`Kind/namespace/name`."""
    made: str
    """When, as a stamp. It is dropped once the object is known to count by itself, or did not come."""
    amounts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DomainStatus:
    """`reservations` by the API; the rest by the Data service."""

    observed_generation: int = 0
    reservations: tuple[Reservation, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """`Ready`."""


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """Of an Account or Project. `reservations` by the API; the rest by the Data service."""

    observed_generation: int = 0
    namespace: str = ""
    """Where its objects are, once that is there."""
    reservations: tuple[Reservation, ...] = ()
    conditions: tuple[Condition, ...] = ()
    """`Ready`."""


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """A part of the organisation, beneath another."""

    parent: str = ""
    """Name of the Domain above it; empty for `root` alone."""
    display_name: str = ""
    """What people read, unique beneath its parent; the object's name by default."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """The most that all accounts and projects of it and of the domains beneath may have, by Resource."""


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """A tenant. All it has is in the namespace of the Account's own name, so that no two accounts can share one."""

    domain: str
    display_name: str = ""
    """The account's name in the CloudStack API, unique in its domain; the object's name by default."""
    role: Role = Role.USER
    access_role: str = ""
    """Name of an AccessRole of the type `role`, which says command by command what its users may call."""
    enabled: bool = True
    limits: Mapping[str, int] = field(default_factory=dict)
    """The most that it may have, by Resource; what is not here has no limit."""


@dataclass(frozen=True, slots=True)
class UserSpec:
    """A person or program that acts for an account."""

    account: str
    username: str = ""
    """To log in with, unique in the account's domain; the object's name by default."""
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    api_keys: tuple[str, ...] = ()
    """Public halves of its key pairs. One that is not here is not taken, whatever the Secret says."""
    kubernetes_user: str = ""
    """Who that is to Kubernetes, as its authentication names people; `cloudstack:<name>` by default."""
    enabled: bool = True


class Permission(StrEnum):
    """What a rule of an AccessRole says."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of an AccessRole: the first whose `command` fits decides."""

    command: str
    """Name of a command of the CloudStack API; `*` stands for any letters: `list*`."""
    permission: Permission
    description: str = ""


@dataclass(frozen=True, slots=True)
class AccessRoleSpec:
    """Which commands of the CloudStack API some accounts may call; what no rule fits, they may not."""

    type: Role
    display_name: str = ""
    description: str = ""
    public: bool = True
    """Whether admins of domains may give it to accounts."""
    rules: tuple[Rule, ...] = ()


class MemberRole(StrEnum):
    """What an account may do in a project."""

    ADMIN = "Admin"
    REGULAR = "Regular"


@dataclass(frozen=True, slots=True)
class Member:
    """An account that works in a project."""

    account: str
    role: MemberRole = MemberRole.REGULAR


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """A tenant that several accounts share. All it has is in the namespace of the Project's own name."""

    domain: str
    display_name: str = ""
    description: str = ""
    members: tuple[Member, ...] = ()
    suspended: bool = False
    limits: Mapping[str, int] = field(default_factory=dict)


DOMAIN = Kind(names.IDENTITY, "Domain", "domains", DomainSpec, DomainStatus, namespaced=False)
ACCOUNT = Kind(names.IDENTITY, "Account", "accounts", AccountSpec, TenantStatus, namespaced=False)
PROJECT = Kind(names.IDENTITY, "Project", "projects", ProjectSpec, TenantStatus, namespaced=False)
USER = Kind(names.IDENTITY, "User", "users", UserSpec, CatalogueStatus, namespaced=False)
ACCESS_ROLE = Kind(names.IDENTITY, "AccessRole", "accessroles", AccessRoleSpec, CatalogueStatus, namespaced=False)

KINDS: tuple[Kind[object, object], ...] = (DOMAIN, ACCOUNT, PROJECT, USER, ACCESS_ROLE)
