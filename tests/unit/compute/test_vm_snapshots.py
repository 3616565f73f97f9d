"""Snapshots of whole virtual machines: the real Compute, guests on simulated hosts, and disks whose content is known."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from operators.compute.turns import SNAPSHOT
from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, condition
from operators.contract.snapshots import DISK_SNAPSHOT, VOLUME_SNAPSHOT
from operators.contract.storage import VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.kernel.clock import stamp
from operators.kernel.store import NotFound
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, World, world

DISKS = ("web-root", "data", "logs")


class Disks:
    """A Storage that knows what is on each disk: a guest that runs writes to all of them, all the time."""

    def __init__(self, cloud: World, seed: int = 1) -> None:
        self.cloud = cloud
        self.rng = random.Random(seed)
        self.uuid = ""
        self.content = dict.fromkeys(DISKS, "blank")
        self.kept: dict[str, str] = {}
        """Content of each VolumeSnapshot, by uid."""
        self.runs = False
        self.starts = 0
        self.restores = 0
        self.remembers: dict[str, str] = {}
        """What the disks held when a guest's memory was written, by the path of its file."""
        self.slowest = 3.0
        self.due: dict[tuple[str, int], float] = {}
        """When each copy and each way back is done."""
        self.forgetful = False
        """Whether a running guest's copies are of different moments, as after a kill of the agent between them."""
        for host in cloud.hosts.values():
            host.listeners.append(self._changed)

    def _changed(self, _: str) -> None:
        runs = bool(self.cloud.running(self.uuid))
        if runs and not self.runs:
            assert len(set(self.content.values())) == 1, f"a guest starts on disks of different moments: {self.content}"
            self.starts += 1
            if len(restored := [path for host in self.cloud.hosts.values() for path in host.restores]) > self.restores:
                self.restores += 1
                assert set(self.content.values()) == {self.remembers[restored[-1]]}, "it remembers other disks"
            self.content = dict.fromkeys(DISKS, f"written in run {self.starts}")
        self.runs = runs

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def serve(self) -> None:
        while True:
            for key in [
                Key(body["metadata"]["namespace"], body["metadata"]["name"])
                for body in self.cloud.server.all(VOLUME_SNAPSHOT)
            ]:
                if (body := self.cloud.server.read(VOLUME_SNAPSHOT, key)) is not None:
                    await self._see_to(VOLUME_SNAPSHOT.parse(body))
            await asyncio.sleep(0.2)

    async def _see_to(self, snapshot: Any) -> None:
        uid, status = snapshot.meta.uid, snapshot.status
        if not status.taken_at:
            await self._take(snapshot)
        elif snapshot.spec.revert_request > status.revert_observed:
            if self.runs:
                said = {"type": "Reverted", "status": "False", "reason": "StillAttached", "message": "stop it"}
                await self._say(snapshot, conditions=[*_ready(), said])
            elif self._is_due(uid, snapshot.spec.revert_request):
                self.content[snapshot.spec.volume] = self.kept[uid]
                await self._say(snapshot, revertObserved=snapshot.spec.revert_request)

    def _is_due(self, uid: str, request: int) -> bool:
        return self.now() >= self.due.setdefault(
            (uid, request), self.now() + self.rng.uniform(self.slowest / 30, self.slowest)
        )

    async def _take(self, snapshot: Any) -> None:
        uid, moment = snapshot.meta.uid, snapshot.spec.moment
        if not self.runs:
            if self._is_due(uid, 0) and not moment.memory:
                self.kept[uid] = self.content[snapshot.spec.volume]
                await self._say(snapshot, takenAt=self._stamp())
            return
        others = [VOLUME_SNAPSHOT.parse(body) for body in self.cloud.server.all(VOLUME_SNAPSHOT)]
        mates = [each for each in others if each.spec.moment == moment and not each.meta.deleting]
        if any(each.status.taken_at for each in mates):
            said = {"type": "Ready", "status": "False", "reason": "MomentPassed", "message": "too late"}
            await self._say(snapshot, taken=False, conditions=[said])
            return
        if len(mates) < moment.size or not self._is_due(uid, 0):
            return
        at = self._stamp()
        for number, each in enumerate(mates):
            moment_ = f"{at}{number if self.forgetful else ''}"
            self.kept[each.meta.uid] = f"{self.content[each.spec.volume]} at {moment_}, {moment.id}"
            memory = each.meta.name == moment.memory
            if memory:
                await self._remember(each)
            said = {"running": True, "quiesced": not moment.memory, "memory": memory}
            await self._say(each, takenAt=f"{at}{number if self.forgetful else ''}", **said)
        self.forgetful = False

    async def _remember(self, snapshot: Any) -> None:
        """The agents' part: a DiskSnapshot that says where the memory is."""
        path = f"/pool/{snapshot.meta.uid}.memory"
        self.remembers[path] = self.kept[snapshot.meta.uid]
        key, ref = Key(NS, names.disk_snapshot(snapshot.meta.name)), {"name": "x", "uid": "x"}
        spec = {"hostName": "a", "pool": "local-a", "path": "x", "snapshot": ref, "volume": ref, "source": "x"}
        await self.cloud.admin.as_manager("storage").apply(DISK_SNAPSHOT, DISK_SNAPSHOT.body(key, spec=spec))
        store = self.cloud.admin.as_manager("agent-storage")
        await store.apply_status(DISK_SNAPSHOT, key, {"memory": path}, resource_version="")

    def _stamp(self) -> str:
        return stamp(self.cloud.clock.now())

    async def _say(self, snapshot: Any, *, taken: bool = True, **status: Any) -> None:
        body = self.cloud.server.read(VOLUME_SNAPSHOT, snapshot.key)
        if body is None or body["metadata"]["uid"] != snapshot.meta.uid:
            return
        before = {name: value for name, value in body.get("status", {}).items() if name != "conditions"}
        always = {"pool": "local-a", "hostName": "a", "stored": "1Mi", "conditions": _ready()} if taken else {}
        store = self.cloud.admin.as_manager("storage")
        await store.apply_status(VOLUME_SNAPSHOT, snapshot.key, before | always | status, resource_version="")


