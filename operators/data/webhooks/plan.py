"""Decide how a tenant's Webhook stands, and with which key it is sent to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias

from operators.contract.meta import Obj
from operators.contract.reasons import Reason
from operators.contract.webhooks import WebhookSpec, WebhookStatus
from operators.kernel.outcome import Blocked, Done, Outcome, Rejected, Retry

Webhook: TypeAlias = Obj[WebhookSpec, WebhookStatus]
LOOK_AGAIN = 30.0
"""Seconds after which a Secret that could not be read is read again."""
ENTRY = "key"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a Webhook besides itself."""

    key: bytes = field(default=b"", repr=False)
    """What signs; empty when its Secret has none."""
    forbidden: bool = False
    """Whether this service may not read the Secret."""
    refusal: str = ""
    """Why its address cannot be sent to."""
    error: str = ""
    """What went wrong with the newest attempt."""
    dead: int = 0
    """Deliveries that were given up."""


@dataclass(frozen=True, slots=True)
class Use:
    """Send to it with this key from now on."""

    uid: str
    key: bytes = field(repr=False)


def plan(webhook: Webhook, seen: Seen) -> tuple[Sequence[Use], Outcome]:
    """What there is to say, the worst first."""
    uid, spec, space = webhook.meta.uid, webhook.spec, webhook.meta.namespace
    if webhook.meta.deleting:
        return [Use(uid, b"")], Done()
    if seen.refusal:
        return [Use(uid, b"")], Rejected(Reason.ADDRESS_REFUSED, seen.refusal)
    if seen.forbidden:
        return [Use(uid, b"")], Retry(Reason.SECRETS_FORBIDDEN, allow(space), LOOK_AGAIN)
    if not seen.key:
        why = f"Secret {spec.secret} with an entry `{ENTRY}` is needed in namespace {space}: make it"
        return [Use(uid, b"")], Retry(Reason.SECRET_NOT_FOUND, why, LOOK_AGAIN)
    if seen.error and spec.enabled:
        return [Use(uid, seen.key)], Blocked(Reason.DELIVERY_FAILS, f"it is tried again: {seen.error}")
    return [Use(uid, seen.key)], Done()


def allow(namespace: str) -> str:
    """The command that lets this service read Secrets of a namespace."""
    return (
        "the Data service may not read Secrets here: kubectl create rolebinding cloudstack-data-secrets "
        f"-n {namespace} --clusterrole=cloudstack-data-secrets "
        "--serviceaccount=<namespace of the cloud>:cloudstack-data"
    )


def wants(webhook: Webhook, namespace: str, type_: str) -> bool:
    """Whether an event is for it."""
    spec = webhook.spec
    if not spec.enabled or webhook.meta.deleting or not namespace or webhook.meta.namespace != namespace:
        return False
    return not spec.types or any(fnmatchcase(type_, pattern) for pattern in spec.types)
