"""The store in memory: what any store promises, and what only it can be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.storage import DISK, VOLUME
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import Store
from tests.support.store_expectations import StoreExpectations, Stores, disk, volume


class TestMemoryStore(StoreExpectations):
    @pytest.fixture
    def stores(self) -> Stores:
        server = MemoryServer()

        def store(manager: str) -> Store:
            return MemoryStore(server, manager)

        return store


class Telling:
    """Keeps what a watch told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, type_: str, body: Json) -> None:
        self.told.append((type_, body["metadata"]["name"]))


async def test_a_watch_tells_each_change_once() -> None:
    store, telling = MemoryStore(), Telling()
    store.server.subscribe(VOLUME, telling)
    key = Key("default", "a")
    made = await store.apply(VOLUME, volume(key))
    await store.apply(VOLUME, volume(key))
    await store.apply_status(VOLUME, key, {"phase": "x"}, resource_version=made["metadata"]["resourceVersion"])
    await store.delete(VOLUME, key, uid=made["metadata"]["uid"])
    assert telling.told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_with_a_selector_tells_of_those_that_enter_and_leave_it() -> None:
    store, here, there = MemoryStore(), Telling(), Telling()
    store.server.subscribe(DISK, here, field_selector="spec.hostName=h1")
    store.server.subscribe(DISK, there, label_selector="a=1")
    await store.apply(DISK, disk(Key("default", "a"), "h1"))
    await store.apply(DISK, disk(Key("default", "a"), "h1", labels={"a": "1"}))
    await store.apply(DISK, disk(Key("default", "a"), "h2"))
    assert here.told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert there.told == [("ADDED", "a"), ("DELETED", "a")]


def owner(body: Json) -> dict[str, Any]:
    return {
        "ownerReferences": [
            {"apiVersion": body["apiVersion"], "kind": body["kind"]}
            | {part: body["metadata"][part] for part in ("name", "uid")}
        ]
    }


async def test_what_nobody_owns_any_more_is_collected_and_its_finalizers_hold_it() -> None:
    store = MemoryStore()
    top = await store.apply(VOLUME, volume(Key("default", "top")))
    middle = await store.apply(VOLUME, volume(Key("default", "middle"), **owner(top)))
    await store.apply(DISK, disk(Key("default", "leaf"), "h", **owner(middle)))
    await store.apply(DISK, disk(Key("default", "held"), "h", finalizers=["cloudstack.dev/x"], **owner(middle)))
    await store.delete(VOLUME, Key("default", "top"), uid=top["metadata"]["uid"])
    assert [each["metadata"]["name"] for each in store.server.all(VOLUME)] == []
    (left,) = store.server.all(DISK)
    assert left["metadata"]["name"] == "held"
    assert left["metadata"]["deletionTimestamp"]


async def test_what_is_made_for_an_owner_that_is_gone_is_collected_too() -> None:
    store = MemoryStore()
    top = await store.apply(VOLUME, volume(Key("default", "top")))
    await store.delete(VOLUME, Key("default", "top"), uid=top["metadata"]["uid"])
    await store.apply(DISK, disk(Key("default", "late"), "h", **owner(top)))
    assert not list(store.server.all(DISK))


async def test_a_scheduler_may_delay_what_happens_by_itself() -> None:
    pending: list[Callable[[], None]] = []
    store, telling = MemoryStore(MemoryServer(later=pending.append)), Telling()
    store.server.subscribe(VOLUME, telling)
    await store.apply(VOLUME, volume(Key("default", "a")))
    assert telling.told == []
    for call in pending:
        call()
    assert telling.told == [("ADDED", "a")]


async def test_what_is_handed_out_is_a_copy() -> None:
    store, key = MemoryStore(), Key("default", "a")
    made = await store.apply(VOLUME, volume(key))
    made["spec"]["size"] = "9Gi"
    read = await store.get(VOLUME, key)
    assert read is not None
    assert read["spec"]["size"] == "1Gi"
