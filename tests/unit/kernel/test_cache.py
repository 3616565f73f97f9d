"""The cache: newest wins, whatever the order in which news comes; lists replace; indexes follow."""

from __future__ import annotations

from typing import Any

from operators.contract.codec import Json
from operators.contract.meta import Key
from operators.contract.networking import CLAIM
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache


def volume(name: str, version: int, uid: str = "", **metadata: Any) -> Json:
    metadata |= {"uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return VOLUME.body(Key("ns", name), spec={"diskOffering": f"o{version}"}, **metadata)


def key(name: str) -> Key:
    return Key("ns", name)


def version(cache: Cache, name: str) -> str | None:
    known = cache.get(VOLUME, key(name))
    return known.meta.resource_version if known else None


def test_the_newest_version_wins_and_tells_before_and_now() -> None:
    cache = Cache([VOLUME])
    assert cache.put(VOLUME, volume("a", 9)) is not None
    assert cache.put(VOLUME, volume("a", 9)) is None
    assert cache.put(VOLUME, volume("a", 8)) is None
    change = cache.put(VOLUME, volume("a", 10))
    assert change is not None
    before, now = change
    assert (before and before.meta.resource_version, now.meta.resource_version) == ("9", "10")


def test_versions_are_numbers_not_texts() -> None:
    cache = Cache([VOLUME])
    cache.put(VOLUME, volume("a", 9))
    cache.put(VOLUME, volume("a", 10))
    assert version(cache, "a") == "10"


def test_the_deletion_of_an_earlier_object_leaves_the_later_one_of_its_name() -> None:
    cache = Cache([VOLUME])
    cache.put(VOLUME, volume("a", 3, uid="second"))
    assert cache.drop(VOLUME, key("a"), "first", "2") is None
    assert version(cache, "a") == "3"


def test_a_late_answer_does_not_bring_a_deleted_object_back_but_a_new_one_comes() -> None:
    cache = Cache([VOLUME])
    cache.put(VOLUME, volume("a", 1))
    cache.drop(VOLUME, key("a"), "uid-a", "5")
    assert cache.put(VOLUME, volume("a", 4)) is None
    assert cache.put(VOLUME, volume("a", 5)) is None
    assert cache.put(VOLUME, volume("a", 6, uid="again")) is not None


def test_a_list_makes_itself_the_truth() -> None:
    cache = Cache([VOLUME])
    for name in ("same", "older", "gone"):
        cache.put(VOLUME, volume(name, 1))
    cache.listing(VOLUME)
    changes = list(cache.replace(VOLUME, [volume("same", 1), volume("older", 2), volume("new", 3)]))
    assert {(before.meta.name if before else None, now.meta.name if now else None) for before, now in changes} == {
        ("older", "older"),
        (None, "new"),
        ("gone", None),
    }
    assert sorted(obj.meta.name for obj in cache.all(VOLUME)) == ["new", "older", "same"]


def test_what_was_created_while_a_list_was_on_its_way_stays() -> None:
    cache = Cache([VOLUME])
    cache.listing(VOLUME)
    cache.put(VOLUME, volume("young", 7))
    assert not list(cache.replace(VOLUME, []))
    assert version(cache, "young") == "7"
    cache.listing(VOLUME)
    assert len(list(cache.replace(VOLUME, []))) == 1


def test_what_was_deleted_while_a_list_was_on_its_way_stays_away_known_before_or_not() -> None:
    cache = Cache([VOLUME])
    cache.put(VOLUME, volume("known", 1))
    cache.listing(VOLUME)
    cache.drop(VOLUME, key("known"), "uid-known", "8")
    cache.drop(VOLUME, key("unknown"), "uid-unknown", "9")
    assert not list(cache.replace(VOLUME, [volume("known", 1), volume("unknown", 2)]))
    assert not list(cache.all(VOLUME))


def test_graves_are_kept_for_two_lists_and_no_longer() -> None:
    cache = Cache([VOLUME])
    cache.drop(VOLUME, key("a"), "uid-a", "5")
    list(cache.replace(VOLUME, []))
    assert cache.put(VOLUME, volume("a", 4)) is None
    list(cache.replace(VOLUME, []))
    assert not cache._graves[VOLUME]


def test_an_object_that_is_not_understood_any_more_is_not_taken_for_gone() -> None:
    cache = Cache([VOLUME])
    cache.put(VOLUME, volume("a", 1))
    odd = volume("a", 2)
    odd["spec"]["size"] = {"of": "a later release"}
    cache.listing(VOLUME)
    assert not list(cache.replace(VOLUME, [odd]))
    assert version(cache, "a") == "1"


def test_indexes_follow_every_change() -> None:
    cache = Cache([VOLUME, CLAIM])
    cache.put(VOLUME, volume("a", 1))
    cache.index(VOLUME, "offering", lambda each: [each.spec.disk_offering])
    cache.put(VOLUME, volume("b", 1))
    assert [obj.meta.name for obj in cache.by(VOLUME, "offering", "o1")] == ["a", "b"]
    cache.put(VOLUME, volume("a", 2))
    assert [obj.meta.name for obj in cache.by(VOLUME, "offering", "o1")] == ["b"]
    assert [obj.meta.name for obj in cache.by(VOLUME, "offering", "o2")] == ["a"]
    cache.drop(VOLUME, key("b"))
    assert cache.by(VOLUME, "offering", "o1") == ()
    assert not cache._indexes[VOLUME]["offering"].keys() - {"o2"}


def test_objects_are_found_by_owner() -> None:
    cache = Cache([VOLUME])
    owner = {"apiVersion": "v1", "kind": "K", "name": "o", "uid": "u"}
    cache.put(VOLUME, volume("a", 1, ownerReferences=[owner]))
    cache.put(VOLUME, volume("b", 1))
    assert [obj.meta.name for obj in cache.owned(VOLUME, "u")] == ["a"]
