"""Pause, reset, run policies, and what becomes of a destroyed virtual machine."""

from __future__ import annotations

from operators.contract.compute import VIRTUAL_MACHINE, Power
from tests.support.virtual_time import virtual
from tests.unit.compute.world import WEB, world

GRACE = 600


@virtual
async def test_pause_and_go_on() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        await cloud.apply(paused=True)
        await cloud.settle(5)
        assert host.domains[uuid].power is Power.PAUSED
        assert (cloud.ready().true, cloud.ready().reason, cloud.vm().status.phase) == (True, "Paused", "Paused")
        await cloud.apply(runPolicy="Stopped", paused=True)
        await cloud.settle(20)
        assert not host.domains[uuid].active
        assert host.domains[uuid].stop_reason == "Shutdown", "it went on in order to end by itself"
        await cloud.apply(runPolicy="Running")
        await cloud.settle(5)
        assert (host.domains[uuid].power, cloud.ready().reason) == (Power.RUNNING, "Running")


@virtual
async def test_a_reset_cuts_the_power_once() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        host.faults = type(host.faults)(deaf=1.0)
        await cloud.apply(resetRequest=3)
        await cloud.settle(3)
        assert host.domains[uuid].active, "a deaf guest is not asked"
        assert (cloud.vm().status.reset_observed, cloud.starts()[uuid]) == (3, 2)
        assert cloud.vm().status.restarts == 0
        await cloud.settle(600)
        assert cloud.starts()[uuid] == 2


@virtual
async def test_rerun_on_failure_leaves_a_guest_off_that_shut_itself_down() -> None:
    async with world() as cloud:
        await cloud.apply(runPolicy="RerunOnFailure")
        await cloud.settle(5)
        host, uuid = cloud.sim()
        host.ended(uuid, "Crashed")
        await cloud.settle(5)
        assert host.domains[uuid].active
        host.ended(uuid, "Shutdown")
        await cloud.settle(600)
        assert not host.domains[uuid].active
        assert (cloud.ready().true, cloud.ready().reason, cloud.vm().status.phase) == (True, "Stopped", "Stopped")
        assert "rebootRequest" in cloud.ready().message
        await cloud.apply(runPolicy="RerunOnFailure", rebootRequest=1)
        await cloud.settle(5)
        assert host.domains[uuid].active


@virtual
async def test_a_stop_has_the_deadline_of_its_machine() -> None:
    async with world() as cloud:
        await cloud.apply(stopDeadline="3s")
        await cloud.settle(5)
        host, uuid = cloud.sim()
        host.faults = type(host.faults)(deaf=1.0)
        await cloud.apply(runPolicy="Stopped", stopDeadline="3s")
        await cloud.settle(2)
        assert host.domains[uuid].active
        await cloud.settle(3)
        assert host.domains[uuid].stop_reason == "Destroyed"


@virtual
async def test_what_was_destroyed_can_be_recovered_and_later_goes_for_good() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        await cloud.apply(destroyed=True)
        await cloud.settle(10)
        vm = cloud.vm()
        assert not host.domains[uuid].active
        assert (cloud.ready().reason, vm.status.phase) == ("Destroyed", "Destroyed")
        assert vm.status.destroyed_at
        assert vm.status.addresses, "it keeps its addresses until it is gone"
        await cloud.kill("compute")
        cloud.start_compute(EXPUNGE_DELAY="10m")
        await cloud.settle(GRACE // 2)
        await cloud.apply()
        await cloud.settle(10)
        assert host.domains[uuid].active
        assert (cloud.ready().reason, cloud.vm().status.destroyed_at) == ("Running", "")
        await cloud.apply(destroyed=True)
        await cloud.settle(GRACE - 60)
        assert not cloud.vm().meta.deleting, "the grace period began anew"
        writes = len(cloud.server.log)
        await cloud.settle(120)
        assert cloud.server.read(VIRTUAL_MACHINE, WEB) is None
        assert uuid not in host.domains
        assert ("compute", "delete", VIRTUAL_MACHINE, WEB) in cloud.server.log[writes:]


@virtual
async def test_the_grace_period_outlives_compute_and_is_the_operators_to_choose() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        await cloud.apply(destroyed=True)
        await cloud.settle(10)
        await cloud.kill("compute")
        cloud.start_compute(EXPUNGE_DELAY="1m")
        await cloud.settle(40)
        assert cloud.server.read(VIRTUAL_MACHINE, WEB) is not None
        await cloud.settle(30)
        assert cloud.server.read(VIRTUAL_MACHINE, WEB) is None
