"""Who is who: the tree of domains, the accounts in it, the users who call, and what each may see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from operators.api.cloud import Cloud
from operators.contract.compute import CatalogueStatus as Quiet
from operators.contract.identity import (
    ACCOUNT,
    DOMAIN,
    PROJECT,
    ROOT,
    USER,
    AccountSpec,
    DomainSpec,
    DomainStatus,
    Member,
    MemberRole,
    ProjectSpec,
    Role,
    TenantStatus,
    UserSpec,
)
from operators.contract.meta import Obj
from operators.contract.storage import IMAGE

Domain: TypeAlias = Obj[DomainSpec, DomainStatus]
Account: TypeAlias = Obj[AccountSpec, TenantStatus]
Project: TypeAlias = Obj[ProjectSpec, TenantStatus]
User: TypeAlias = Obj[UserSpec, Quiet]

DEEPEST = 64
"""Levels of domains; whoever makes a ring of them has a tree that ends there."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request, proven."""

    user: User
    account: Account
    domain: Domain

    @property
    def role(self) -> Role:
        """What it may do."""
        return self.account.spec.role

    @property
    def root(self) -> bool:
        """Whether it may see everything."""
        return self.role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose an object is, as responses show it: an account's or a project's."""

    account: str | None
    domainid: str | None
    domain: str
    domainpath: str
    project: str | None = None
    projectid: str | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """Questions about who is who."""

    cloud: Cloud
    identity: str
    """The namespace of the users' Secrets."""
    reserved: frozenset[str]
    """Namespaces that are no account's: the components' own, the catalogue, that of the Secrets."""

    # Domains.

    def parent(self, domain: Domain) -> Domain | None:
        """The Domain above."""
        return self.cloud.named(DOMAIN, domain.spec.parent) if domain.spec.parent else None

    def lineage(self, domain: Domain) -> Iterator[Domain]:
        """The Domain and all above it."""
        at: Domain | None = domain
        for _ in range(DEEPEST):
            if at is None:
                return
            yield at
            at = self.parent(at)

    def path(self, domain: Domain) -> str:
        """`ROOT/sales/east`."""
        return "/".join(domain_name(each) for each in reversed(tuple(self.lineage(domain))))

    def within(self, domain: Domain, above: Domain) -> bool:
        """Whether a Domain is the other one or beneath it."""
        return any(each.meta.uid == above.meta.uid for each in self.lineage(domain))

    def at_path(self, path: str) -> Domain | None:
        """The Domain of a path such as `/sales/east`, with or without ROOT before it; that of root for an empty one."""
        steps = [step.lower() for step in path.split("/") if step]
        if steps[:1] != ["root"]:
            steps = ["root", *steps]
        return self._at("/".join(steps))

    def _at(self, path: str) -> Domain | None:
        return next((each for each in self.cloud.all(DOMAIN) if self.path(each).lower() == path), None)

    # Accounts and users.

    def account_of(self, namespace: str) -> Account | None:
        """The Account whose namespace it is; nobody can take a reserved one."""
        return None if namespace in self.reserved else self.cloud.named(ACCOUNT, namespace)

    def project_of(self, namespace: str) -> Project | None:
        """The Project whose namespace it is."""
        return self.cloud.named(PROJECT, namespace)

    def domain_of(self, tenant: Account | Project) -> Domain | None:
        """Its Domain; None while nobody has made that."""
        return self.cloud.named(DOMAIN, tenant.spec.domain)

    def account_named(self, name: str, domain: Domain) -> Account | None:
        """The account of a name in a domain; the older one where two claim it."""
        return next(
            (
                each
                for each in self.cloud.all(ACCOUNT)
                if account_name(each) == name and each.spec.domain == domain.meta.name
            ),
            None,
        )

    def by_api_key(self, api_key: str) -> User | None:
        """The user of a key pair."""
        return next(iter(sorted(self.cloud.cache.by(USER, "api-key", api_key), key=_first)), None)

    def by_username(self, name: str, domain: Domain) -> User | None:
        """The user of a name in a domain."""
        for user in self.cloud.all(USER):
            account = self.cloud.named(ACCOUNT, user.spec.account)
            if user_name(user) == name and account is not None and account.spec.domain == domain.meta.name:
                return user
        return None

    def caller(self, user: User | None) -> Caller | None:
        """The user as a caller; None while it, its account or domain is missing or disabled."""
        if user is None or not user.spec.enabled or user.meta.deleting:
            return None
        account = self.account_of(user.spec.account)
        domain = self.domain_of(account) if account else None
        if account is None or domain is None or not account.spec.enabled or account.meta.deleting:
            return None
        return Caller(user, account, domain)

    # What a caller sees.

    def sees_domain(self, caller: Caller, domain: Domain) -> bool:
        """Whether a Domain may be shown to the caller: admins see those beneath theirs, others their own."""
        if caller.role is Role.USER:
            return domain.meta.uid == caller.domain.meta.uid
        return caller.root or self.within(domain, caller.domain)

    def sees_account(self, caller: Caller, account: Account) -> bool:
        """Whether an Account, and what it has, is the caller's business."""
        if account.meta.name in self.reserved:
            return False
        if caller.root or account.meta.uid == caller.account.meta.uid:
            return True
        domain = self.domain_of(account)
        return caller.role is not Role.USER and domain is not None and self.within(domain, caller.domain)

    def sees_project(self, caller: Caller, project: Project) -> bool:
        """Whether a Project, and what it has, is the caller's business: its members', and admins' of its domain."""
        if caller.root or any(each.account == caller.account.meta.name for each in project.spec.members):
            return True
        domain = self.domain_of(project)
        return caller.role is not Role.USER and domain is not None and self.within(domain, caller.domain)

    def runs_project(self, caller: Caller, project: Project) -> bool:
        """Whether the caller may change the Project itself."""
        own = Member(caller.account.meta.name, MemberRole.ADMIN)
        return own in project.spec.members or (caller.role is not Role.USER and self.sees_project(caller, project))

    def owns(self, caller: Caller, namespace: str) -> bool:
        """Whether the caller may change what is in a namespace that it sees."""
        project, account = self.project_of(namespace), self.account_of(namespace)
        if project is not None:
            return self.sees_project(caller, project)
        return caller.root or (account is not None and self.sees_account(caller, account))

    def sees(self, caller: Caller, obj: Obj[Any, Any]) -> bool:
        """Whether an object may be shown to the caller. What belongs to no account is the root admin's to see."""
        if obj.kind is IMAGE and (obj.spec.public or obj.meta.namespace == self.cloud.catalogue):
            return True
        if obj.kind is DOMAIN:
            return self.sees_domain(caller, obj)
        if obj.kind is USER:
            account = self.cloud.named(ACCOUNT, obj.spec.account)
            return account is not None and self.sees_account(caller, account)
        if obj.kind is ACCOUNT:
            return self.sees_account(caller, obj)
        if obj.kind is PROJECT:
            return self.sees_project(caller, obj)
        if not obj.kind.namespaced:
            return True
        project = self.project_of(obj.meta.namespace)
        if project is not None:
            return self.sees_project(caller, project)
        account = self.account_of(obj.meta.namespace)
        return caller.root if account is None else self.sees_account(caller, account)

    def owner(self, namespace: str) -> Ownership:
        """Whose the objects of a namespace are. One that is no tenant's is shown as one of ROOT."""
        project = self.project_of(namespace)
        account = self.account_of(namespace) if project is None else None
        tenant = project or account
        domain = self.domain_of(tenant) if tenant else self.cloud.named(DOMAIN, ROOT)
        where = (domain.meta.uid, domain_name(domain), self.path(domain)) if domain else (None, "", "")
        if project is not None:
            return Ownership(None, where[0], where[1], where[2], project_name(project), project.meta.uid)
        return Ownership(account_name(account) if account else namespace, where[0], where[1], where[2])


def domain_name(domain: Domain) -> str:
    """What the API calls a Domain."""
    return domain.spec.display_name or ("ROOT" if domain.meta.name == ROOT else domain.meta.name)


def account_name(account: Account) -> str:
    """What the API calls an Account."""
    return account.spec.display_name or account.meta.name


def project_name(project: Project) -> str:
    """What the API calls a Project."""
    return project.spec.display_name or project.meta.name


def user_name(user: User) -> str:
    """What a User logs in as."""
    return user.spec.username or user.meta.name


def _first(obj: Obj[Any, Any]) -> tuple[str, str]:
    return obj.meta.creation_timestamp, obj.meta.name
