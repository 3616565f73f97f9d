"""Affinity groups and placement plans: the real Compute in memory, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from operators.contract.codec import Json
from operators.contract.meta import Key, condition
from operators.contract.placement import AFFINITY_GROUP, PLACEMENT_PLAN, PlacementPlanStatus
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, World, world


async def group(cloud: World, name: str, type_: str, policy: str = "Strict") -> None:
    await cloud.put(AFFINITY_GROUP, name, {"type": type_, "policy": policy}, NS)


def hosts_of(cloud: World) -> list[str]:
    return [each.spec.host_name for each in cloud.instances()]


@virtual
async def test_two_of_a_strict_group_deployed_at_once_never_share_a_host() -> None:
    async with world(("a", "b", "c")) as cloud:
        await group(cloud, "ha", "AntiAffinity")
        await asyncio.gather(*(cloud.apply(f"vm{number}", affinityGroups=["ha"]) for number in range(4)))
        await cloud.settle(10)
        assert sorted(hosts_of(cloud)) == ["a", "b", "c"]
        (waiting,) = [f"vm{number}" for number in range(4) if not cloud.ready(f"vm{number}").true]
        assert cloud.ready(waiting).reason == "NoHostFits"
        assert "a: Affinity: anti-affinity group ha has" in cloud.ready(waiting).message
        await cloud.delete(next(f"vm{number}" for number in range(4) if f"vm{number}" != waiting))
        await cloud.settle(10)
        assert cloud.ready(waiting).true
        assert sorted(hosts_of(cloud)) == ["a", "b", "c"]


@virtual
async def test_members_of_an_affinity_group_deployed_at_once_share_a_host() -> None:
    async with world(("a", "b", "c")) as cloud:
        await group(cloud, "near", "Affinity")
        await asyncio.gather(*(cloud.apply(f"vm{number}", affinityGroups=["near"]) for number in range(6)))
        await cloud.settle(10)
        assert len(hosts_of(cloud)) == 6
        assert len(set(hosts_of(cloud))) == 1


@virtual
async def test_a_preferred_rule_is_kept_while_it_can_be() -> None:
    async with world(("a", "b")) as cloud:
        await group(cloud, "ha", "AntiAffinity", "Preferred")
        for number in range(3):
            await cloud.apply(f"vm{number}", affinityGroups=["ha"])
            await cloud.settle(5)
        assert sorted(set(hosts_of(cloud))) == ["a", "b"]
        assert all(cloud.ready(f"vm{number}").true for number in range(3))


@virtual
async def test_a_group_that_is_missing_is_told_and_heals() -> None:
    async with world() as cloud:
        await cloud.apply(affinityGroups=["ha"])
        await cloud.settle(5)
        assert cloud.ready().reason == "AffinityGroupNotFound"
        await group(cloud, "ha", "AntiAffinity")
        await cloud.settle(5)
        assert cloud.ready().true


# Placement plans.


async def ask(cloud: World, name: str, **spec: Json | str | list[str]) -> None:
    await cloud.put(PLACEMENT_PLAN, name, dict(spec), NS)


def answer(cloud: World, name: str) -> PlacementPlanStatus:
    body = cloud.server.read(PLACEMENT_PLAN, Key(NS, name))
    assert body is not None, f"no PlacementPlan {name}"
    return PLACEMENT_PLAN.parse(body).status


@virtual
async def test_a_plan_says_of_each_host_its_score_or_who_refused_it_and_makes_nothing() -> None:
    async with world(("a", "b")) as cloud:
        await cloud.apply("first", offering="big", placement={"host": "a"})
        await cloud.settle(5)
        before = len(cloud.server.log)
        await ask(cloud, "where", offering="big", image="tiny")
        await cloud.settle(5)
        told = answer(cloud, "where")
        assert (told.host, told.fitting) == ("b", 1)
        best, other = told.hosts
        assert (best.host, best.fits) == ("b", True)
        assert best.score > 0
        assert (other.host, other.fits, other.filter) == ("a", False, "Memory")
        assert other.message == "3Gi needed, 1Gi of 4Gi free"
        assert len(cloud.server.log) - before == 2, "the question and its answer"
        assert [each.spec.virtual_machine.name for each in cloud.instances()] == ["first"]
        await cloud.apply("second", offering="big")
        await cloud.settle(5)
        assert cloud.instance("second").spec.host_name == "b", "as it was foretold"


@virtual
async def test_a_plan_about_a_virtual_machine_leaves_out_what_that_one_holds() -> None:
    async with world(("a",)) as cloud:
        await cloud.apply("first", offering="big")
        await cloud.settle(5)
        await ask(cloud, "again", virtualMachine="first")
        await cloud.settle(5)
        assert answer(cloud, "again").host == "a"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"virtualMachine": "nobody"}, "VirtualMachineNotFound"),
        ({"offering": "unknown", "image": "tiny"}, "OfferingNotFound"),
        ({"offering": "tiny", "image": "tiny", "affinityGroups": ["nothing"]}, "AffinityGroupNotFound"),
        ({"offering": "tiny", "image": "tiny", "volumes": ["nothing"]}, "VolumeNotFound"),
        ({"offering": "tiny", "image": "tiny", "placement": {"host": "c"}}, "NoHostFits"),
    ],
)
@virtual
async def test_a_plan_that_has_no_answer_says_why(spec: Json, reason: str) -> None:
    async with world() as cloud:
        await ask(cloud, "where", **spec)
        await cloud.settle(5)
        ready = condition(answer(cloud, "where").conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", reason)
        assert not answer(cloud, "where").host


@virtual
async def test_a_plan_goes_when_its_time_has_passed_and_costs_nothing_until_then() -> None:
    async with world() as cloud:
        await ask(cloud, "where", offering="tiny", image="tiny", timeToLive="5m")
        await cloud.settle(5)
        before = len(cloud.server.log)
        await cloud.settle(250)
        assert len(cloud.server.log) == before
        await cloud.settle(60)
        assert cloud.server.read(PLACEMENT_PLAN, Key(NS, "where")) is None
