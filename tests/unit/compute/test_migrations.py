"""A guest moves between hosts: the real Compute and real agents on simulated hosts, in memory and on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from agents.hypervisor.simulated import Faults
from operators.contract.compute import COMPUTE_OFFERING
from operators.contract.meta import Key, condition
from operators.contract.migrations import MIGRATION
from operators.contract.storage import VOLUME
from tests.support.virtual_time import virtual
from tests.unit.compute.test_sizes import CUSTOM
from tests.unit.compute.world import NS, World, world


async def deployed(cloud: World, name: str = "web", **spec: object) -> str:
    await cloud.apply(name, **spec)
    await cloud.settle(5)
    assert cloud.ready(name).true, cloud.ready(name)
    return cloud.instance(name).spec.virtual_machine.uid


def verdict(cloud: World, name: str = "move") -> tuple[str, str]:
    found = condition(cloud.migration(name).status.conditions, "Succeeded")
    return (found.status, found.reason) if found else ("", "")


def at(cloud: World, uuid: str) -> str:
    (host,) = cloud.running(uuid)
    return host


class Watchdog:
    """Looks, at every change of a guest's state on any host, that it runs on one host at most."""

    def __init__(self, cloud: World, uuid: str) -> None:
        self.cloud, self.uuid = cloud, uuid
        self.seen: list[list[str]] = []
        for host in cloud.hosts.values():
            host.listeners.append(self.look)

    def look(self, _: str) -> None:
        hosts = self.cloud.running(self.uuid)
        assert len(hosts) <= 1, hosts
        self.seen.append(hosts)


@virtual
async def test_a_guest_moves_and_its_machine_stays_ready() -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        before, started = at(cloud, uuid), cloud.starts()[uuid]
        Watchdog(cloud, uuid)
        await cloud.migrate()
        await cloud.settle(0.8)
        vm = cloud.vm()
        assert vm.status.phase == "Migrating", vm.status
        assert cloud.ready().true
        moving = condition(vm.status.conditions, "Migrating")
        assert moving and moving.true and moving.message == "to host " + cloud.migration().status.target_host
        await cloud.settle(5)
        after = at(cloud, uuid)
        assert after != before
        assert verdict(cloud) == ("True", "Succeeded"), cloud.migration().status
        status = cloud.migration().status
        assert (status.source_host, status.target_host, status.storage) == (before, after, "Incremental")
        assert (status.progress, status.downtime, status.phase) == (100, 100, "Succeeded")
        assert status.started_at and status.finished_at
        vm = cloud.vm()
        assert (vm.status.host_name, vm.status.phase) == (after, "Running")
        assert condition(vm.status.conditions, "Migrating") is None
        assert cloud.instance().spec.host_name == after, "one Instance is left"
        assert cloud.starts()[uuid] == started, "moved, not started"
        assert uuid not in cloud.hosts[before].domains


@virtual
async def test_idle_after_a_move_causes_no_writes_and_life_goes_on_there() -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        await cloud.migrate()
        await cloud.settle(10)
        before = len(cloud.server.log)
        await cloud.settle(3600)
        assert len(cloud.server.log) == before
        host = at(cloud, uuid)
        await cloud.apply(rebootRequest=1)
        await cloud.settle(10)
        assert (at(cloud, uuid), cloud.vm().status.reboot_observed) == (host, 1)
        await cloud.migrate("back")
        await cloud.settle(10)
        assert at(cloud, uuid) != host
        assert verdict(cloud, "back")[0] == "True", cloud.migration("back").status
        await cloud.delete()
        await cloud.settle(10)
        assert not cloud.instances()
        assert not any(uuid in each.domains for each in cloud.hosts.values())


@virtual
async def test_a_target_may_be_asked_for() -> None:
    async with world(("a", "b", "c")) as cloud:
        uuid = await deployed(cloud)
        wanted = next(name for name in ("c", "b") if name != at(cloud, uuid))
        await cloud.migrate(targetHost=wanted)
        await cloud.settle(5)
        assert at(cloud, uuid) == wanted


