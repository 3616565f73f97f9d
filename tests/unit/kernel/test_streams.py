"""kopf's streams, straight to the kernel; and what of kopf's inside that rests on."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import kopf._cogs.clients.api as kopf_api
import kopf._core.reactor.orchestration as kopf_orchestration
import pytest
from kopf._cogs.clients import watching
from kopf._core.reactor import queueing

from operators.kernel import streams

RESOURCE = SimpleNamespace(group="storage.cloudstack.dev", version="v1alpha1", plural="volumes")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was handed over; kopf is as it was after the test."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(kopf_orchestration, "queueing", queueing)
    monkeypatch.setattr(kopf_api, "json", kopf_api.json)  # type: ignore[attr-defined]
    streams.direct(lambda *event: found.append(event))
    return found


class Toggles:
    def __init__(self) -> None:
        self.dropped: list[object] = []

    async def drop_toggle(self, toggle: object) -> None:
        self.dropped.append(toggle)


async def test_events_come_in_order_and_at_once(taken: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    async def infinite(**how: Any) -> AsyncIterator[Any]:
        asked.update(how)
        yield {"type": None, "object": {"metadata": {"name": "a"}}}
        yield watching.Bookmark.LISTED
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}
        for number in range(streams.BREATH + 1):
            yield {"type": "MODIFIED", "object": {"metadata": {"name": str(number)}}}
        yield {"type": "DELETED", "object": {"metadata": {"name": "a"}}}

    monkeypatch.setattr(watching, "infinite_watch", infinite)
    toggles = Toggles()
    await kopf_orchestration.queueing.watcher(
        resource=RESOURCE,  # type: ignore[arg-type]
        namespace=None,
        settings="settings",  # type: ignore[arg-type]
        operator_paused=None,
        operator_indexed=toggles,  # type: ignore[arg-type]
        resource_indexed="this",  # type: ignore[arg-type]
        processor=None,  # type: ignore[arg-type]
    )
    assert [event[:3] for event in taken] == [("storage.cloudstack.dev", "v1alpha1", "volumes")] * len(taken)
    assert [event[3] for event in taken] == [None, *["MODIFIED"] * (streams.BREATH + 1), "DELETED"]
    assert taken[1][4] == {"metadata": {"name": "0"}}
    assert toggles.dropped == ["this"]
    assert asked == {"resource": RESOURCE, "namespace": None, "settings": "settings", "operator_paused": None}


def test_lines_are_read_by_the_fast_reader(taken: list[tuple[Any, ...]]) -> None:
    assert kopf_api.json.loads('{"type": "ADDED"}') == {"type": "ADDED"}  # type: ignore[attr-defined]


def test_what_this_rests_on_is_as_it_was() -> None:
    """When one of these fails, kopf changed: see whether `streams` still does what its own watcher would do."""
    assert "coro=queueing.watcher(" in inspect.getsource(kopf_orchestration.spawn_missing_watchers)
    names = {"namespace", "settings", "resource", "processor", "operator_paused"}
    assert set(inspect.signature(queueing.watcher).parameters) == names | {"operator_indexed", "resource_indexed"}
    source = inspect.getsource(kopf_api)
    assert re.findall(r"(?<![.\w])json\.\w+", source) == ["json.loads"]
