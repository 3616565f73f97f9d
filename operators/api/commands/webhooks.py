"""Webhooks: where a tenant has their events sent. They are Webhooks to kubectl, their keys in Secrets beside them."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, OwnerArgs, asked, listing, owned, place_to_make
from operators.api.changing import given, remove, update
from operators.api.cloud import Webhook, name_of
from operators.api.declare import Answer, Single, boolean, command, string, uuid
from operators.api.responses.done import Done
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.wire import Date, date
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.core import SECRET
from operators.contract.meta import Key
from operators.contract.webhooks import WEBHOOK, WebhookSpec
from operators.kernel.store import Forbidden

ENABLED, DISABLED = "Enabled", "Disabled"
LOCAL = "Local"
ENTRY = "key"
"""Of the Secret, as the Data service reads it."""
LONGEST_KEY = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookResponse(OwnedResponse):
    """A webhook. Its key is told when it is made, and never again."""

    id: str
    name: str
    description: str | None
    state: str
    payloadurl: str
    secretkey: str | None = None
    sslverification: bool = True
    scope: str = LOCAL
    created: Date | None


def webhook(call: Call, obj: Webhook, key: str = "") -> WebhookResponse:
    """The response of one."""
    return WebhookResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        description=obj.meta.annotations.get(names.ANNOTATION_DISPLAY_NAME),
        state=ENABLED if obj.spec.enabled else DISABLED,
        payloadurl=obj.spec.url,
        secretkey=key or None,
        created=date(obj.meta.creation_timestamp),
        **whose(call, obj.meta.namespace),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateWebhook(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the webhook", required=True)
    payloadurl: str = string("Where events are sent: http:// or https://", required=True, length=2048)
    secretkey: str = string("What signs them; one is made, and told here once, when left out")
    description: str = string("What people read of it")
    state: str = string("Enabled or Disabled")
    scope: str = string("Local: the events of the account or project")
    sslverification: bool = boolean("Always true: certificates are checked", default=True)


@command(
    "createWebhook",
    "Has the events of an account or project sent to an address: as CloudEvents, signed as Standard Webhooks says.",
    item=WebhookResponse,
    key="webhook",
)
async def create_webhook(call: Call, args: CreateWebhook) -> Answer:
    """The Webhook that kubectl would make, and the Secret with its key, which ends with it."""
    _check(args.payloadurl, args.scope, args.state, args.secretkey, verified=args.sslverification)
    key = args.secretkey or secrets.token_urlsafe(32)
    kept = _secret()
    spec = WebhookSpec(url=args.payloadurl, secret=kept, enabled=args.state.lower() != DISABLED.lower())
    where = place_to_make(call, args)
    made = WEBHOOK.parse(await naming.create(call, WEBHOOK, where, args.name, to_wire(spec), args.description))
    try:
        await _keep(call, made, kept, key)
    except errors.ApiError:
        await remove(call, made)
        raise
    return Single(webhook(call, made, key))


def _secret() -> str:
    return f"webhook-{secrets.token_hex(6)}"


async def _keep(call: Call, obj: Webhook, name: str, key: str) -> None:
    owner = {"apiVersion": WEBHOOK.api_version, "kind": WEBHOOK.kind, "name": obj.meta.name, "uid": obj.meta.uid}
    space, role = obj.meta.namespace, names.API_SECRETS_ROLE
    body = SECRET.body(Key(space, name), ownerReferences=[owner]) | {"type": "Opaque"}
    try:
        await call.store.create(SECRET, body | {"data": {ENTRY: base64.b64encode(key.encode()).decode()}})
    except Forbidden as error:
        raise errors.denied(
            f"The API may keep no Secrets in namespace {space}; whoever runs the cloud allows it: "
            f"kubectl -n {space} create rolebinding {role} --clusterrole={role} "
            "--serviceaccount=NAMESPACE_OF_CLOUDSTACK:cloudstack-api"
        ) from error


def _check(url: str, scope: str, state: str, key: str, *, verified: bool) -> None:
    """Refuse what a Webhook cannot be. Raises ApiError."""
    if url and not url.lower().startswith(("http://", "https://")):
        raise errors.invalid("payloadurl must begin with http:// or https://")
    if scope.lower() not in ("", LOCAL.lower()):
        raise errors.ApiError(432, "scope must be Local: what happens in other accounts is not sent")
    if state.lower() not in ("", ENABLED.lower(), DISABLED.lower()):
        raise errors.invalid("state must be Enabled or Disabled")
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise errors.invalid(f"secretkey is one line of at most {LONGEST_KEY} characters")
    if not verified:
        raise errors.ApiError(432, "sslverification must be true: certificates are always checked")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWebhooks(OwnedListArgs):
    """Arguments."""

    id: Webhook | None = uuid("ID of the webhook", WEBHOOK)
    name: str = string("Name of the webhook")
    state: str = string("Enabled or Disabled")
    scope: str = string("Local; there is no other")


@command("listWebhooks", "Lists webhooks.", item=WebhookResponse, key="webhook")
async def list_webhooks(call: Call, args: ListWebhooks) -> Answer:
    """Those of the caller, or of whom it asks about."""

    def wanted(obj: Webhook) -> bool:
        shown = webhook(call, obj)
        return (
            asked(args, obj, shown.name)
            and args.state.lower() in ("", shown.state.lower())
            and args.scope.lower() in ("", LOCAL.lower())
        )

    return listing(args, owned(call, WEBHOOK, args, args.id, wanted), lambda obj: webhook(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateWebhook:
    """Arguments."""

    id: Webhook = uuid("ID of the webhook", WEBHOOK, required=True)
    name: str = string("What it is called from now on")
    description: str = string("What people read of it")
    payloadurl: str = string("Where events are sent from now on", length=2048)
    secretkey: str = string("What signs them from now on")
    state: str = string("Enabled or Disabled")
    scope: str = string("Local; there is no other")
    sslverification: bool = boolean("Always true: certificates are checked", default=True)


@command("updateWebhook", "Changes a webhook.", item=WebhookResponse, key="webhook")
async def update_webhook(call: Call, args: UpdateWebhook) -> Answer:
    """A new key is a new Secret, since the API may not change what is in one."""
    _check(args.payloadurl, args.scope, args.state, args.secretkey, verified=args.sslverification)
    kept = ""
    if args.secretkey:
        kept = _secret()
        await _keep(call, args.id, kept, args.secretkey)
    enabled = args.state.lower() == ENABLED.lower() if args.state else None
    spec = given(url=args.payloadurl, secret=kept, enabled=enabled)
    changed = await update(call, args.id, spec, name=args.name, display=args.description)
    return Single(webhook(call, changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteWebhook:
    """Arguments."""

    id: Webhook = uuid("ID of the webhook", WEBHOOK, required=True)


@command("deleteWebhook", "Deletes a webhook; what it is still owed is not sent any more.", item=Done)
async def delete_webhook(call: Call, args: DeleteWebhook) -> Answer:
    """Its Secret goes with it."""
    await remove(call, args.id)
    return Single(Done())
