"""kopf's watch streams without its machinery for each object.

kopf hands every event to a task, a queue and timers of that object's own, and then looks for the handlers that want it.
The kernel wants every event at once and does its own queueing, so here the event goes from kopf's stream straight to
it; listing, watching, reconnecting, credentials and pauses stay kopf's. What that saves is in ADR 31.

This rests on two names inside kopf, which is pinned; `tests/unit/kernel/test_streams.py` says when they change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeAlias

import kopf._cogs.clients.api as kopf_api
import kopf._core.reactor.orchestration as kopf_orchestration
import orjson
from kopf._cogs.clients import watching

Sink: TypeAlias = Callable[[str, str, str, str | None, dict[str, Any]], None]
"""Takes an event: group, version and plural of its kind, its type (None: of a list), and the object."""
BREATH = 200
"""Events in a row of one stream after which others get their turn, when they come faster than they are read."""


def direct(sink: Sink) -> None:
    """Have kopf's watchers of this process give their events to `sink`, in the order of each kind's stream."""

    async def watcher(
        *, resource: Any, namespace: Any, settings: Any, operator_paused: Any = None, **others: Any
    ) -> None:
        stream = watching.infinite_watch(
            settings=settings, resource=resource, namespace=namespace, operator_paused=operator_paused
        )
        where = str(resource.group), str(resource.version), str(resource.plural)
        taken = 0
        async for event in stream:
            if event is watching.Bookmark.LISTED:
                await _listed(others)
            elif isinstance(event, Mapping) and event["type"] != "BOOKMARK":
                sink(*where, event["type"], dict(event["object"]))
                taken += 1
                if taken % BREATH == 0:
                    await asyncio.sleep(0)

    setattr(kopf_orchestration, "queueing", SimpleNamespace(watcher=watcher))  # noqa: B010 - a module's name
    setattr(kopf_api, "json", SimpleNamespace(loads=_loads))  # noqa: B010


async def _listed(toggles: Mapping[str, Any]) -> None:
    """Tell kopf that a kind is listed, as its own watcher would."""
    everything, this = toggles.get("operator_indexed"), toggles.get("resource_indexed")
    if everything is not None and this is not None:
        await everything.drop_toggle(this)


def _loads(line: str) -> Any:
    return orjson.loads(line)