@virtual
async def test_a_guest_with_a_cd_in_its_drive_stays_until_that_is_taken_out() -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        host = at(cloud, uuid)
        await cloud.put(VOLUME, "cd", {"size": "1Mi"}, NS)
        await cloud.apply(cdrom="cd")
        await cloud.settle(5)
        assert [disk.cdrom for disk in cloud.instance().spec.disks] == [False, True]
        await cloud.migrate()
        await cloud.settle(5)
        found = condition(cloud.migration().status.conditions, "Succeeded")
        assert found and found.reason == "StillAttached" and at(cloud, uuid) == host
        await cloud.apply()
        await cloud.settle(10)
        assert verdict(cloud)[0] == "True" and at(cloud, uuid) != host


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"targetHost": "nowhere"}, "NoHostFits", "there is no Host nowhere"),
        ({"virtualMachine": "nobody"}, "WaitingForHost", "there is no VirtualMachine nobody"),
        ({"storage": "Shared"}, "NoHostFits", "is on host"),
    ],
)
@virtual
async def test_what_cannot_be_is_said(spec: dict[str, str], reason: str, words: str) -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        host = at(cloud, uuid)
        await cloud.migrate(**spec)
        await cloud.settle(5)
        found = condition(cloud.migration().status.conditions, "Succeeded")
        assert found and (found.status, found.reason) == ("False", reason), found
        assert words in found.message
        assert at(cloud, uuid) == host and cloud.ready().true


@virtual
async def test_a_volume_stays_on_the_pool_that_its_user_names() -> None:
    """A target that could not get a copy of it would wait for ever, and the guest with it (seed 10059)."""
    async with world() as cloud:
        await cloud.put(VOLUME, "data", {"size": "1Gi", "pool": "local-a"}, NS)
        uuid = await deployed(cloud, volumes=["data"])
        assert at(cloud, uuid) == "a"
        await cloud.migrate()
        await cloud.settle(5)
        assert verdict(cloud) == ("False", "NoHostFits")
        assert len(cloud.instances()) == 1 and cloud.ready().true


@virtual
async def test_a_guest_that_ends_before_it_is_sent_is_started_again_where_it_is() -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        source = at(cloud, uuid)
        await cloud.kill(next(name for name in cloud.hosts if name != source))
        await cloud.migrate()
        await cloud.settle(5)
        assert verdict(cloud)[1] == "WaitingForHost"
        cloud.hosts[source].ended(uuid, "Crashed")
        await cloud.settle(30)
        assert verdict(cloud) == ("False", "Failed")
        assert at(cloud, uuid) == source and cloud.ready().true


@virtual
async def test_what_does_not_begin_in_time_is_given_up() -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        host = at(cloud, uuid)
        await cloud.migrate("patient", storage="Shared")
        await cloud.migrate("late", storage="Shared", beginWithin="30s")
        await cloud.settle(20)
        assert not cloud.migration("late").status.finished_at
        await cloud.settle(20)
        assert verdict(cloud, "late") == ("False", "DeadlineExceeded")
        assert cloud.migration("late").status.finished_at
        assert not cloud.migration("patient").status.finished_at
        assert at(cloud, uuid) == host and cloud.ready().true


@virtual
async def test_what_does_not_run_is_refused_for_good() -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        await cloud.migrate("same", targetHost=at(cloud, uuid))
        await cloud.apply(runPolicy="Stopped")
        await cloud.settle(5)
        await cloud.migrate("late")
        await cloud.settle(5)
        for name in ("same", "late"):
            assert verdict(cloud, name) == ("False", "Invalid")
            assert cloud.migration(name).status.finished_at