def _ready() -> list[dict[str, str]]:
    return [{"type": "Ready", "status": "True", "reason": "AsSpecified"}]


class Snapping:
    """A cloud with one virtual machine of three disks, and what its user does."""

    def __init__(self, cloud: World, disks: Disks) -> None:
        self.cloud, self.disks = cloud, disks

    async def snap(self, name: str = "snap", **spec: Any) -> None:
        user = self.cloud.admin.as_manager("kubectl")
        spec = {"virtualMachine": "web"} | spec
        await user.apply(VIRTUAL_MACHINE_SNAPSHOT, VIRTUAL_MACHINE_SNAPSHOT.body(Key(NS, name), spec=spec))

    async def revert(self, name: str, request: int = 1, **spec: Any) -> None:
        found = self.get(name)
        memory = {"memory": True} if found is not None and found.spec.memory else {}
        await self.snap(name, revertRequest=request, **memory | spec)

    def drop(self, name: str) -> None:
        self.cloud.server.delete("kubectl", VIRTUAL_MACHINE_SNAPSHOT, Key(NS, name))

    async def power(self, policy: str) -> None:
        await self.cloud.apply(volumes=["data", "logs"], runPolicy=policy)

    def get(self, name: str = "snap") -> Any:
        body = self.cloud.server.read(VIRTUAL_MACHINE_SNAPSHOT, Key(NS, name))
        return VIRTUAL_MACHINE_SNAPSHOT.parse(body) if body is not None else None

    def all(self) -> list[Any]:
        return [VIRTUAL_MACHINE_SNAPSHOT.parse(body) for body in self.cloud.server.all(VIRTUAL_MACHINE_SNAPSHOT)]

    def said(self, name: str = "snap", type_: str = "Ready") -> tuple[str, str]:
        found = condition(self.get(name).status.conditions, type_)
        return (found.status, found.reason) if found is not None else ("", "")

    def parts(self) -> list[Any]:
        return [VOLUME_SNAPSHOT.parse(body) for body in self.cloud.server.all(VOLUME_SNAPSHOT)]

    def turn(self) -> str:
        """What its Instance says of whose turn it is."""
        return str(self.cloud.instance().meta.annotations.get(SNAPSHOT, ""))

    def beside(self) -> Key:
        """The DiskSnapshot that the memory lies beside."""
        return Key(NS, names.disk_snapshot(self.get().status.parts[0].volume_snapshot))

    async def mark(self, turn: str) -> None:
        """Say whose turn it is."""
        body = self.cloud.server.read(INSTANCE, self.cloud.instance().key)
        assert body is not None
        kept = {name: body["metadata"][name] for name in ("labels", "finalizers", "ownerReferences")}
        said = kept | {"annotations": {SNAPSHOT: turn}}
        changed = INSTANCE.body(self.cloud.instance().key, spec=body["spec"], **said)
        await self.cloud.admin.as_manager("compute").apply(INSTANCE, changed)

    def whole(self, snapshot: Any) -> bool:
        """Whether what it keeps of its disks is of one moment."""
        kept = {self.disks.kept.get(each.meta.uid) for each in self.parts() if _owner(each) == snapshot.meta.uid}
        return len(kept) == 1 and None not in kept


