"""Root disks that are made anew: the guest is stopped for it when nothing is known against the new one."""

from __future__ import annotations

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Condition
from operators.contract.reasons import Reason
from tests.support.virtual_time import virtual
from tests.unit.compute.world import World, world


def listed(cloud: World, name: str = "web") -> list[str]:
    return [disk.volume for disk in cloud.instance(name).spec.disks]


@virtual
async def test_a_running_guest_is_stopped_and_started_with_a_new_root_disk() -> None:
    async with world() as cloud:
        cloud.tells_of_waiting = True
        await cloud.apply()
        await cloud.settle(10)
        before, (host, uuid) = cloud.instance(), cloud.sim()
        assert listed(cloud)[0] == "web-root" and cloud.vm().status.reinstall_observed == 0
        await cloud.apply(reinstallRequest=1, image="other")
        await cloud.settle(20)
        after = cloud.instance()
        assert (cloud.ready().reason, listed(cloud)[0]) == ("Running", "web-root1")
        assert cloud.vm().status.reinstall_observed == 1
        assert (after.meta.uid, after.spec.nics) == (before.meta.uid, before.spec.nics)
        assert cloud.sim() == (host, uuid) and cloud.starts()[uuid] == 2
        writes = cloud.writes("compute")
        await cloud.settle(60)
        assert cloud.writes("compute") == writes


@virtual
async def test_a_guest_keeps_running_while_its_new_root_disk_cannot_be() -> None:
    async with world() as cloud:
        cloud.volumes["web-root1"] = Condition("Ready", "False", "ImageNotFound", "Image nope does not exist")
        await cloud.apply()
        await cloud.settle(10)
        _, uuid = cloud.sim()
        await cloud.apply(reinstallRequest=1, image="nope")
        await cloud.settle(20)
        assert cloud.ready().reason == Reason.IMAGE_NOT_FOUND and "nope" in cloud.ready().message
        assert listed(cloud)[0] == "web-root" and cloud.starts() == {uuid: 1}
        assert cloud.vm().status.reinstall_observed == 0
        await cloud.apply(reinstallRequest=1, image="nope", rebootRequest=1)
        await cloud.settle(20)
        assert cloud.starts()[uuid] == 2 and cloud.vm().status.reboot_observed == 1, "all else is followed meanwhile"
        assert cloud.ready().reason == Reason.IMAGE_NOT_FOUND and listed(cloud) == ["web-root"]
        cloud.volumes.clear()
        cloud.tells_of_waiting = True
        await cloud.apply(reinstallRequest=2, image="tiny")
        await cloud.settle(20)
        assert listed(cloud)[0] == "web-root2" and cloud.vm().status.reinstall_observed == 2


@virtual
async def test_a_stopped_guest_gets_it_and_stays_stopped() -> None:
    async with world() as cloud:
        cloud.tells_of_waiting = True
        await cloud.apply()
        await cloud.settle(10)
        _, uuid = cloud.sim()
        await cloud.apply(runPolicy="Stopped")
        await cloud.settle(10)
        await cloud.apply(runPolicy="Stopped", reinstallRequest=1)
        await cloud.settle(20)
        assert listed(cloud)[0] == "web-root1" and cloud.ready().reason == "Stopped"
        assert cloud.vm().status.reinstall_observed == 1 and cloud.starts() == {uuid: 1}
        await cloud.apply(runPolicy="Running", reinstallRequest=1)
        await cloud.settle(10)
        assert cloud.ready().reason == "Running" and listed(cloud).count("web-root1") == 1


@virtual
async def test_one_that_was_never_started_has_nothing_to_lose() -> None:
    async with world() as cloud:
        cloud.tells_of_waiting = True
        await cloud.apply(runPolicy="Stopped")
        await cloud.settle(10)
        await cloud.apply(runPolicy="Stopped", reinstallRequest=1)
        await cloud.settle(10)
        assert cloud.vm().status.reinstall_observed == 1 and cloud.instances() == []


@pytest.mark.parametrize("fatal", [True, False], ids=["killed", "unanswered"])
@pytest.mark.parametrize("after", range(1, 6))
def test_cut_off_at_every_write_it_is_done_once(after: int, fatal: bool) -> None:
    @virtual
    async def life() -> None:
        async with world() as cloud:
            cloud.tells_of_waiting = True
            await cloud.apply()
            await cloud.settle(10)
            _, uuid = cloud.sim()
            await cloud.kill("compute")
            cloud.start_compute(after, fatal=fatal)
            await cloud.apply(reinstallRequest=1)
            await cloud.settle(60)
            assert cloud.ready().reason == "Running" and listed(cloud)[0] == "web-root1"
            assert cloud.vm().status.reinstall_observed == 1 and cloud.starts()[uuid] == 2
            assert len(list(cloud.server.all(VIRTUAL_MACHINE))) == 1

    life()