@pytest.mark.parametrize("when", [0.0, 0.3, 0.9, 1.15, 1.3])
@pytest.mark.parametrize("how", ["cancel", "delete", "stop", "destroy", "reboot", "reset", "pause", "reinstall"])
@virtual
async def test_it_may_be_given_up_at_any_moment(when: float, how: str) -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        starts = cloud.starts()[uuid]
        Watchdog(cloud, uuid)
        await cloud.migrate()
        await cloud.settle(when)
        match how:
            case "cancel":
                await cloud.migrate(cancel=True)
            case "delete":
                cloud.server.delete("kubectl", MIGRATION, Key(NS, "move"))
            case "stop":
                await cloud.apply(runPolicy="Stopped")
            case "destroy":
                await cloud.delete()
            case "reboot":
                await cloud.apply(rebootRequest=1)
            case "reset":
                await cloud.apply(resetRequest=1)
            case "pause":
                await cloud.apply(paused=True)
            case "reinstall":
                cloud.tells_of_waiting = True
                await cloud.apply(reinstallRequest=1)
        await cloud.settle(20)
        if how == "destroy":
            assert not cloud.instances()
            assert not any(uuid in host.domains for host in cloud.hosts.values())
            return
        assert len(cloud.instances()) == 1
        here = cloud.instance().spec.host_name
        others = [host for name, host in cloud.hosts.items() if name != here]
        assert not any(uuid in host.domains or uuid in host.seeds for host in others)
        assert cloud.ready().true, cloud.ready()
        if how == "stop":
            assert not cloud.running(uuid)
        elif how == "pause":
            assert cloud.ready().reason == "Paused" and not cloud.running(uuid)
            assert cloud.starts()[uuid] == starts
            await cloud.apply()
            await cloud.settle(20)  # a Migration that had not begun does so now
            assert at(cloud, uuid) and cloud.starts()[uuid] == starts, "it goes on from where it was"
        else:
            assert at(cloud, uuid) == here
            assert cloud.starts()[uuid] == starts + (how in ("reboot", "reset", "reinstall"))
            assert cloud.vm().status.reset_observed == int(how == "reset")
            assert cloud.vm().status.reinstall_observed == int(how == "reinstall")
        if how == "delete":
            assert cloud.server.read(MIGRATION, Key(NS, "move")) is None
        else:
            assert cloud.migration().status.finished_at, cloud.migration().status


@pytest.mark.parametrize("when", [0.0, 0.3, 0.9, 1.15, 1.3, 5.0])
@virtual
async def test_a_guest_that_is_given_another_size_meanwhile_has_it_where_it_arrives(when: float) -> None:
    async with world() as cloud:
        await cloud.put(COMPUTE_OFFERING, "custom", CUSTOM)
        sized = {"offering": "custom", "cpus": 1, "memory": "256Mi"}
        await cloud.apply(**sized)
        await cloud.settle(10)
        uuid, source = cloud.vm().meta.uid, cloud.instance().spec.host_name
        await cloud.migrate()
        await cloud.settle(when)
        await cloud.apply(**sized | {"cpus": 2, "memory": "192Mi"})
        await cloud.settle(30)
        here = cloud.instance()
        assert at(cloud, uuid) == here.spec.host_name != source and cloud.starts()[uuid] == 1
        record = cloud.hosts[here.spec.host_name].live[uuid]
        assert (here.spec.cpus, record.cpus, record.memory) == (2, 2, 192 << 20)
        assert cloud.ready().true


@pytest.mark.parametrize("when", [0.2, 0.6, 1.0, 1.12, 1.2, 1.3])
@pytest.mark.parametrize("which", ["source", "target"])
@virtual
async def test_a_guest_that_ends_on_the_way_is_started_again_once(when: float, which: str) -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        source = at(cloud, uuid)
        Watchdog(cloud, uuid)
        await cloud.migrate()
        await cloud.settle(when)
        for name, host in cloud.hosts.items():
            if (name == source) is (which == "source") and uuid in host.domains:
                if name != source and host.domains[uuid].pause_reason == "Migration":
                    del host.domains[uuid]
                else:
                    host.ended(uuid, "Crashed")
        await cloud.settle(30)
        assert at(cloud, uuid) == cloud.instance().spec.host_name
        assert cloud.ready().true, cloud.ready()
        assert cloud.migration().status.finished_at, cloud.migration().status