def _owner(part: Any) -> str:
    return str(part.meta.owner_references[0].uid)


@asynccontextmanager
async def snapping(seed: int = 1, hosts: tuple[str, ...] = ("a",)) -> AsyncIterator[Snapping]:
    async with world(hosts) as cloud:
        disks = Disks(cloud, seed)
        it = Snapping(cloud, disks)
        for name in ("data", "logs"):
            await cloud.put(VOLUME, name, {"size": "1Gi", "diskOffering": "standard"}, NS)
        await it.power("Running")
        await cloud.settle(5)
        assert cloud.ready().true, cloud.ready()
        disks.uuid = cloud.vm().meta.uid
        disks._changed("")
        cloud.parts["disks"] = [asyncio.create_task(disks.serve())]
        yield it


@virtual
async def test_of_a_running_guest_all_disks_are_of_one_moment() -> None:
    async with snapping() as it:
        await it.snap()
        await it.cloud.settle(10)
        snapshot = it.get()
        assert it.said() == ("True", "AsSpecified"), snapshot.status
        assert it.whole(snapshot)
        status = snapshot.status
        assert [part.volume for part in status.parts] == list(DISKS)
        assert status.running and status.quiesced and status.current and not status.parent
        assert int(status.stored) == 3 * 1024**2
        assert it.cloud.ready().true, "the guest goes on"


@virtual
async def test_it_is_brought_back_while_stopped_and_all_of_it() -> None:
    async with snapping() as it:
        await it.power("Stopped")
        await it.cloud.settle(5)
        before = dict(it.disks.content)
        await it.snap()
        await it.cloud.settle(10)
        assert not it.get().status.running and it.whole(it.get())
        await it.power("Running")
        await it.cloud.settle(5)
        await it.revert("snap")
        await it.cloud.settle(5)
        assert it.said(type_="Reverted") == ("False", "StillAttached")
        assert it.disks.content != before
        await it.power("Stopped")
        await it.cloud.settle(0.8)
        await it.power("Running")  # at once: it waits for all of its disks, which the listener looks at
        await it.cloud.settle(20)
        assert it.said(type_="Reverted") == ("True", "AsSpecified")
        assert it.disks.starts == 3 and it.cloud.ready().true, it.cloud.ready()


@virtual
async def test_a_start_waits_for_all_disks_and_says_so() -> None:
    async with snapping() as it:
        await it.snap()
        await it.cloud.settle(5)
        await it.power("Stopped")
        await it.cloud.settle(5)
        it.disks.slowest = 600.0
        await it.revert("snap")
        await it.cloud.settle(0.3)
        await it.power("Running")
        await it.cloud.settle(15)
        assert it.cloud.ready().reason == "Reverting", it.cloud.ready()
        assert not it.disks.runs
        await it.cloud.settle(620)
        assert it.cloud.ready().true and it.disks.starts == 2


@virtual
async def test_copies_of_different_moments_are_taken_anew() -> None:
    async with snapping() as it:
        it.disks.forgetful = True
        await it.snap()
        await it.cloud.settle(20)
        assert it.said() == ("True", "AsSpecified") and it.whole(it.get())
        assert it.get().status.attempt == 2
        assert len(it.parts()) == 3, "the first ones are gone"


@virtual
async def test_tree() -> None:
    async with snapping() as it:
        for name in ("one", "two"):
            await it.snap(name)
            await it.cloud.settle(8)
        await it.power("Stopped")
        await it.cloud.settle(5)
        await it.revert("one")
        await it.cloud.settle(8)
        await it.snap("three")
        await it.cloud.settle(8)

        def tree() -> dict[str, tuple[str, bool]]:
            return {each.meta.name: (each.status.parent, each.status.current) for each in it.all()}

        assert tree() == {"one": ("", False), "two": ("one", False), "three": ("one", True)}
        it.drop("three")
        await it.cloud.settle(5)
        assert tree() == {"one": ("", True), "two": ("one", False)}
        it.drop("one")
        await it.cloud.settle(5)
        assert tree() == {"two": ("", True)}
        it.drop("two")
        await it.cloud.settle(5)
        assert tree() == {} and it.parts() == []


