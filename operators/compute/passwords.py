"""Passwords that are made for guests: asked for by a counter, kept in a Secret, handed over at a start.

The Instance has a password no longer than until its guest has taken it from the metadata service, as user data that was
in a Secret stands there (ADR 11): tenants do not see Instances.
"""

from __future__ import annotations

from operators.compute.model import VM, Instance, Seen
from operators.contract import names
from operators.contract.instances import GuestPassword
from operators.contract.passwords import ENTRY


def secret(vm: VM) -> str:
    """Name of the Secret of its last request."""
    return names.password_secret(vm.meta.name, vm.meta.uid, vm.spec.password_request)


def taken(vm: VM, instance: Instance | None) -> int:
    """The last request whose password its guest has."""
    here = instance.status.password_observed if instance else None
    return max(vm.status.password_observed, here or 0)


def due(vm: VM, instance: Instance | None) -> bool:
    """Whether a start has a password to hand over."""
    return vm.spec.password_request > taken(vm, instance)


def handed(vm: VM, seen: Seen) -> GuestPassword | None:
    """What the Instance of a start has."""
    text = (seen.secrets or {}).get(secret(vm)) or {}
    return GuestPassword(vm.spec.password_request, text[ENTRY]) if due(vm, seen.instance) and ENTRY in text else None


def told(vm: VM, instance: Instance | None) -> str:
    """Name of the Secret that the status tells of: that of the password which was last made."""
    has = instance.spec.password if instance else None
    last = max(has.request if has else 0, taken(vm, instance))
    return names.password_secret(vm.meta.name, vm.meta.uid, last) if last else ""


def waits_for_start(vm: VM, instance: Instance) -> bool:
    """Whether a running guest would be given a new one if it were started anew."""
    has = instance.spec.password
    return due(vm, instance) and (has is None or has.request < vm.spec.password_request)
