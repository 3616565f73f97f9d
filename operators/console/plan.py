"""Decides whether a token may be used, and when a Console has had its time.

Every replica decides alike: what a replica that died has left is removed by the others.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from operators.console.model import Action, Console, Remove, Seen
from operators.contract.meta import condition
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Done, Outcome

TO_USE = timedelta(seconds=60)
"""From a Console's creation: as long as its token can be used."""
TO_CONNECT = timedelta(seconds=60)
"""From the use of its token: in which its host's agent must have called."""
AT_MOST = timedelta(hours=12)
"""As long as a console stays open, whatever happens."""
SLACK = timedelta(seconds=15)
"""Left to the replica that has the client, before another one removes what that should have removed."""


def matches(console: Console, token: str) -> bool:
    """Whether the token is that of the Console; takes as long for every wrong one."""
    return hmac.compare_digest(hashlib.sha256(token.encode(errors="replace")).hexdigest(), console.spec.token_sha256)


def refusal(console: Console, seen: Seen) -> str:
    """Why a token that matches cannot be used; empty when it can."""
    if console.status.claimed_at:
        return "this token was used already: it works once"
    if console.meta.deleting:
        return "this console was closed"
    if seen.now - seen.created > TO_USE:
        return f"this token is older than {TO_USE.seconds} seconds: ask for another one"
    return ""


def plan(console: Console, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """Remove it once nothing can become of it any more; until then, when to look again."""
    if console.meta.deleting or seen.here:
        return (), Done()
    ends = _ends(seen)
    if seen.now >= ends:
        return (Remove(console),), Done()
    return (), Done(after=(ends - seen.now).total_seconds())


def _ends(seen: Seen) -> datetime:
    """When it is to be removed."""
    if seen.claimed is None:
        return seen.created + TO_USE + SLACK
    if seen.channel is None:
        return seen.claimed + TO_CONNECT + SLACK
    said = condition(seen.channel.status.conditions, Type.CONNECTED)
    if said is not None and said.true:
        return seen.claimed + AT_MOST + SLACK
    if said is not None and said.reason != Reason.CONNECTING:
        return seen.claimed + SLACK
    return seen.claimed + TO_CONNECT + SLACK