@virtual
async def test_it_outlives_its_machine_and_says_why_it_cannot_be_brought_back() -> None:
    async with snapping() as it:
        await it.snap()
        await it.cloud.settle(8)
        await it.cloud.delete()
        await it.cloud.settle(8)
        assert it.cloud.server.read(VIRTUAL_MACHINE, Key(NS, "web")) is None
        await it.revert("snap")
        await it.cloud.settle(2)
        assert it.said() == ("True", "AsSpecified")
        assert it.said(type_="Reverted") == ("False", "VirtualMachineNotFound")


@virtual
async def test_what_cannot_be_is_refused() -> None:
    async with snapping() as it:
        await it.power("Stopped")
        await it.cloud.settle(5)
        await it.snap("memory", memory=True)
        await it.snap("nobody", virtualMachine="nobody")
        await it.cloud.settle(3)
        assert it.said("memory") == ("False", "Stopped") and it.said("memory", "Stalled")[0] == "True"
        assert it.said("nobody") == ("False", "VirtualMachineNotFound")
        assert it.parts() == []
        it.drop("memory")
        it.drop("nobody")
        await it.cloud.settle(3)
        assert it.all() == []


@virtual
async def test_with_its_memory_a_guest_goes_on_from_where_it_was() -> None:
    async with snapping() as it:
        host = it.cloud.hosts["a"]
        await it.snap(memory=True)
        await it.cloud.settle(10)
        status = it.get().status
        assert it.said() == ("True", "AsSpecified") and status.running and not status.quiesced, status
        assert status.guest.cpus == it.cloud.instance().spec.cpus and it.turn() == ""
        for request in (1, 2):
            await it.revert("snap", request)
            await it.cloud.settle(20)
            assert it.get().status.revert_observed == request, it.get().status
            assert it.cloud.ready().true and len(host.restores) == it.disks.restores == request
            assert it.cloud.instance().spec.resume_from is None and it.turn() == ""
        host.ended(it.disks.uuid, "Crashed")
        await it.cloud.settle(10)
        assert it.cloud.ready().true and len(host.restores) == 2, "it boots"
        await it.power("Stopped")
        await it.cloud.settle(5)
        await it.revert("snap", 3)
        await it.cloud.settle(5)
        assert it.said(type_="Reverted") == ("False", "Stopped")


@virtual
async def test_memory_that_cannot_be_had_is_given_up_by_a_reset() -> None:
    async with snapping() as it:
        await it.snap(memory=True)
        await it.cloud.settle(10)
        store = it.cloud.admin.as_manager("agent-storage")
        await store.apply_status(DISK_SNAPSHOT, it.beside(), {}, resource_version="")
        await it.revert("snap")
        await it.cloud.settle(20)
        assert it.said(type_="Reverted") == ("False", "WaitingForVolumes"), it.get().status
        assert not it.cloud.ready().true and not it.cloud.running(it.disks.uuid)
        await it.cloud.apply(volumes=["data", "logs"], runPolicy="Running", resetRequest=1)
        await it.cloud.settle(20)
        assert it.cloud.ready().true and it.cloud.hosts["a"].restores == []
        assert it.said(type_="Reverted")[0] == "True" and it.turn() == ""


@virtual
async def test_a_turn_that_nobody_knows_is_taken_over_and_one_that_is_known_is_not() -> None:
    async with snapping() as it:
        await it.snap("first")
        await it.cloud.settle(8)
        await it.mark("take/uid-of-nobody")
        await it.snap("second")
        await it.cloud.settle(10)
        assert it.said("second") == ("True", "AsSpecified") and it.turn() == ""


@virtual
async def test_one_at_a_time_and_not_while_the_guest_moves() -> None:
    async with snapping() as it:
        await it.snap("one")
        await it.snap("two")
        await it.cloud.settle(0.3)
        assert it.said("two")[1] == "WaitingForSnapshot" or it.said("one")[1] == "WaitingForSnapshot"
        await it.cloud.settle(15)
        assert it.said("one")[0] == it.said("two")[0] == "True"
        assert {it.get("one").status.parent, it.get("two").status.parent} in ({"", "one"}, {"", "two"})


