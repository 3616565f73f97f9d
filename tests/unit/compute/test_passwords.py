"""A password that is made when it is asked for, handed over at a start, and taken out of sight once the guest has it."""

from __future__ import annotations

import base64
from typing import Any

from agents.hypervisor.simulated import SimulatedHost
from operators.contract import names
from operators.contract.compute import GuestInfo
from operators.contract.core import SECRET
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, condition
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, World, world


def password(cloud: World, request: int) -> str:
    body = cloud.server.read(SECRET, Key(NS, names.password_secret("web", cloud.vm().meta.uid, request)))
    assert body
    assert body["metadata"]["ownerReferences"][0]["uid"] == cloud.vm().meta.uid
    return base64.b64decode(body["data"]["password"]).decode()


async def takes(cloud: World, request: int) -> None:
    """The guest says that it has it, to the network agent of its host."""
    instance = cloud.instance()
    agent = cloud.admin.as_manager("agent-network")
    await agent.apply_status(INSTANCE, instance.key, {"passwordObserved": request}, resource_version="")
    await cloud.settle(5)


async def started_anew(cloud: World, **spec: Any) -> None:
    await cloud.apply(runPolicy="Stopped", **spec)
    await cloud.settle(10)
    await cloud.apply(**spec)
    await cloud.settle(10)


@virtual
async def test_nobody_who_asks_for_none_gets_one() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        assert cloud.instance().spec.password is None
        assert cloud.vm().status.password_secret == ""
        assert not list(cloud.server.all(SECRET))


@virtual
async def test_a_new_password_is_made_handed_over_and_put_out_of_sight() -> None:
    async with world() as cloud:
        await cloud.apply(passwordRequest=1)
        await cloud.settle(5)
        assert cloud.ready().true
        handed = cloud.instance().spec.password
        assert handed is not None
        assert (handed.request, handed.text) == (1, password(cloud, 1))
        assert len(handed.text) == 16
        status = cloud.vm().status
        assert (status.password_secret, status.password_observed) == (
            names.password_secret("web", cloud.vm().meta.uid, 1),
            0,
        )
        assert handed.text not in str(cloud.server.read(cloud.vm().kind, cloud.vm().key))
        await takes(cloud, 1)
        assert cloud.instance().spec.password is None
        assert cloud.vm().status.password_observed == 1
        # What it has it keeps, and is not told again.
        await started_anew(cloud, passwordRequest=1)
        assert cloud.instance().spec.password is None
        assert list(cloud.server.all(SECRET)) == [cloud.server.read(SECRET, Key(NS, status.password_secret))]


@virtual
async def test_a_running_guest_waits_for_its_next_start_which_is_said() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        await cloud.apply(passwordRequest=1)
        await cloud.settle(5)
        assert cloud.instance().spec.password is None
        said = condition(cloud.vm().status.conditions, "RestartRequired")
        assert said
        assert "a new password" in said.message
        await started_anew(cloud, passwordRequest=1)
        assert condition(cloud.vm().status.conditions, "RestartRequired") is None
        first = password(cloud, 1)
        await takes(cloud, 1)
        await started_anew(cloud, passwordRequest=2)
        handed = cloud.instance().spec.password
        assert handed is not None
        assert handed.text == password(cloud, 2) != first


@virtual
async def test_a_password_that_was_made_when_compute_fell_is_the_password() -> None:
    async with world() as cloud:
        await cloud.apply(runPolicy="Stopped", passwordRequest=1)
        await cloud.settle(5)
        name = names.password_secret("web", cloud.vm().meta.uid, 1)
        data = {"password": base64.b64encode(b"made-before").decode()}
        owners = [{"apiVersion": "v1", "kind": "X", "name": "web", "uid": cloud.vm().meta.uid}]
        body = SECRET.body(Key(NS, name), ownerReferences=owners) | {"data": data}
        await cloud.admin.as_manager("compute").create(SECRET, body)
        await cloud.apply(passwordRequest=1)
        await cloud.settle(10)
        handed = cloud.instance().spec.password
        assert handed is not None
        assert handed.text == "made-before"


async def with_an_agent(cloud: World) -> tuple[SimulatedHost, str]:
    """A running guest whose own agent has been heard of."""
    await cloud.apply()
    await cloud.settle(5)
    host, uuid = cloud.sim()
    host.guests[uuid] = GuestInfo(hostname="web")
    await cloud.settle(60)
    assert cloud.instance().status.guest is not None
    return host, uuid


@virtual
async def test_the_agent_of_a_running_guest_sets_it_at_once() -> None:
    async with world() as cloud:
        host, uuid = await with_an_agent(cloud)
        await cloud.apply(passwordRequest=1, passwordUser="ada")
        await cloud.settle(10)
        assert host.passwords == {uuid: f"ada:{password(cloud, 1)}"}
        assert cloud.instance().spec.password is None, "out of sight"
        status = cloud.vm().status
        assert (status.password_observed, status.password_secret) == (
            1,
            names.password_secret("web", cloud.vm().meta.uid, 1),
        )
        assert condition(cloud.vm().status.conditions, "RestartRequired") is None and cloud.ready().true
        await started_anew(cloud, passwordRequest=1)
        assert cloud.instance().spec.password is None, "what it has it is not told again"


@virtual
async def test_what_the_agent_does_not_set_waits_for_the_next_start() -> None:
    async with world() as cloud:
        host, uuid = await with_an_agent(cloud)
        host.guests.pop(uuid)
        await cloud.apply(passwordRequest=1)
        await cloud.settle(10)
        said = condition(cloud.vm().status.conditions, "RestartRequired")
        assert said and "a new password" in said.message and cloud.ready().true
        await started_anew(cloud, passwordRequest=1)
        handed = cloud.instance().spec.password
        assert handed is not None and handed.text == password(cloud, 1)
        await takes(cloud, 1)
        assert cloud.vm().status.password_observed == 1 and host.passwords == {}
