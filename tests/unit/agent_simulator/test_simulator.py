"""The simulator on an API server in memory: its hosts, what is made on them, faults that heal, and silence when idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agents.hypervisor import simulated
from agents.simulator.handlers import COMPONENT
from agents.simulator.settings import Settings
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.core import LEASE
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL
from operators.contract.instances import INSTANCE, InstanceStatus
from operators.contract.meta import Key, holds
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK, IMAGE_COPY
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from tests.support.virtual_time import VirtualClock, virtual

NS = "team-a"
REF = {"name": "web", "uid": "11111111-1111-4111-8111-111111111111"}
FIRST = names.simulated_host(1)


class World:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.server = MemoryServer(clock=self.clock)
        self.admin = MemoryStore(self.server, "admin")
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, **env: str) -> None:
        simulated._HOSTS.clear()
        settings = {"POD_NAMESPACE": "system", "SIMULATED_HOSTS": "2", **env}
        store = MemoryStore(self.server, COMPONENT.name)
        manager = Manager(store, self.clock, COMPONENT.watches(settings), COMPONENT.build, env=settings)
        self.server.feed(manager)
        parts = [manager.run(), *COMPONENT.background(manager.context)]
        self.tasks = [asyncio.ensure_future(part) for part in parts]

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    async def reports(self) -> None:
        """What Fabric Admin makes for each Host."""
        for number in (1, 2):
            name = names.simulated_host(number)
            await self.admin.apply(HOST_REPORT, HOST_REPORT.body(Key("", name), spec={"hostName": name}))
            pool = {"hostName": name, "path": "local"}
            await self.admin.apply(STORAGE_POOL, STORAGE_POOL.body(Key("", f"local-{name}"), spec=pool))

    async def guest(self, host: str = FIRST, **spec: str) -> None:
        copy = {
            "hostName": host,
            "pool": "p",
            "path": "images/i.qcow2",
            "image": REF,
            "url": "http://x/i",
            "checksum": "c",
        }
        await self.admin.apply(IMAGE_COPY, IMAGE_COPY.body(Key(NS, "tiny"), spec=copy))
        disk = {
            "hostName": host,
            "pool": "p",
            "path": "v.qcow2",
            "volume": REF,
            "size": "2Gi",
            "imageCopy": f"{NS}/tiny",
        }
        await self.admin.apply(DISK, DISK.body(Key(NS, "web-root-d0"), spec=disk))
        instance: Json = {"hostName": host, "virtualMachine": REF, "domain": "web", "cpus": 1, "memory": "1Gi"}
        instance |= {"disks": [{"disk": "web-root-d0", "volume": "web-root", "serial": "web-root"}], **spec}
        await self.admin.apply(INSTANCE, INSTANCE.body(Key(NS, "web-x"), spec=instance, finalizers=["test"]))

    def instance(self) -> InstanceStatus:
        body = self.server.read(INSTANCE, Key(NS, "web-x"))
        assert body is not None
        return INSTANCE.parse(body).status


@asynccontextmanager
async def world(**env: str) -> AsyncIterator[World]:
    made = World()
    await made.start(**env)
    await asyncio.sleep(5)
    try:
        yield made
    finally:
        for task in made.tasks:
            if task.done() and not task.cancelled():
                task.result()
        await made.kill()


@virtual
async def test_an_image_that_is_made_of_a_disk_says_what_it_adds_up_to_and_goes_on_saying_so() -> None:
    async with world() as cloud:
        source = {"pool": "p", "path": "volumes/v.qcow2"}
        spec = {"hostName": FIRST, "pool": "p", "path": "images/i.qcow2", "image": REF, "source": source}
        await cloud.admin.apply(IMAGE_COPY, IMAGE_COPY.body(Key(NS, "golden"), spec=spec))
        await asyncio.sleep(10)
        body = cloud.server.read(IMAGE_COPY, Key(NS, "golden"))
        assert body is not None and body["status"]["checksum"].startswith("sha256:")
        await cloud.admin.apply(IMAGE_COPY, IMAGE_COPY.body(Key(NS, "golden"), spec=spec | {"evict": False}))
        await asyncio.sleep(10)
        again = cloud.server.read(IMAGE_COPY, Key(NS, "golden"))
        assert again is not None and again["status"]["checksum"] == body["status"]["checksum"]


@virtual
async def test_snapshots_of_one_moment_of_a_running_guest() -> None:
    """They wait for one another, are of the same time, and say that a hypervisor took them."""
    async with world() as cloud:
        await cloud.reports()
        await cloud.guest()
        await asyncio.sleep(20)
        for number, volume in enumerate(("web-root", "web-data")):
            told = [DISK_SNAPSHOT.parse(body).status for body in cloud.server.all(DISK_SNAPSHOT)]
            assert not any(status.taken_at for status in told), "one is still to be asked for"
            spec = {"hostName": FIRST, "pool": "p", "path": f"snapshots/{number}.qcow2", "source": "v.qcow2"}
            spec |= {"snapshot": REF, "volume": REF | {"name": volume}, "moment": {"id": "then", "size": 2}}
            await cloud.admin.apply(DISK_SNAPSHOT, DISK_SNAPSHOT.body(Key(NS, volume), spec=spec))
            await asyncio.sleep(5)
        first, second = (DISK_SNAPSHOT.parse(body).status for body in cloud.server.all(DISK_SNAPSHOT))
        assert first.taken_at and first.taken_at == second.taken_at
        assert [holds(each.conditions, "Captured") for each in (first, second)] == [False, True], (
            "one disk is a guest's"
        )


@virtual
async def test_it_makes_its_hosts_says_what_they_have_and_beats_for_them() -> None:
    async with world(SIMULATED_MEMORY="10Gi", SIMULATED_POOL="50Gi") as cloud:
        hosts = [HOST.parse(body) for body in cloud.server.all(HOST)]
        assert [host.meta.name for host in hosts] == ["simulated-001", "simulated-002"]
        assert all(host.spec.simulated and host.spec.zone == "simulated" for host in hosts)
        await cloud.reports()
        await asyncio.sleep(5)
        for body in cloud.server.all(HOST_REPORT):
            status = HOST_REPORT.parse(body).status
            assert status.hypervisor is not None
            assert (status.hypervisor.driver, int(status.hypervisor.memory)) == ("simulated", 10 << 30)
            assert status.storage is not None
            assert [(pool.online, int(pool.capacity)) for pool in status.storage.pools] == [(True, 50 << 30)]
            assert status.network is not None
            assert status.network.underlay_address.startswith("100.64.0.")
        beats = {body["metadata"]["name"] for body in cloud.server.all(LEASE)}
        assert beats == {f"agent-{agent}-simulated-00{number}" for agent in names.AGENTS for number in (1, 2)}


@virtual
async def test_a_guest_runs_stops_and_goes_and_an_idle_one_costs_nothing() -> None:
    async with world() as cloud:
        await cloud.reports()
        await cloud.guest()
        await asyncio.sleep(10)
        assert cloud.instance().power == "Running"
        before = [each for each in cloud.server.log if each[2] is not LEASE]
        await asyncio.sleep(3600)
        assert [each for each in cloud.server.log if each[2] is not LEASE] == before
        await cloud.guest(power="Stopped")
        await asyncio.sleep(10)
        assert cloud.instance().power == "Stopped"
        cloud.server.delete("admin", INSTANCE, Key(NS, "web-x"))
        await asyncio.sleep(10)
        assert holds(cloud.instance().conditions, "Released")


@virtual
async def test_what_is_of_a_real_host_is_left_alone() -> None:
    async with world() as cloud:
        before = len([each for each in cloud.server.log if each[0] == "simulator"])
        await cloud.guest("node1")
        await asyncio.sleep(30)
        wrote = [each for each in cloud.server.log if each[0] == "simulator" and each[2] is not LEASE]
        assert len(wrote) <= before
        assert cloud.instance().power == ""


@virtual
async def test_its_restart_is_a_loss_of_power() -> None:
    async with world() as cloud:
        await cloud.reports()
        await cloud.guest()
        await asyncio.sleep(10)
        await cloud.kill()
        await cloud.start()
        await asyncio.sleep(10)
        assert cloud.instance().power == "Running"
        host = simulated._HOSTS[FIRST]
        assert len(host.starts) == 1, "the new process started it anew"


@virtual
async def test_faults_are_seeded_and_heal() -> None:
    async with world(SIMULATED_FAULTS="0.6", SIMULATED_SEED="7") as cloud:
        await cloud.reports()
        await cloud.guest()
        await asyncio.sleep(900)
        assert any(domain.record for domain in simulated._HOSTS[FIRST].domains.values())
        disk = cloud.server.read(DISK, Key(NS, "web-root-d0"))
        assert disk is not None
        assert holds(DISK.parse(disk).status.conditions, "Provisioned")


@pytest.mark.parametrize(
    ("env", "name"),
    [({"SIMULATED_HOSTS": "-1"}, "SIMULATED_HOSTS"), ({"SIMULATED_FAULTS": "1"}, "SIMULATED_FAULTS")],
)
def test_settings_name_the_variable_that_is_wrong(env: dict[str, str], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings.read(env)


def test_more_hosts_beat_more_slowly() -> None:
    assert Settings(hosts=3).beat == 10.0
    assert Settings(hosts=1000).beat == 600.0