@settings(max_examples=25, deadline=None)
@given(
    killed=st.lists(
        st.tuples(st.sampled_from(["compute", "a", "b"]), st.floats(0.0, 2.0), st.floats(0.05, 2.0)), max_size=5
    ),
    cancel=st.one_of(st.none(), st.floats(0.0, 2.0)),
    fails=st.booleans(),
    lost=st.sampled_from([0.0, 0.5]),
)
def test_whatever_is_killed_one_guest_runs(
    killed: list[tuple[str, float, float]], cancel: float | None, fails: bool, lost: float
) -> None:
    @virtual
    async def run() -> None:
        note(f"{killed=} {cancel=} {fails=} {lost=}")
        async with world() as cloud:
            uuid = await deployed(cloud)
            starts = cloud.starts()[uuid]
            Watchdog(cloud, uuid)
            for host in cloud.hosts.values():
                host.faults = Faults(move_fails=0.7 if fails else 0.0, event_lost=lost)
            await cloud.migrate()
            deeds = [asyncio.create_task(_down(cloud, *each)) for each in killed]
            if cancel is not None:
                await asyncio.sleep(cancel)
                await cloud.migrate(cancel=True)
            await asyncio.gather(*deeds)
            for host in cloud.hosts.values():
                host.faults = Faults()
                for listener in tuple(host.listeners):
                    listener(uuid)  # what was lost is looked at again when the connection is next checked
            await cloud.settle(60)
            status = cloud.migration().status
            assert status.finished_at, (
                status,
                [each.spec for each in cloud.instances()],
                [each.status for each in cloud.instances()],
            )
            assert at(cloud, uuid) == cloud.instance().spec.host_name
            assert cloud.starts()[uuid] == starts, "never started anew"
            assert cloud.ready().true, cloud.ready()
            others = [host for name, host in cloud.hosts.items() if name != at(cloud, uuid)]
            assert not any(uuid in host.domains for host in others)

    run()


async def _down(cloud: World, part: str, when: float, long: float) -> None:
    await asyncio.sleep(when)
    if part in cloud.parts:
        await cloud.kill(part)
        await asyncio.sleep(long)
        start: Callable[[], None] = cloud.start_compute if part == "compute" else lambda: cloud.start_agent(part)
        start()


@virtual
async def test_no_more_guests_move_at_a_time_than_a_host_may() -> None:
    async with world(("a", "b", "c")) as cloud:
        for number in range(4):
            await cloud.apply(f"vm{number}", placement={"host": "a"})
        await cloud.settle(5)
        for number in range(4):
            await cloud.apply(f"vm{number}", placement={})
            await cloud.migrate(f"move{number}", vm=f"vm{number}")
        most = 0
        for _ in range(60):
            await cloud.settle(0.1)
            most = max(
                most,
                sum(each.spec.incoming is not None and not each.spec.incoming.committed for each in cloud.instances()),
            )
        assert most == 2
        await cloud.settle(20)
        assert all(verdict(cloud, f"move{number}")[0] == "True" for number in range(4))


@virtual
async def test_a_second_migration_of_the_same_guest_waits_for_the_first() -> None:
    async with world(("a", "b", "c")) as cloud:
        uuid = await deployed(cloud)
        first = at(cloud, uuid)
        await cloud.migrate("one")
        await cloud.settle(0.3)
        await cloud.migrate("two")
        await cloud.settle(0.3)
        assert verdict(cloud, "two") == ("False", "WaitingForMigration")
        await cloud.settle(10)
        assert verdict(cloud, "one")[0] == verdict(cloud, "two")[0] == "True"
        assert cloud.migration("two").status.source_host == cloud.migration("one").status.target_host != first


@virtual
async def test_an_unreachable_source_is_waited_for() -> None:
    async with world() as cloud:
        uuid = await deployed(cloud)
        source = at(cloud, uuid)
        await cloud.migrate()
        await cloud.settle(0.5)
        await cloud.kill(source)
        await cloud.reachable(source, "False", "no agent beats")
        await cloud.migrate(cancel=True)
        await cloud.settle(0.2)
        assert verdict(cloud)[1] in ("HostDown", "Cancelled")
        await cloud.settle(10)
        cloud.start_agent(source)
        await cloud.reachable(source, "True")
        await cloud.settle(10)
        assert at(cloud, uuid) == cloud.instance().spec.host_name
        assert cloud.migration().status.finished_at
