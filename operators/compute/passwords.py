"""Passwords that are made for guests: asked for by a counter, kept in a Secret, handed over at once or at a start.

The Instance has a password no longer than until its guest has taken it from the metadata service, as user data that was
in a Secret stands there (ADR 11): tenants do not see Instances.
"""

from __future__ import annotations

from dataclasses import replace

from operators.compute import restarts
from operators.compute.model import VM, Instance, Put, ReadSecrets, Seen
from operators.contract import names
from operators.contract.instances import GuestPassword
from operators.contract.passwords import ENTRY


def secret(vm: VM) -> str:
    """Name of the Secret of its last request."""
    return names.password_secret(vm.meta.name, vm.meta.uid, vm.spec.password_request)


def taken(vm: VM, instance: Instance | None) -> int:
    """The last request whose password its guest has."""
    if instance is None:
        return vm.status.password_observed
    told = instance.status
    return max(vm.status.password_observed, told.password_observed or 0, told.password_set)


def due(vm: VM, instance: Instance | None) -> bool:
    """Whether a start has a password to hand over."""
    return vm.spec.password_request > taken(vm, instance)


def handed(vm: VM, seen: Seen) -> GuestPassword | None:
    """What the Instance is to have."""
    text = (seen.secrets or {}).get(secret(vm)) or {}
    if not due(vm, seen.instance) or ENTRY not in text:
        return None
    return GuestPassword(vm.spec.password_request, text[ENTRY], vm.spec.password_user)


def live(vm: VM, seen: Seen, instance: Instance) -> Put | ReadSecrets | None:
    """What brings a new one to a running guest whose own agent is known to answer; None where nothing does."""
    has = instance.spec.password
    pending = has is not None and has.request >= vm.spec.password_request
    if instance.status.guest is None or pending or not due(vm, instance):
        return None
    if secret(vm) not in (seen.secrets or {}):
        return ReadSecrets(vm.key, vm.meta.uid, frozenset((secret(vm),)), vm, needed=False)
    if (password := handed(vm, seen)) is None:
        return None
    flow = instance.meta.labels.get(names.LABEL_FLOW, "")
    spec = replace(instance.spec, password=password)
    return Put(vm, spec, restarts.kept(instance.meta.annotations), flow, instance.meta)


def told(vm: VM, instance: Instance | None) -> str:
    """Name of the Secret that the status tells of: that of the password which was last made."""
    has = instance.spec.password if instance else None
    last = max(has.request if has else 0, taken(vm, instance))
    return names.password_secret(vm.meta.name, vm.meta.uid, last) if last else ""


def waits_for_start(vm: VM, instance: Instance) -> bool:
    """Whether a running guest would be given a new one if it were started anew."""
    has = instance.spec.password
    if not due(vm, instance):
        return False
    return has is None or has.request < vm.spec.password_request or instance.status.password_refused >= has.request
