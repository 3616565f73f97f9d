"""What a guest's agent says reaches the VirtualMachine, and an idle guest writes nothing."""

from __future__ import annotations

from operators.contract.compute import GuestInfo
from tests.support.virtual_time import virtual
from tests.unit.compute.world import world


@virtual
async def test_what_a_guest_says_is_told_when_it_is_news() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        assert cloud.vm().status.guest is None
        host.guests[uuid] = GuestInfo(os="Debian", hostname="web", addresses=("10.1.1.10",))
        await cloud.settle(60)
        assert cloud.vm().status.guest == host.guests[uuid]
        writes = len(cloud.server.log)
        await cloud.settle(1200)
        assert len(cloud.server.log) == writes
        host.guests[uuid] = GuestInfo(os="Debian", hostname="db", addresses=("10.1.1.10",))
        await cloud.settle(400)
        assert cloud.vm().status.guest == host.guests[uuid]
        assert len(cloud.server.log) == writes + 2, "the agent's and Compute's"
        await cloud.kill(cloud.instance().spec.host_name)
        cloud.start_agent(cloud.instance().spec.host_name)
        await cloud.settle(400)
        assert len(cloud.server.log) == writes + 2, "a new agent says nothing that is said"
        await cloud.apply(runPolicy="Stopped")
        await cloud.settle(10)
        assert cloud.vm().status.guest is None
