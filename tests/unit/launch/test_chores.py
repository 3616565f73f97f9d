"""The two chores of the chart, `selftest` and `apply-crds`, against an API server in memory, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.networking import NETWORK
from operators.crds import CRD, FOLDER, NotServed, apply, bodies
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.selftest import Asked, Failed, SelfTest
from tests.support.virtual_time import VirtualClock, virtual

KEY = Key("system", "cloudstack-test")


class Cloud:
    """An API server, the test, and Compute as far as the test can tell."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.server = MemoryServer(self.clock)
        self.compute = MemoryStore(self.server, "compute")
        asked = Asked("system", image="tiny", offering="tiny", timeout=60.0)
        self.test = SelfTest(asked, MemoryStore(self.server, "test"), self.clock)

    async def say(self, status: str, reason: str, message: str) -> None:
        """Wait for the machine, and write its `Ready`."""
        while (body := await self.compute.get(VIRTUAL_MACHINE, KEY)) is None:
            await self.clock.sleep(1.0)
        said = {"type": "Ready", "status": status, "reason": reason, "message": message}
        version = body["metadata"]["resourceVersion"]
        await self.compute.apply_status(VIRTUAL_MACHINE, KEY, {"conditions": [said]}, resource_version=version)

    async def nothing_left(self) -> bool:
        """Whether both objects are gone."""
        return all([await self.compute.get(kind, KEY) is None for kind in (VIRTUAL_MACHINE, NETWORK)])


@virtual
async def test_a_machine_that_becomes_ready_is_removed() -> None:
    cloud = Cloud()
    await asyncio.gather(cloud.test.run(), cloud.say("True", "Running", ""))
    assert await cloud.nothing_left()


@virtual
async def test_a_machine_that_does_not_is_named_and_removed() -> None:
    cloud = Cloud()
    telling = asyncio.create_task(cloud.say("False", "NoHostFits", "none of 0 hosts fits"))
    with pytest.raises(Failed, match="not Ready after 60 s: NoHostFits: none of 0 hosts fits"):
        await cloud.test.run()
    await telling
    assert await cloud.nothing_left()


@virtual
async def test_without_compute_the_test_says_so() -> None:
    with pytest.raises(Failed, match="does the component compute run"):
        await Cloud().test.run()


@virtual
async def test_what_an_earlier_test_left_goes_first() -> None:
    cloud = Cloud()
    old = await cloud.compute.create(NETWORK, NETWORK.body(KEY, spec={"cidr": "10.9.9.0/24"}))
    await asyncio.gather(cloud.test.run(), cloud.say("True", "Running", ""))
    assert await cloud.nothing_left()
    assert old["spec"]["cidr"] == "10.9.9.0/24"


@virtual
async def test_a_crd_is_applied_and_awaited() -> None:
    cloud = Cloud()
    (first, *_) = bodies(FOLDER)
    key = Key("", first["metadata"]["name"])

    async def establish() -> None:
        await cloud.clock.sleep(2.0)
        body = await cloud.compute.get(CRD, key)
        assert body is not None
        said = {"conditions": [{"type": "Established", "status": "True", "reason": "InitialNamesAccepted"}]}
        await cloud.compute.apply_status(CRD, key, said, resource_version=body["metadata"]["resourceVersion"])

    began = cloud.clock.monotonic()
    await asyncio.gather(apply(cloud.compute, first, cloud.clock), establish())
    assert 2.0 <= cloud.clock.monotonic() - began < 3.0


@virtual
async def test_a_crd_that_is_never_served_fails() -> None:
    cloud = Cloud()
    with pytest.raises(NotServed, match="kubectl describe crd"):
        await apply(cloud.compute, bodies(FOLDER)[0], cloud.clock)


def test_every_crd_is_found() -> None:
    assert len(bodies(FOLDER)) == len(list(FOLDER.glob("*.yaml"))) > 20
