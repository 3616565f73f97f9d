"""The order of a kind: what sorting everything each time would give, whatever comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache

PLACES, NAMES, MOMENTS = ("a", "b", "c"), ("x", "y", "z"), ("1", "2", "3")
changes = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES), st.sampled_from((*MOMENTS, ""))), max_size=40
)


@given(changes, st.integers(0, 40))
def test_the_order_is_that_of_a_sort(steps: list[tuple[str, str, str]], late: int) -> None:
    cache = Cache([VOLUME])
    for version, (namespace, name, moment) in enumerate(steps, 1):
        if version == late:
            cache.order(VOLUME, lambda obj: obj.meta.namespace, lambda obj: (obj.meta.creation_timestamp,))
        key = Key(namespace, name)
        if not moment:
            cache.drop(VOLUME, key, resource_version=str(version))
            continue
        meta = {"uid": f"{key}/{moment}", "resourceVersion": str(version), "creationTimestamp": moment}
        cache.put(VOLUME, VOLUME.body(key, spec={}, **meta))
    if late not in range(1, len(steps) + 1):
        cache.order(VOLUME, lambda obj: obj.meta.namespace, lambda obj: (obj.meta.creation_timestamp,))
    every = sorted(cache.all(VOLUME), key=lambda obj: (obj.meta.creation_timestamp, obj.meta.namespace, obj.meta.name))

    assert cache.ordered(VOLUME) == every
    for groups in (("a",), ("b", "c"), (), ("nowhere",)):
        assert cache.ordered(VOLUME, groups) == [obj for obj in every if obj.meta.namespace in groups]


def test_every_change_is_counted() -> None:
    cache = Cache([VOLUME])
    seen = [cache.changes(VOLUME)]
    cache.put(VOLUME, VOLUME.body(Key("a", "x"), spec={}, uid="u", resourceVersion="1"))
    seen.append(cache.changes(VOLUME))
    cache.drop(VOLUME, Key("a", "x"), resource_version="2")
    seen.append(cache.changes(VOLUME))
    assert len(set(seen)) == 3
    cache.drop(VOLUME, Key("a", "x"))
    assert cache.changes(VOLUME) == seen[-1]
