"""Accounts and projects have namespaces with their people and quotas, and end in order."""

from __future__ import annotations

import pytest

from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.core import NAMESPACE, QUOTA, ROLE_BINDING
from operators.contract.identity import ACCOUNT, DOMAIN, PROJECT, USER
from operators.contract.meta import Key
from operators.contract.networking import NETWORK
from operators.contract.storage import VOLUME
from tests.unit.data.world import World

VM = {"offering": "tiny", "image": "tiny"}


async def people(world: World) -> None:
    await world.make(DOMAIN, "root", {})
    await world.make(DOMAIN, "sales", {"parent": "root"})
    await world.make(ACCOUNT, "boss", {"domain": "sales", "role": "DomainAdmin"})
    await world.make(USER, "carol", {"account": "boss", "kubernetesUser": "carol@example.org"})
    await world.make(ACCOUNT, "team-a", {"domain": "sales", "limits": {"virtualMachines": 3, "cpus": 8}})
    await world.make(USER, "ann", {"account": "team-a"})


def admitted(world: World, namespace: str) -> list[str]:
    body = world.body(ROLE_BINDING, "cloudstack-people", namespace)
    return [] if body is None else [subject["name"] for subject in body["subjects"]]


def ready(world: World, name: str) -> Json:
    body = world.body(ACCOUNT, name) or {}
    conditions = body.get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == "Ready"), {})


async def test_a_namespace_with_its_people_and_its_quota(world: World) -> None:
    await people(world)
    both = ["carol@example.org", "cloudstack:ann"]
    await world.until(lambda: admitted(world, "team-a") == both)
    await world.until(lambda: admitted(world, "boss") == ["carol@example.org"])
    space = world.body(NAMESPACE, "team-a")
    assert space is not None
    assert space["metadata"]["labels"][names.LABEL_TENANT] == "team-a"
    quota = world.body(QUOTA, "cloudstack-limits", "team-a")
    assert quota is not None
    assert quota["spec"]["hard"] == {"count/virtualmachines.compute.cloudstack.dev": "3"}
    await world.until(lambda: ready(world, "team-a").get("status") == "True")
    binding = world.body(ROLE_BINDING, "cloudstack-people", "team-a")
    assert binding is not None
    assert binding["roleRef"]["name"] == "cloudstack-tenant-edit"

    user = USER.parse(world.body(USER, "ann") or {})
    await world.user.merge(USER, user.meta, {"spec": {"enabled": False}})
    await world.until(lambda: admitted(world, "team-a") == ["carol@example.org"], "who is disabled is out")
    account = ACCOUNT.parse(world.body(ACCOUNT, "team-a") or {})
    await world.user.merge(ACCOUNT, account.meta, {"spec": {"limits": {"virtualMachines": 5}}})
    await world.until(lambda: "5" in str(world.body(QUOTA, "cloudstack-limits", "team-a")))


async def test_a_project_is_its_members(world: World) -> None:
    await people(world)
    await world.make(PROJECT, "project-x", {"domain": "sales", "members": [{"account": "team-a", "role": "Admin"}]})
    await world.until(lambda: admitted(world, "project-x") == ["carol@example.org", "cloudstack:ann"])


@pytest.mark.parametrize("name", ["cloudstack-system", "cloudstack-identity", "default"])
async def test_the_clouds_own_namespaces_are_nobodys(world: World, name: str) -> None:
    await people(world)
    await world.make(ACCOUNT, name, {"domain": "root"})
    await world.until(lambda: ready(world, name).get("status") == "False")
    assert "the cloud's own" in ready(world, name)["message"]
    assert world.body(ROLE_BINDING, "cloudstack-people", name) is None


async def test_an_account_without_a_domain_says_so(world: World) -> None:
    await world.make(ACCOUNT, "lost", {"domain": "nowhere"})
    await world.until(lambda: ready(world, "lost").get("reason") == "WaitingForDomain")


@pytest.mark.parametrize("there_before", [False, True])
async def test_the_end_in_order(world: World, there_before: bool) -> None:
    if there_before:
        await world.user.create(NAMESPACE, NAMESPACE.body(Key("", "team-a")))
    await people(world)
    await world.until(lambda: ready(world, "team-a").get("status") == "True")
    held = {"finalizers": ["cloudstack.dev/orchestration"]}
    machine = await world.make(VIRTUAL_MACHINE, "web", VM, "team-a", **held)
    await world.make(VOLUME, "ledger", {"size": "1Gi"}, "team-a")
    await world.make(NETWORK, "front", {"cidr": "10.1.1.0/24"}, "team-a")
    account = world.body(ACCOUNT, "team-a") or {}
    await world.user.delete(ACCOUNT, Key("", "team-a"), uid=account["metadata"]["uid"])
    await world.until(lambda: "deletionTimestamp" in (world.body(VIRTUAL_MACHINE, "web", "team-a") or {})["metadata"])
    assert world.body(VOLUME, "ledger", "team-a") is not None, "guests first"
    newest = VIRTUAL_MACHINE.parse(world.body(VIRTUAL_MACHINE, "web", "team-a") or machine)
    await world.user.finalize(VIRTUAL_MACHINE, newest.meta, [])
    await world.until(lambda: world.body(ACCOUNT, "team-a") is None, "gone at last")
    assert world.body(VOLUME, "ledger", "team-a") is None
    assert world.body(NETWORK, "front", "team-a") is None
    assert world.body(USER, "ann") is None
    assert (world.body(NAMESPACE, "team-a") is not None) == there_before, "what was there before stays"
