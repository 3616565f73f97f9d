"""The identity group: domains as a tree, accounts with their namespaces, and the users who act for them.

A secret stands in none of these objects: it is in a Secret, see `names.user_secret`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from operators.contract import names
from operators.contract.compute import CatalogueStatus
from operators.contract.meta import Kind

ROOT = "root"
"""Name of the Domain at the top of the tree; the CloudStack API shows it as ROOT."""

PASSWORD = "password-hash"  # noqa: S105 - the key of an entry
"""In a user's Secret: the salted hash of the password. Every other entry is an API key with its secret key."""


class Role(StrEnum):
    """What an account's users may do; custom roles follow."""

    ADMIN = "Admin"
    DOMAIN_ADMIN = "DomainAdmin"
    RESOURCE_ADMIN = "ResourceAdmin"
    USER = "User"


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """A part of the organisation, beneath another."""

    parent: str = ""
    """Name of the Domain above it; empty for `root` alone."""
    display_name: str = ""
    """What people read, unique beneath its parent; the object's name by default."""


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """A tenant. All it has is in the namespace of the Account's own name, so that no two accounts can share one."""

    domain: str
    display_name: str = ""
    """The account's name in the CloudStack API, unique in its domain; the object's name by default."""
    role: Role = Role.USER
    enabled: bool = True


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
    enabled: bool = True


DOMAIN = Kind(names.IDENTITY, "Domain", "domains", DomainSpec, CatalogueStatus, namespaced=False)
ACCOUNT = Kind(names.IDENTITY, "Account", "accounts", AccountSpec, CatalogueStatus, namespaced=False)
USER = Kind(names.IDENTITY, "User", "users", UserSpec, CatalogueStatus, namespaced=False)

KINDS: tuple[Kind[object, object], ...] = (DOMAIN, ACCOUNT, USER)
