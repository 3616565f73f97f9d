"""The controller of Webhooks, and what the courier asks it."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract.core import SECRET
from operators.contract.meta import Key, Kind
from operators.contract.reasons import Reason
from operators.contract.webhooks import WEBHOOK, WebhookStatus
from operators.data.history import deliveries
from operators.data.history.database import Away, Database
from operators.data.webhooks import guard
from operators.data.webhooks.deliver import Target
from operators.data.webhooks.plan import ENTRY, Seen, Use, Webhook, plan, wants
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Outcome, Problem, Retry
from operators.kernel.report import Voice
from operators.kernel.store import Forbidden

NAME = "webhooks"
SHORT = 300
"""Characters of an error that a status shows."""


class Webhooks:
    """Keyed by Webhook."""

    name = NAME
    kind: Kind[Any, Any] = WEBHOOK
    workers = 2
    voice = Voice()

    def __init__(self, context: Context, database: Database, ready: asyncio.Event, allowed: guard.Networks) -> None:
        self._context = context
        self._database = database
        self._ready = ready
        self._allowed = allowed
        self._keys: dict[str, bytes] = {}
        """What signs, by the Webhook's uid."""
        self._errors: dict[str, str] = {}
        """What went wrong with the newest attempt, by uid."""
        context.cache.index(WEBHOOK, "uid", lambda each: (each.meta.uid,))
        context.cache.index(WEBHOOK, "namespace", lambda each: (each.meta.namespace,))

    # What the rest of the service asks.

    def wanting(self, namespace: str, type_: str) -> Sequence[str]:
        """The uids of those that want an event."""
        found = self._context.cache.by(WEBHOOK, "namespace", namespace)
        return [each.meta.uid for each in found if wants(each, namespace, type_)]

    def target(self, uid: str) -> Target | None:
        """Where one is; None for one that is gone."""
        found: Sequence[Webhook] = self._context.cache.by(WEBHOOK, "uid", uid)
        if not found:
            return None
        spec = found[0].spec
        refusal = guard.refusal(spec.url, self._allowed) or (
            "" if self._keys.get(uid) else "its key cannot be read yet"
        )
        return Target(uid, spec.url, self._keys.get(uid, b""), refusal if spec.enabled else "it is disabled")

    def heard(self, uid: str, error: str, *, dead: bool) -> None:
        """Take in how an attempt went; a status is written only when that is another thing than before."""
        found: Sequence[Webhook] = self._context.cache.by(WEBHOOK, "uid", uid)
        if dead or bool(error) != bool(self._errors.get(uid, "")):
            self._errors[uid] = error
            for each in found:
                self._context.poke(NAME, each.key)
        if not found:
            self._errors.pop(uid, None)

    # The controller.

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A Webhook concerns itself."""
        return {WEBHOOK: lambda each: (each.key,)}

    async def observe(self, key: Key) -> tuple[Webhook, Seen] | None:
        """Read its Secret and what was given up."""
        webhook = self._context.cache.get(WEBHOOK, key)
        if webhook is None:
            return None
        await self._ready.wait()
        refusal, uid = guard.refusal(webhook.spec.url, self._allowed), webhook.meta.uid
        error = self._errors.get(uid, "")[:SHORT]
        try:
            dead = await deliveries.dead(self._database, uid)
        except Away as away:
            raise Problem(Retry(Reason.RETRYING, f"the database cannot be asked: {away}")) from away
        try:
            body = await self._context.store.get(SECRET, Key(key.namespace, webhook.spec.secret))
        except Forbidden:
            return webhook, Seen(forbidden=True, refusal=refusal, error=error, dead=dead)
        return webhook, Seen(_key(body), refusal=refusal, error=error, dead=dead)

    def plan(self, wanted: Webhook, seen: Seen) -> tuple[Sequence[Use], Outcome]:
        return plan(wanted, seen)

    async def act(self, action: Use) -> None:
        self._keys[action.uid] = action.key

    def report(self, wanted: Webhook, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """How it stands, and its dead letters."""
        if wanted.meta.deleting:
            return ()
        return (Report(wanted, WebhookStatus(dead=seen.dead, last_error=seen.error)),)


def _key(body: Mapping[str, Any] | None) -> bytes:
    text = ((body or {}).get("data") or {}).get(ENTRY, "")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
