"""The scheduler's filters as a table, its choice, and what it says when nothing fits."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.compute.scheduler import DiskNeed, GroupNeed, HostView, Need, Policy, PoolView, choose, score
from operators.compute.scheduler.choose import LONGEST, refused

GIB = 1024**3
POOL = PoolView("local-a", tags=frozenset({"ssd"}), free=50 * GIB, promisable=100 * GIB)
HOST = HostView("a", cpus=8, memory=16 * GIB, pools=(POOL,))
NEED = Need("team-a", cpus=2, memory=GIB)
ROOT = DiskNeed("web-root", size=10 * GIB)
APART = GroupNeed("ha", together=False, strict=True)
TOGETHER = GroupNeed("near", together=True, strict=True)


@pytest.mark.parametrize(
    ("need", "host", "filter_", "why"),
    [
        ({}, {}, "", ""),
        ({}, {"reachable": False}, "HostState", "not reachable"),
        ({}, {"reachable": False, "reachable_message": "silent"}, "HostState", "not reachable: silent"),
        ({}, {"maintenance": True}, "Maintenance", "in maintenance"),
        ({}, {"schedulable": False}, "Schedulable", "spec.schedulable is false"),
        ({}, {"zone_enabled": False}, "ZoneEnabled", "zone default is disabled or does not exist"),
        ({}, {"simulated": True}, "Simulated", "simulated, which spec.placement does not ask for"),
        ({"zone": "default"}, {"simulated": True}, "", ""),
        ({"host": "a"}, {"simulated": True}, "", ""),
        ({"zone": "default"}, {}, "", ""),
        ({"zone": "west"}, {}, "Zone", "in zone default, not west"),
        ({"group": "gpu"}, {}, "Group", "in group default, not gpu"),
        ({"host": "b"}, {}, "Host", "not the chosen host b"),
        ({"host": "a"}, {}, "", ""),
        ({"host_tags": frozenset({"gpu", "ssd"})}, {"tags": frozenset({"ssd"})}, "Tags", "lacks the tags gpu"),
        ({"groups": (replace(APART, members={"b": "db"}),)}, {}, "", ""),
        ({"groups": (replace(APART, members={"a": "db"}),)}, {}, "Affinity", "anti-affinity group ha has db here"),
        ({"groups": (replace(APART, strict=False, members={"a": "db"}),)}, {}, "", ""),
        ({"groups": (TOGETHER,)}, {}, "", ""),
        ({"groups": (replace(TOGETHER, members={"a": "db"}),)}, {}, "", ""),
        ({"groups": (replace(TOGETHER, members={"b": "db"}),)}, {}, "Affinity",
         "affinity group near has its virtual machines on b"),
        ({"groups": (replace(TOGETHER, strict=False, members={"b": "db"}),)}, {}, "", ""),
        ({}, {"reported": False}, "CPU", "its hypervisor agent has not reported yet"),
        ({"cpus": 9}, {}, "CPU", "9 CPUs needed, 8 of 8 free"),
        ({"cpus": 9}, {"cpu_overcommit": Decimal("1.5")}, "", ""),
        ({"cpus": 2}, {"cpus_claimed": 7}, "CPU", "2 CPUs needed, 1 of 8 free"),
        ({"memory": 17 * GIB}, {}, "Memory", "17Gi needed, 16Gi of 16Gi free"),
        ({"memory": 17 * GIB}, {"memory_overcommit": Decimal(2)}, "", ""),
        ({"memory": 2 * GIB}, {"memory_claimed": 15 * GIB}, "Memory", "2Gi needed, 1Gi of 16Gi free"),
        ({"disks": (replace(ROOT, image_on=frozenset({"local-a", "local-b"})),)}, {}, "", ""),
        ({"disks": (replace(ROOT, image_on=frozenset({"local-b"})),)}, {}, "VolumesOnHost",
         "the image of volume web-root is only on pool local-b, which it does not reach"),
        ({"disks": (replace(ROOT, bound=True, host="b", pool="local-b"),)}, {}, "VolumesOnHost",
         "volume web-root is on host b"),
        ({"disks": (replace(ROOT, bound=True, pool="shared"),)}, {}, "VolumesOnHost",
         "volume web-root is on pool shared, which it does not reach"),
        ({"disks": (replace(ROOT, bound=True, pool="local-a"),)}, {}, "", ""),
        ({"disks": (ROOT,)}, {}, "", ""),
        ({"disks": (replace(ROOT, size=60 * GIB),)}, {}, "PoolSpace",
         "volume web-root needs 60Gi, its largest pool has 50Gi free"),
        ({"disks": (replace(ROOT, size=30 * GIB), DiskNeed("data", size=30 * GIB))}, {}, "PoolSpace",
         "volume data needs 30Gi, its largest pool has 50Gi free"),
        ({"disks": (ROOT,)}, {"pools": (replace(POOL, promisable=9 * GIB),)}, "PoolSpace",
         "volume web-root needs 10Gi, its pools may give out only 9Gi more: the rest is promised to other disks"),
        ({"disks": (ROOT,)}, {"disks_claimed": (DiskNeed("b", size=48 * GIB), DiskNeed("c", size=48 * GIB))}, "PoolSpace",
         "volume web-root needs 10Gi, its pools may give out only 4Gi more: the rest is promised to other disks"),
        ({"disks": (replace(ROOT, tags=frozenset({"nvme"})),)}, {}, "PoolSpace",
         "no online pool with the tags nvme for volume web-root"),
        ({"disks": (replace(ROOT, pool="other"),)}, {}, "PoolSpace", "no online pool other for volume web-root"),
        ({"disks": (ROOT,)}, {"pools": (replace(POOL, online=False),)}, "PoolSpace",
         "no online pool for volume web-root"),
        ({"disks": (ROOT,)}, {"pools": (replace(POOL, closed="is not schedulable"),)}, "PoolSpace",
         "no online pool for volume web-root: local-a is not schedulable"),
        ({"disks": (replace(ROOT, bound=True, pool="local-a"),)}, {"pools": (replace(POOL, maintenance=True),)},
         "VolumesOnHost", "volume web-root is on pool local-a, which is in maintenance"),
    ],
)  # fmt: skip
def test_filters(need: dict[str, object], host: dict[str, object], filter_: str, why: str) -> None:
    found = refused(replace(NEED, **need), replace(HOST, **host))  # type: ignore[arg-type]
    assert (found.filter, found.why) == (filter_, why) if found else not filter_


def hosts(count: int) -> list[HostView]:
    return [replace(HOST, name=f"h{number:03d}", pools=()) for number in range(count)]


def test_equals_are_decided_by_name() -> None:
    assert choose(NEED, hosts(3)).host == "h000"


def test_spread_takes_the_emptiest_and_pack_the_fullest_that_fits() -> None:
    a, b, c = hosts(3)
    views = [
        replace(a, memory_claimed=8 * GIB),
        replace(b, memory_claimed=15 * GIB),
        replace(c, memory_claimed=16 * GIB),
    ]
    assert choose(NEED, views, Policy.SPREAD).host == "h000"
    assert choose(NEED, views, Policy.PACK).host == "h001"


def test_neighbours_of_the_namespace_are_kept_apart() -> None:
    a, b = hosts(2)
    assert choose(NEED, [replace(a, neighbours=3), b]).host == "h001"


def test_a_preferred_group_outweighs_everything_but_the_filters() -> None:
    a, b, c = hosts(3)
    views = [replace(a, memory_claimed=15 * GIB, cpus_claimed=6, neighbours=9), b, c]
    near = replace(NEED, groups=(GroupNeed("near", together=True, strict=False, members={a.name: "db"}),))
    assert choose(near, views).host == a.name
    assert choose(near, views, Policy.PACK).host == a.name
    apart = replace(NEED, groups=(GroupNeed("ha", together=False, strict=False, members={b.name: "db", c.name: "x"}),))
    assert choose(apart, views).host == a.name
    assert choose(near, [replace(a, maintenance=True), b, c]).host == b.name


def test_a_zone_says_how_it_is_filled() -> None:
    a, b, _ = hosts(3)
    views = [replace(a, policy=Policy.PACK, memory_claimed=12 * GIB), replace(b, policy=Policy.PACK)]
    assert choose(NEED, views, Policy.SPREAD).host == a.name


@given(st.integers(0, 16), st.integers(0, 8), st.integers(0, 9), st.sampled_from(Policy), st.booleans())
def test_scores_are_shares(memory: int, cpus: int, near: int, policy: Policy, together: bool) -> None:
    host = replace(HOST, memory_claimed=memory * GIB, cpus_claimed=cpus, neighbours=near)
    need = replace(NEED, groups=(GroupNeed("g", together=together, strict=False, members={"a": "db"}),))
    assert 0.0 <= score(NEED, host, policy) <= 1.0
    assert 0.0 <= score(need, host, policy) <= 1.0


def test_the_present_host_is_preferred() -> None:
    a, b = hosts(2)
    assert choose(NEED, [a, replace(b, memory_claimed=8 * GIB)], prefer="h001").host == "h001"


def test_every_host_is_named_with_its_filter() -> None:
    a, b, c = hosts(3)
    choice = choose(NEED, [replace(c, maintenance=True), replace(a, reachable=False), replace(b, cpus=1)])
    assert choice.host == ""
    assert choice.message == (
        "none of 3 hosts fits: h000: HostState: not reachable; h001: CPU: 2 CPUs needed, 1 of 1 free; "
        "h002: Maintenance: in maintenance"
    )


def test_a_long_message_is_cut_and_counted() -> None:
    message = choose(NEED, [replace(host, maintenance=True) for host in hosts(1000)]).message
    assert len(message) < LONGEST + 2000
    assert message.endswith("by Maintenance")
    assert "and 8" in message


def test_no_host_at_all() -> None:
    assert "there is no host yet" in choose(NEED, []).message


views = st.builds(
    HostView,
    name=st.sampled_from([f"h{number}" for number in range(8)]),
    reachable=st.booleans(),
    cpus=st.integers(0, 16),
    memory=st.integers(0, 32 * GIB),
    cpus_claimed=st.integers(0, 16),
    memory_claimed=st.integers(0, 32 * GIB),
    neighbours=st.integers(0, 5),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(views, unique_by=lambda host: host.name), st.randoms(use_true_random=False), st.sampled_from(Policy))
def test_order_does_not_matter_and_what_is_chosen_fits(
    views: list[HostView], rng: random.Random, policy: Policy
) -> None:
    choice = choose(NEED, views, policy)
    shuffled = list(views)
    rng.shuffle(shuffled)
    assert choose(NEED, shuffled, policy) == choice
    fitting = [host for host in views if refused(NEED, host) is None]
    assert bool(choice.host) == bool(fitting)
    if choice.host:
        (chosen,) = (host for host in views if host.name == choice.host)
        assert chosen.cpus_claimed + NEED.cpus <= chosen.cpus_offered
        assert chosen.memory_claimed + NEED.memory <= chosen.memory_offered
    else:
        assert all(host.name in choice.message for host in views)