@virtual
@pytest.mark.parametrize("takes_first", [True, False])
async def test_one_is_taken_and_another_brought_back_in_one_instant(takes_first: bool) -> None:
    async with snapping() as it:
        await it.snap("first")
        await it.cloud.settle(8)
        for policy in ("Stopped", "Running", "Stopped"):
            await it.power(policy)
            await it.cloud.settle(5)
        both = [it.snap("second"), it.revert("first")]
        await asyncio.gather(*(both if takes_first else reversed(both)))
        await it.cloud.settle(40)
        assert it.said("second")[0] == "True" and it.whole(it.get("second")), it.disks.kept
        assert it.get("first").status.revert_observed == 1
        await it.power("Running")
        await it.cloud.settle(10)
        assert it.cloud.ready().true


class Watching:
    """Fails as soon as a guest is told to leave whose disks are at work for a snapshot, or the other way round."""

    def __init__(self, cloud: World) -> None:
        self.turns = self.moves = 0
        cloud.server.subscribe(INSTANCE, self._tell)

    def _tell(self, type_: str, body: dict[str, Any]) -> None:
        turn = body["metadata"].get("annotations", {}).get(SNAPSHOT)
        leaves = body["spec"].get("outgoing")
        self.turns, self.moves = self.turns + bool(turn), self.moves + bool(leaves)
        assert not (turn and leaves), body


@virtual
@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("snapshot_first", [True, False])
async def test_a_snapshot_and_a_migration_of_one_machine_wait_for_one_another(
    snapshot_first: bool, delay: float, memory: bool
) -> None:
    async with snapping(hosts=("a", "b")) as it:
        watching = Watching(it.cloud)
        source = it.cloud.instance().spec.host_name
        first, second = it.snap("snap", memory=memory), it.cloud.migrate()
        for deed in (first, second) if snapshot_first else (second, first):
            await deed
            await it.cloud.settle(delay)
        await it.cloud.settle(40)
        assert it.said() == ("True", "AsSpecified") and it.whole(it.get()), it.get().status
        assert condition(it.cloud.migration().status.conditions, "Succeeded") is not None
        assert it.cloud.vm().status.host_name != source and it.cloud.ready().true
        assert watching.turns and watching.moves and it.turn() == ""


@virtual
async def test_which_of_the_two_waits_says_so() -> None:
    async with snapping(hosts=("a", "b")) as it:
        it.disks.slowest = 20.0
        await it.snap()
        await it.cloud.settle(1)
        await it.cloud.migrate()
        await it.cloud.settle(1)
        told = condition(it.cloud.migration().status.conditions, "Succeeded")
        assert told is not None and told.reason == "WaitingForSnapshot" and "snap" in told.message, told
        await it.cloud.settle(60)
        assert it.cloud.migration().status.finished_at and it.said()[0] == "True"


ACTS = ("stop", "start", "take", "revert", "drop", "wait")


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("fatal", [True, False])
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(
    seed=st.integers(0, 10**6),
    after=st.integers(1, 60),
    acts=st.lists(st.tuples(st.sampled_from(ACTS), st.floats(0, 4)), min_size=2, max_size=8),
)
def test_whatever_is_killed_no_guest_starts_on_disks_of_two_moments(
    fatal: bool, memory: bool, seed: int, after: int, acts: list[tuple[str, float]]
) -> None:
    @virtual
    async def run() -> None:
        async with snapping(seed) as it:
            await it.cloud.kill("compute")
            it.cloud.start_compute(after, fatal=fatal)
            await it.snap("first", memory=memory)
            requests = 0
            for number, (act, wait) in enumerate(acts):
                match act:
                    case "stop" | "start":
                        await it.power({"stop": "Stopped", "start": "Running"}[act])
                    case "take":
                        await it.snap(f"s{number}")
                    case "revert" if (found := it.get("first")) is not None and not found.meta.deleting:
                        requests += 1
                        with suppress(NotFound):  # dropped a moment ago
                            await it.revert("first", requests)
                    case "drop" if number > 3:
                        with suppress(NotFound):
                            it.drop("first")
                await it.cloud.settle(wait + 0.01)
            await it.cloud.settle(40)
            refused = {each.meta.uid for each in it.all() if each.spec.memory and each.status.phase == "Failed"}
            taken = [each for each in it.all() if each.meta.uid not in refused]  # a guest that is off has no memory
            for snapshot in taken:
                assert snapshot.status.taken_at and it.whole(snapshot), snapshot.status
            assert sum(each.status.current for each in taken) == bool(taken)
            owners = {each.meta.uid for each in taken}
            assert len(it.parts()) == 3 * len(owners) and {_owner(each) for each in it.parts()} <= owners
            await it.power("Stopped")
            await it.cloud.settle(20)
            await it.power("Running")
            await it.cloud.settle(20)
            assert it.cloud.ready().true, it.cloud.ready()

    run()
