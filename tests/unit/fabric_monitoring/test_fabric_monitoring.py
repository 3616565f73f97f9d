"""Hosts by their heartbeats, pools by their reports, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from operators.contract.codec import Json
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, HostState
from operators.contract.meta import Condition, Key, Kind, condition
from operators.fabric_monitoring.handlers import COMPONENT
from operators.fabric_monitoring.heartbeats import Pulse
from operators.fabric_monitoring.hosts.model import Seen, Wanted
from operators.fabric_monitoring.hosts.plan import judge
from operators.kernel.heartbeat import Heartbeat
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import Unavailable
from tests.support.virtual_time import VirtualClock, virtual

SYSTEM = "cloudstack-system"
ENV = {"POD_NAMESPACE": SYSTEM}
AGENTS = ("hypervisor", "storage", "network")
FRESH, LATE, SILENT, UNKNOWN, PRESUMED = Pulse
GI = 1024**3


class Fabric:
    """A cluster with beating agents, and our component."""

    def __init__(self, skew: float = 0) -> None:
        self.clock = VirtualClock()
        self.server = MemoryServer(clock=self.clock)
        self.server.hook = self._hook
        self.down = False
        self.user = MemoryStore(self.server, "kubectl")
        self.agents = VirtualClock(skew=timedelta(seconds=skew))
        self._beating: dict[str, asyncio.Task[None]] = {}
        self._watching: list[asyncio.Task[None]] = []

    async def _hook(self, verb: str, kind: Kind[Any, Any], key: Key) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("the API server is away")

    async def monitor(self) -> None:
        store = MemoryStore(self.server, COMPONENT.name)
        manager = Manager(store, self.clock, COMPONENT.watches(ENV), COMPONENT.build, env=ENV)
        self.server.feed(manager)
        work = [manager.run(), *COMPONENT.background(manager.context)]
        self._watching = [asyncio.ensure_future(each) for each in work]

    async def stop_monitor(self) -> None:
        self.server.unsubscribe_all()
        for task in self._watching:
            task.cancel()
        await asyncio.wait(self._watching)

    async def host(self, name: str = "n1", *, report: bool = True, beats: bool = True) -> None:
        await self.user.apply(HOST, HOST.body(Key("", name), spec={"node": name}))
        await self.user.apply(HOST_REPORT, HOST_REPORT.body(Key("", name), spec={"hostName": name}))
        if report:
            await self.report(name)
        if beats:
            for agent in AGENTS:
                self.beat(agent, name)

    async def report(self, host: str, free: int = 5 * GI, pool: str = "", **more: Any) -> None:
        pools = [{"pool": pool or f"local-{host}", "online": True, "capacity": str(10 * GI), "free": str(free)} | more]
        status: Json = {
            "hypervisor": {"cpus": 2},
            "storage": {"pools": pools},
            "network": {"underlayAddress": "10.0.0.1"},
        }
        await self.user.apply_status(HOST_REPORT, Key("", host), status, resource_version="")

    def beat(self, agent: str, host: str = "n1") -> None:
        store = MemoryStore(self.server, f"agent-{agent}")
        heart = Heartbeat(store, self.agents, SYSTEM, f"agent-{agent}", host)
        self._beating[f"{agent} {host}"] = asyncio.ensure_future(heart.run())

    def silence(self, *agents: str, host: str = "n1") -> None:
        for agent in agents:
            self._beating[f"{agent} {host}"].cancel()

    def state(self, host: str = "n1") -> str:
        return str(self._get(HOST, host).status.state)

    def told(self, type_: str, name: str = "n1", kind: Kind[Any, Any] = HOST) -> Condition:
        found = condition(self._get(kind, name).status.conditions, type_)
        assert found is not None
        return found

    def _get(self, kind: Kind[Any, Any], name: str) -> Any:
        body = self.server.read(kind, Key("", name))
        assert body is not None
        return kind.parse(body)

    def pool(self, name: str) -> Any:
        return self._get(STORAGE_POOL, name)

    def writes(self) -> int:
        return sum(1 for manager, *_ in self.server.log if manager == COMPONENT.name)

    async def close(self) -> None:
        for task in (*self._beating.values(), *self._watching):
            task.cancel()
        await asyncio.gather(*self._beating.values(), *self._watching, return_exceptions=True)


@asynccontextmanager
async def fabric(skew: float = 0) -> AsyncIterator[Fabric]:
    made = Fabric(skew)
    try:
        yield made
    finally:
        await made.close()


@virtual
async def test_a_host_whose_agents_beat_is_up_at_once_and_then_nothing_is_written() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host()
        await asyncio.sleep(1)
        assert cloud.state() == "Up"
        assert cloud.told("Reachable").true
        assert cloud.told("Ready").true
        host = cloud.server.read(HOST, Key("", "n1"))
        assert host is not None
        assert host["status"]["address"] == "10.0.0.1"
        before = cloud.writes()
        await asyncio.sleep(3600)
        assert cloud.writes() == before


@virtual
async def test_wrong_clocks_on_hosts_do_not_matter() -> None:
    async with fabric(skew=-7200) as cloud:
        await cloud.monitor()
        await cloud.host()
        await asyncio.sleep(1)
        assert cloud.state() == "Unknown"
        assert cloud.told("Reachable").status == "Unknown"
        await asyncio.sleep(11)
        assert cloud.state() == "Up"


@virtual
async def test_silence_of_the_hypervisor_agent_makes_it_suspect_and_then_down_and_a_beat_up_again() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host()
        await asyncio.sleep(60)
        cloud.silence(*AGENTS)
        await asyncio.sleep(25)
        assert cloud.state() == "Suspect"
        assert cloud.told("Reachable").true
        assert "hypervisor and storage and network agents" in cloud.told("Ready").message
        await asyncio.sleep(20)
        assert cloud.state() == "Down"
        assert (cloud.told("Reachable").status, cloud.told("Reachable").reason) == ("False", "HostDown")
        before = cloud.writes()
        await asyncio.sleep(600)
        assert cloud.writes() == before
        for agent in AGENTS:
            cloud.beat(agent)
        await asyncio.sleep(1)
        assert cloud.state() == "Up"


@virtual
async def test_a_host_with_only_a_silent_network_agent_is_suspect_for_as_long_and_says_which() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host()
        await asyncio.sleep(60)
        cloud.silence("network")
        await asyncio.sleep(300)
        assert cloud.state() == "Suspect"
        assert cloud.told("Reachable").true
        assert cloud.told("Ready").message.startswith("the network agent was not heard of")


@virtual
async def test_an_agent_that_never_beat_counts_as_silent_after_a_while() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host(beats=False)
        await asyncio.sleep(5)
        assert cloud.state() == "Unknown"
        await asyncio.sleep(45)
        assert cloud.state() == "Down"


@virtual
async def test_after_our_own_restart_the_last_word_stands_and_nothing_is_written() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host("n1")
        await cloud.host("n2")
        await asyncio.sleep(60)
        cloud.silence(*AGENTS, host="n2")
        await asyncio.sleep(60)
        assert (cloud.state("n1"), cloud.state("n2")) == ("Up", "Down")
        before = cloud.writes()
        await cloud.stop_monitor()
        await asyncio.sleep(300)
        await cloud.monitor()
        await asyncio.sleep(300)
        assert (cloud.state("n1"), cloud.state("n2")) == ("Up", "Down")
        assert cloud.writes() == before


@virtual
async def test_a_host_that_died_while_we_were_away_is_found_after_the_grace() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host()
        await asyncio.sleep(60)
        await cloud.stop_monitor()
        cloud.silence(*AGENTS)
        await asyncio.sleep(300)
        await cloud.monitor()
        await asyncio.sleep(30)
        assert cloud.state() == "Up"
        await asyncio.sleep(15)
        assert cloud.state() == "Down"


@virtual
async def test_an_api_server_that_is_away_makes_nobody_look_dead() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host()
        await asyncio.sleep(60)
        before = cloud.writes()
        cloud.down = True
        await asyncio.sleep(300)
        cloud.down = False
        await asyncio.sleep(120)
        assert cloud.state() == "Up"
        assert cloud.writes() == before


@virtual
async def test_a_watch_that_tells_nothing_makes_nobody_look_dead() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host()
        await asyncio.sleep(60)
        cloud.server.unsubscribe_all()
        before = cloud.writes()
        await asyncio.sleep(300)
        assert cloud.state() == "Up"
        assert cloud.writes() == before


@virtual
async def test_a_host_that_has_not_reported_is_up_but_not_ready() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.host(report=False)
        await asyncio.sleep(1)
        assert (cloud.state(), cloud.told("Ready").reason) == ("Up", "WaitingForHost")
        await cloud.report("n1")
        await asyncio.sleep(1)
        assert cloud.told("Ready").true


@virtual
async def test_a_pool_is_as_its_host_reports_it_and_small_changes_are_not_written() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        await cloud.user.apply(
            STORAGE_POOL, STORAGE_POOL.body(Key("", "local-n1"), spec={"path": "/p", "hostName": "n1"})
        )
        await asyncio.sleep(1)
        assert cloud.told("Ready", "local-n1", STORAGE_POOL).reason == "WaitingForHost"
        await cloud.host()
        await asyncio.sleep(1)
        assert cloud.told("Ready", "local-n1", STORAGE_POOL).true
        assert (cloud.pool("local-n1").status.capacity, cloud.pool("local-n1").status.free) == (10 * GI, 5 * GI)
        before = cloud.writes()
        await cloud.report("n1", free=5 * GI - 50 * 1024**2)
        await asyncio.sleep(1)
        assert cloud.writes() == before
        await cloud.report("n1", free=4 * GI + 7)
        await asyncio.sleep(1)
        assert cloud.pool("local-n1").status.free == 4 * GI
        await cloud.report("n1", online=False, message="the folder is read-only")
        await asyncio.sleep(1)
        told = cloud.told("Ready", "local-n1", STORAGE_POOL)
        assert (told.reason, told.message) == ("PoolOffline", "n1 says: the folder is read-only")
        assert cloud.pool("local-n1").status.free == 4 * GI


@virtual
async def test_a_shared_pool_is_ready_while_any_host_reaches_it() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        spec = {"type": "SharedDirectory", "path": "/s"}
        await cloud.user.apply(STORAGE_POOL, STORAGE_POOL.body(Key("", "shared"), spec=spec))
        for name in ("n1", "n2"):
            await cloud.host(name)
            await cloud.report(name, pool="shared")
        await asyncio.sleep(30)
        assert cloud.told("Ready", "shared", STORAGE_POOL).true
        cloud.silence(*AGENTS, host="n1")
        await asyncio.sleep(60)
        assert cloud.told("Ready", "shared", STORAGE_POOL).true
        cloud.silence(*AGENTS, host="n2")
        await asyncio.sleep(60)
        assert cloud.told("Ready", "shared", STORAGE_POOL).reason == "HostDown"


@pytest.mark.parametrize(
    ("told", "pulses", "state", "reachable"),
    [
        ("", (FRESH, FRESH, FRESH), "Up", "True"),
        ("", (PRESUMED, PRESUMED, PRESUMED), "Up", "True"),
        ("", (PRESUMED, UNKNOWN, PRESUMED), "Unknown", "Unknown"),
        ("Unknown", (PRESUMED, FRESH, FRESH), "Up", "True"),
        ("Up", (UNKNOWN, FRESH, FRESH), None, ""),
        ("Up", (PRESUMED, PRESUMED, PRESUMED), "Up", "True"),
        ("Down", (PRESUMED, PRESUMED, PRESUMED), None, ""),
        ("Up", (FRESH, LATE, FRESH), "Suspect", "True"),
        ("Up", (LATE, FRESH, FRESH), "Suspect", "True"),
        ("Up", (FRESH, SILENT, SILENT), "Suspect", "True"),
        ("Up", (SILENT, FRESH, FRESH), "Down", "False"),
        ("Down", (FRESH, FRESH, FRESH), "Up", "True"),
    ],
)
def test_the_verdict(told: str, pulses: tuple[Pulse, ...], state: str | None, reachable: str) -> None:
    host = HOST.parse({"metadata": {"name": "n1"}, "spec": {"node": "n1"}, "status": {"state": told}})
    verdict = judge(Wanted(host), Seen(dict(zip(AGENTS, pulses, strict=True))))
    assert (verdict and verdict.state) == (state and HostState(state))
    assert verdict is None or verdict.reachable.status == reachable


@virtual
async def test_one_host_marks_a_shared_folder_and_from_then_on_one_without_is_another() -> None:
    async with fabric() as cloud:
        await cloud.monitor()
        spec = {"type": "SharedDirectory", "path": "/pools/shared", "group": "blue"}
        await cloud.user.apply(STORAGE_POOL, STORAGE_POOL.body(Key("", "shared"), spec=spec))
        await cloud.host("n0", report=False)
        for name in ("n1", "n2"):
            await cloud.host(name, report=False)
            await cloud.user.apply(HOST, HOST.body(Key("", name), spec={"node": name, "group": "blue"}))
        for name in ("n0", "n1", "n2"):
            await cloud.report(name, pool="shared", online=False, mark="Absent", message="no mark")
        await asyncio.sleep(5)
        assert (cloud.pool("shared").status.marker, cloud.pool("shared").status.marked) == ("n1", False)
        assert "marked by host n1" in cloud.told("Ready", "shared", STORAGE_POOL).message
        cloud.silence("hypervisor", "storage", "network", host="n1")
        await asyncio.sleep(120)
        assert cloud.pool("shared").status.marker == "n1", "were it another, two folders might be marked"
        await cloud.report("n2", pool="shared", mark="Present")
        await asyncio.sleep(5)
        assert (cloud.pool("shared").status.marker, cloud.pool("shared").status.marked) == ("", True)
        assert cloud.told("Ready", "shared", STORAGE_POOL).true
        await cloud.report("n2", pool="shared", online=False, mark="Absent", message="is it mounted here?")
        await asyncio.sleep(5)
        said = cloud.told("Ready", "shared", STORAGE_POOL)
        assert (said.reason, cloud.pool("shared").status.marker) == ("PoolOffline", "") and "mounted" in said.message
