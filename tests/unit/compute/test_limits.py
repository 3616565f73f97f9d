"""Limits on processors and memory, whoever makes the virtual machines: a sum is never passed."""

from __future__ import annotations

import asyncio

from operators.contract.compute import COMPUTE_OFFERING
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT
from operators.contract.meta import Key, condition
from operators.contract.placement import PLACEMENT_PLAN
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, World, world


async def tenants(cloud: World, *, account: dict[str, int] | None = None, domain: dict[str, int] | None = None) -> None:
    await cloud.put(DOMAIN, "root", {})
    await cloud.put(DOMAIN, "sales", {"parent": "root", "limits": domain or {}})
    await cloud.put(ACCOUNT, NS, {"domain": "sales", "limits": account or {}})


def names(cloud: World) -> list[str]:
    return sorted(each.spec.virtual_machine.name for each in cloud.instances())


@virtual
async def test_many_at_once_never_pass_a_limit() -> None:
    async with world(("a", "b")) as cloud:
        await tenants(cloud, account={"cpus": 3})
        await asyncio.gather(*(cloud.apply(f"vm{number}") for number in range(6)))
        await cloud.settle(10)
        assert sum(each.spec.cpus for each in cloud.instances()) == 3
        (one, *_) = [f"vm{number}" for number in range(6) if not cloud.ready(f"vm{number}").true]
        told = cloud.ready(one)
        assert told.reason == "LimitExceeded"
        assert f"Account {NS} may have 3 processors (spec.limits.cpus): 3 are taken, and 1 more" in told.message
        assert cloud.vm(one).status.phase == "Pending"


@virtual
async def test_a_limit_that_is_raised_lets_the_next_in() -> None:
    async with world(("a", "b")) as cloud:
        await tenants(cloud, account={"memory": 128})
        for name in ("one", "two"):
            await cloud.apply(name)
            await cloud.settle(5)
        assert names(cloud) == ["one"]
        await cloud.put(ACCOUNT, NS, {"domain": "sales", "limits": {"memory": 256}})
        await cloud.settle(5)
        assert names(cloud) == ["one", "two"]


@virtual
async def test_what_ends_makes_room() -> None:
    async with world(("a", "b")) as cloud:
        await tenants(cloud, account={"memory": 128})
        for name in ("one", "two"):
            await cloud.apply(name)
            await cloud.settle(5)
        await cloud.delete("one")
        await cloud.settle(10)
        assert names(cloud) == ["two"]
        assert cloud.ready("two").true


@virtual
async def test_a_domain_s_limit_is_for_all_beneath() -> None:
    async with world(("a", "b")) as cloud:
        await tenants(cloud, domain={"cpus": 1})
        await cloud.put(PROJECT, "project-x", {"domain": "sales"})
        await cloud.apply("one")
        await cloud.apply("two")
        await cloud.settle(10)
        assert len(cloud.instances()) == 1
        (late,) = {"one", "two"} - set(names(cloud))
        assert "Domain sales may have 1 processors" in cloud.ready(late).message


@virtual
async def test_a_placement_plan_says_so_too() -> None:
    async with world(("a", "b")) as cloud:
        await tenants(cloud, account={"cpus": 1})
        await cloud.apply("one")
        await cloud.settle(5)
        await cloud.put(PLACEMENT_PLAN, "where", {"offering": "tiny", "image": "tiny"}, NS)
        await cloud.settle(5)
        body = cloud.server.read(PLACEMENT_PLAN, Key(NS, "where"))
        assert body is not None
        told = condition(PLACEMENT_PLAN.parse(body).status.conditions, "Ready")
        assert told is not None and (told.true, told.reason) == (False, "LimitExceeded")


@virtual
async def test_a_stopped_guest_counts_and_starts_again() -> None:
    async with world(("a", "b")) as cloud:
        await tenants(cloud, account={"cpus": 1})
        await cloud.apply("one")
        await cloud.settle(5)
        await cloud.apply("one", runPolicy="Stopped")
        await cloud.settle(5)
        await cloud.apply("two")
        await cloud.settle(5)
        assert cloud.ready("two").reason == "LimitExceeded"
        await cloud.apply("one", runPolicy="Running")
        await cloud.settle(5)
        assert cloud.ready("one").true


@virtual
async def test_a_running_guest_does_not_grow_past_a_limit() -> None:
    async with world(("a", "b")) as cloud:
        custom = {"minCpus": 1, "maxCpus": 4, "minMemory": "64Mi", "maxMemory": "1Gi"}
        await cloud.put(COMPUTE_OFFERING, "custom", {"cpus": 1, "memory": "128Mi", "custom": custom})
        await tenants(cloud, account={"cpus": 2})
        await cloud.apply("one", offering="custom", cpus=1)
        await cloud.settle(5)
        await cloud.apply("one", offering="custom", cpus=3)
        await cloud.settle(5)
        assert cloud.instance("one").spec.cpus == 1
        await cloud.apply("one", offering="custom", cpus=2)
        await cloud.settle(5)
        assert cloud.instance("one").spec.cpus == 2


@virtual
async def test_a_namespace_that_is_no_tenant_s_has_no_limit() -> None:
    async with world(("a", "b")) as cloud:
        await cloud.put(DOMAIN, "root", {"limits": {"cpus": 0}})
        await cloud.apply("one")
        await cloud.settle(5)
        assert cloud.ready("one").true
