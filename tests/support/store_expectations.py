"""What controllers may expect of any Store: the same tests run against the one in memory and a real API server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from operators.contract import names
from operators.contract.codec import Json
from operators.contract.core import LEASE
from operators.contract.meta import Key, Meta
from operators.contract.networking import CLAIM
from operators.contract.orchestration import FLOW
from operators.contract.storage import DISK, VOLUME
from operators.kernel.making import make
from operators.kernel.outcome import Problem
from operators.kernel.store import AlreadyExists, Conflict, Invalid, NotFound, Store

Stores: TypeAlias = Callable[[str], Store]
READY = {"type": "Ready", "status": "True", "reason": "AsSpecified", "lastTransitionTime": "2026-11-21T12:00:00Z"}


def fresh(prefix: str = "v") -> Key:
    """A name that no other test has."""
    return Key("default", f"{prefix}-{uuid.uuid4().hex[:10]}")


def volume(key: Key, size: str = "1Gi", **metadata: Any) -> Json:
    return VOLUME.body(key, spec={"size": size}, **metadata)


def disk(key: Key, host: str, **metadata: Any) -> Json:
    spec = {
        "hostName": host,
        "pool": "local-a",
        "path": "volumes/x.qcow2",
        "volume": {"name": "v", "uid": "63e77cc4-e043-43e5-b6ae-8aff7ce6f5a8"},
        "size": "1Gi",
    }
    return DISK.body(key, spec=spec, **metadata)


def meta(body: Json) -> Meta:
    return VOLUME.parse(body).meta


class StoreExpectations:
    """Subclasses give the fixture `stores`: a Store of the same server for each field manager."""

    async def test_create_gives_what_the_server_made_of_it(self, stores: Stores) -> None:
        key = fresh()
        made = meta(await stores("one").create(VOLUME, volume(key)))
        assert made.uid
        assert made.resource_version
        assert (made.generation, made.name) == (1, key.name)
        read = await stores("two").get(VOLUME, key)
        assert read is not None
        assert meta(read).uid == made.uid

    async def test_a_name_is_claimed_once(self, stores: Stores) -> None:
        key = Key("", fresh("claim").name)
        body = CLAIM.body(key, spec={"pool": "segment", "value": "7", "owner": {"name": "n", "uid": "u"}})
        await stores("one").create(CLAIM, body)
        with pytest.raises(AlreadyExists):
            await stores("two").create(CLAIM, body)

    async def test_what_is_missing_is_none_or_not_found(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        gone = Meta(key.name, key.namespace, uid=str(uuid.uuid4()), resource_version="1")
        assert await store.get(VOLUME, key) is None
        assert await store.finalize(VOLUME, gone, ["cloudstack.dev/x"]) is None
        await store.delete(VOLUME, key, uid=gone.uid)
        with pytest.raises(NotFound):
            await store.apply_status(VOLUME, key, {"phase": "x"}, resource_version="1")

    async def test_apply_creates_changes_and_removes(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        one = await store.apply(VOLUME, volume(key, labels={"a": "1", "b": "1"}))
        two = await store.apply(VOLUME, volume(key, "2Gi", labels={"a": "2"}))
        assert two["spec"]["size"] == "2Gi"
        assert two["metadata"]["labels"] == {"a": "2"}
        assert (meta(one).generation, meta(two).generation) == (1, 2)

    async def test_an_apply_that_changes_nothing_makes_no_version(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        one = await store.apply(VOLUME, volume(key))
        two = await store.apply(VOLUME, volume(key))
        assert meta(one).resource_version == meta(two).resource_version

    async def test_labels_alone_make_a_version_but_no_generation(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        one = await store.apply(VOLUME, volume(key))
        two = await store.apply(VOLUME, volume(key, labels={"a": "1"}))
        assert meta(one).resource_version != meta(two).resource_version
        assert meta(two).generation == 1

    async def test_managers_keep_each_their_own_fields(self, stores: Stores) -> None:
        key = fresh()
        await stores("one").apply(VOLUME, volume(key, labels={"mine": "1"}))
        both = await stores("two").apply(VOLUME, VOLUME.body(key, labels={"yours": "2"}))
        assert both["metadata"]["labels"] == {"mine": "1", "yours": "2"}
        left = await stores("one").apply(VOLUME, volume(key))
        assert left["metadata"]["labels"] == {"yours": "2"}

    async def test_an_apply_with_a_uid_never_creates_and_never_meets_another_object(self, stores: Stores) -> None:
        store, key, other = stores("one"), fresh(), str(uuid.uuid4())
        with pytest.raises(Conflict):
            await store.apply(VOLUME, volume(key, uid=other))
        made = await store.apply(VOLUME, volume(key))
        with pytest.raises(Conflict):
            await store.apply(VOLUME, volume(key, "2Gi", uid=other))
        await store.apply(VOLUME, volume(key, "2Gi", uid=meta(made).uid))

    async def test_an_apply_with_a_version_meets_that_version_only(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        one = meta(await store.apply(VOLUME, volume(key))).resource_version
        await store.apply(VOLUME, volume(key, "2Gi", resourceVersion=one))
        with pytest.raises(Conflict):
            await store.apply(VOLUME, volume(key, "3Gi", resourceVersion=one))

    async def test_a_status_is_written_on_the_very_state_that_was_seen(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        one = meta(await store.apply(VOLUME, volume(key)))
        await store.apply_status(VOLUME, key, {"phase": "x"}, resource_version=one.resource_version)
        with pytest.raises(Conflict):
            await store.apply_status(VOLUME, key, {"phase": "y"}, resource_version=one.resource_version)
        now = await store.get(VOLUME, key)
        assert now is not None
        assert now["status"]["phase"] == "x"
        assert meta(now).generation == 1

    async def test_a_main_apply_leaves_the_status_and_a_status_apply_the_rest(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        one = meta(await store.apply(VOLUME, volume(key)))
        await store.apply_status(VOLUME, key, {"phase": "x"}, resource_version=one.resource_version)
        now = await store.apply(VOLUME, volume(key, "2Gi") | {"status": {"phase": "y"}})
        assert now["status"]["phase"] == "x"

    async def test_parts_of_a_status_have_each_their_writer(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        await store.apply(VOLUME, volume(key))

        async def write(status: Json, part: str) -> Json:
            seen = await store.get(VOLUME, key)
            assert seen is not None
            version = meta(seen).resource_version
            written = await store.apply_status(VOLUME, key, status, resource_version=version, manager=part)
            assert written is not None
            return dict(written["status"])

        await write({"phase": "x", "conditions": [READY]}, "a")
        both = await write({"pool": "p", "conditions": [READY | {"type": "Bound"}]}, "b")
        assert [each["type"] for each in both["conditions"]] == ["Ready", "Bound"]
        assert (both["phase"], both["pool"]) == ("x", "p")
        left = await write({"phase": "z"}, "a")
        assert [each["type"] for each in left["conditions"]] == ["Bound"]
        assert (left["phase"], left["pool"]) == ("z", "p")

    async def test_a_nested_field_that_is_not_applied_any_more_is_gone_whole(self, stores: Stores) -> None:
        store, key = stores("one"), fresh("flow")
        target = {"name": "vm", "uid": str(uuid.uuid4()), "kind": "VirtualMachine"}
        made = await store.apply(FLOW, FLOW.body(key, spec={"operation": "Deploy", "target": target}))
        with_error: Json = {"state": "Failed", "error": {"code": 533, "text": "no host fits"}}
        for status, left in ((with_error, ["error", "state"]), ({"state": "Running"}, ["state"])):
            version = made["metadata"]["resourceVersion"]
            made = await store.apply_status(FLOW, key, status, resource_version=version) or {}
            assert sorted(made["status"]) == left

    async def test_finalizers_hold_an_object_until_the_last_is_off(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        name = names.finalizer("toy")
        made = meta(await store.create(VOLUME, volume(key)))
        held = await store.finalize(VOLUME, made, made.finalizers_with(name))
        assert held is not None
        assert meta(held).finalizers == (name,)
        await store.delete(VOLUME, key, uid=made.uid)
        ending = await store.get(VOLUME, key)
        assert ending is not None
        assert meta(ending).deleting
        assert meta(ending).generation == 2
        await store.delete(VOLUME, key, uid=made.uid)
        with pytest.raises(Invalid):
            await store.finalize(VOLUME, meta(ending), (name, "cloudstack.dev/more"))
        await store.finalize(VOLUME, meta(ending), ())
        assert await store.get(VOLUME, key) is None

    async def test_finalizers_are_set_on_the_very_state_that_was_seen(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        old = meta(await store.create(VOLUME, volume(key)))
        await store.apply(VOLUME, VOLUME.body(key, labels={"a": "b"}))
        with pytest.raises(Conflict):
            await store.finalize(VOLUME, old, ("cloudstack.dev/x",))

    async def test_nothing_reaches_a_later_object_of_the_same_name(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        old = meta(await store.create(VOLUME, volume(key)))
        await store.delete(VOLUME, key, uid=old.uid)
        new = meta(await store.create(VOLUME, volume(key)))
        assert new.uid != old.uid
        await store.delete(VOLUME, key, uid=old.uid)
        with pytest.raises(Conflict):
            await store.apply_status(VOLUME, key, {"phase": "late"}, resource_version=old.resource_version)
        with pytest.raises(Conflict):
            await store.finalize(VOLUME, old, ("cloudstack.dev/x",))
        now = await store.get(VOLUME, key)
        assert now is not None
        assert meta(now).uid == new.uid
        assert "phase" not in now.get("status", {})

    async def test_lists_take_selectors(self, stores: Stores) -> None:
        store, mark = stores("one"), uuid.uuid4().hex[:8]
        for name, host in (("a", "h1"), ("b", "h2"), ("c", "h1")):
            await store.apply(DISK, disk(Key("default", f"{mark}-{name}"), host, labels={"mark": mark, "name": name}))

        async def found(**selectors: str) -> str:
            return "".join(sorted(body["metadata"]["labels"]["name"] for body in await store.list(DISK, **selectors)))

        mine = f"mark={mark}"
        assert await found(label_selector=mine) == "abc"
        assert await found(label_selector=mine, field_selector="spec.hostName=h1") == "ac"
        assert await found(label_selector=f"{mine},name!=a") == "bc"
        assert await found(label_selector=f"{mine},name in (a, b)") == "ab"
        assert await found(label_selector=f"{mine},name notin (a, b)") == "c"
        assert await found(label_selector=f"{mine},!absent,name") == "abc"

    async def test_a_shape_that_is_wrong_is_invalid(self, stores: Stores) -> None:
        with pytest.raises(Invalid):
            await stores("one").apply(VOLUME, VOLUME.body(fresh(), spec={"size": "much"}))

    async def test_a_type_that_is_wrong_is_invalid_too_and_not_tried_again(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        with pytest.raises(Invalid):
            await store.apply(VOLUME, VOLUME.body(key, spec="much"))
        made = await store.apply(VOLUME, volume(key))
        version = made["metadata"]["resourceVersion"]
        with pytest.raises(Invalid):
            await store.apply_status(VOLUME, key, {"conditions": "good"}, resource_version=version)
        with pytest.raises(Invalid):
            await store.apply_status(VOLUME, key, {"phase": 7}, resource_version=version)

    async def test_a_guarded_apply_makes_nothing_that_is_gone(self, stores: Stores) -> None:
        store, key = stores("one"), fresh("lease")
        made = await store.create(LEASE, LEASE.body(key, spec={"holderIdentity": "a"}))
        seen = LEASE.parse(made).meta
        await store.delete(LEASE, key, uid=seen.uid)
        with pytest.raises(Conflict):
            await store.apply(LEASE, LEASE.body(key, spec={"holderIdentity": "b"}, **seen.guard))
        assert await store.get(LEASE, key) is None

    async def test_what_is_made_once_is_made_over_nothing(self, stores: Stores) -> None:
        """By another's hand or by our own, and in the same field manager, whose fields an apply may change."""
        key = fresh("d")
        await make(stores("one"), DISK, disk(key, "a"))
        first = await stores("one").get(DISK, key)
        for manager in ("one", "two"):
            with pytest.raises(Problem):
                await make(stores(manager), DISK, disk(key, "a", labels={"made": "over"}))
        assert await stores("one").get(DISK, key) == first
        changed = await stores("one").apply(DISK, disk(key, "a", labels={"made": "later"}))
        assert changed["metadata"]["labels"] == {"made": "later"}
        left_out = await stores("one").apply(DISK, disk(key, "a"))
        assert not left_out["metadata"].get("labels")

    async def test_a_lease_is_taken_under_guard_and_given_up(self, stores: Stores) -> None:
        store, key = stores("one"), fresh("lease")
        made = await store.create(LEASE, LEASE.body(key, spec={"holderIdentity": "a", "leaseDurationSeconds": 15}))
        free = {"holderIdentity": "", "leaseDurationSeconds": 15}
        guard = LEASE.parse(made).meta.guard
        now = await store.apply(LEASE, LEASE.body(key, spec=free, **guard))
        assert LEASE.parse(now).spec.holder_identity == ""
        with pytest.raises(Conflict):
            await stores("two").apply(LEASE, LEASE.body(key, spec=free, **guard))

    async def test_merge_changes_what_it_says_of_the_state_it_was_decided_on(self, stores: Stores) -> None:
        store, key = stores("one"), fresh()
        first = meta(await store.create(VOLUME, volume(key, annotations={"example.org/a": "1", "example.org/b": "2"})))
        change = {"spec": {"size": "2Gi"}, "metadata": {"annotations": {"example.org/a": None, "example.org/c": "3"}}}
        merged = VOLUME.parse(await store.merge(VOLUME, first, change))
        assert merged.meta.annotations == {"example.org/b": "2", "example.org/c": "3"}
        assert (str(merged.spec.size), merged.spec.disk_offering) == ("2Gi", "standard")
        assert merged.meta.generation == 2
        with pytest.raises(Conflict):
            await store.merge(VOLUME, first, {"spec": {"size": "3Gi"}})
        await store.delete(VOLUME, key, uid=first.uid)
        with pytest.raises((NotFound, Conflict)):
            await store.merge(VOLUME, merged.meta, {"spec": {"size": "3Gi"}})
