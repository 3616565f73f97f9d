"""The whole operator against an API server in memory, with an agent that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.contract import names
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, Obj, condition, holds
from operators.contract.storage import DISK, DISK_OFFERING, IMAGE, IMAGE_COPY, VOLUME
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.storage.handlers import COMPONENT
from tests.support.virtual_time import VirtualClock, VirtualLoop, virtual
from tests.unit.storage.objects import instance

FINALIZER = names.finalizer("storage")
AGENT = "agent-storage"


class Cloud:
    """The operator, and around it a user, Compute and the agent of every host."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.server = MemoryServer(self.clock)
        self.user = MemoryStore(self.server, "user")
        self.agent = MemoryStore(self.server, AGENT)
        self.answers = True
        self.copies = True
        """Whether agents get done with copies from other pools."""
        self.manager: Manager | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.files: set[str] = set()
        for kind in (DISK, IMAGE_COPY):
            self.server.subscribe(kind, lambda type_, body, kind=kind: self._answer(kind, type_, body))

    async def prepare(self) -> None:
        for host in ("h1", "h2"):
            await self.user.create(HOST, HOST.body(Key("", host), spec={"node": host}))
            report = HOST_REPORT.body(Key("", host), spec={"hostName": host})
            version = (await self.user.create(HOST_REPORT, report))["metadata"]["resourceVersion"]
            pool = f"local-{host}"
            spec = {"type": "Directory", "path": f"/pools/{pool}", "hostName": host}
            await self.user.create(STORAGE_POOL, STORAGE_POOL.body(Key("", pool), spec=spec))
            said = {"storage": {"pools": [{"pool": pool, "online": True, "capacity": "100Gi", "free": "50Gi"}]}}
            await self.agent.apply_status(HOST_REPORT, Key("", host), said, resource_version=version)
        await self.user.create(DISK_OFFERING, DISK_OFFERING.body(Key("", "standard"), spec={}))

    async def start(self) -> None:
        store = MemoryStore(self.server, "storage")
        env = {"CATALOG_NAMESPACE": "catalogue"}
        self.manager = Manager(store, self.clock, COMPONENT.watches(env), COMPONENT.build, env=env)
        self.server.feed(self.manager)
        self.tasks.append(asyncio.create_task(self.manager.run()))
        await self.manager.synced.wait()

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def volume(self, name: str = "data", *, root: bool = False, **spec: Any) -> None:
        made = {"finalizers": [FINALIZER]} if root else {}
        await self.user.create(VOLUME, VOLUME.body(Key("team", name), spec=spec, **made))

    async def image(self, name: str = "tiny", namespace: str = "catalogue", **spec: Any) -> None:
        said = {"url": "http://images/tiny", "checksum": "sha256:" + "0" * 64} | spec
        await self.user.create(IMAGE, IMAGE.body(Key(namespace, name), spec=said))

    async def share(self, said: Any = None, reported: Any = None, **spec: Any) -> None:
        """A pool that both hosts reach."""
        spec = {"type": "SharedDirectory", "path": "/pools/shared"} | spec | (said or {})
        await self.user.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "shared"), spec=spec))
        pools = [{"pool": "shared", "online": True, "capacity": "100Gi", "free": "50Gi"} | (reported or {})]
        for host in ("h1", "h2"):
            await self.agent.apply_status(
                HOST_REPORT, Key("", host), {"storage": {"pools": pools}}, resource_version=""
            )

    async def run_vm(self, *volumes: str, vm: str = "web", host: str = "h1", power: str = "Running") -> None:
        await self.user.create(INSTANCE, instance(vm, host, *volumes, power=power))

    async def stop_vm(self, vm: str = "web") -> None:
        self.server.delete("compute", INSTANCE, Key("team", f"{vm}-i"))

    def _answer(self, kind: Kind[Any, Any], type_: str, body: dict[str, Any]) -> None:
        if self.answers and type_ != "DELETED":
            self.tasks.append(asyncio.create_task(self._reply(kind, kind.parse(body))))

    async def _reply(self, kind: Kind[Any, Any], obj: Obj[Any, Any]) -> None:
        """What the storage agent would report, some milliseconds later."""
        await asyncio.sleep(0.02)
        body = self.server.read(kind, obj.key)
        if body is None or not self.answers:
            return
        now = kind.parse(body)
        type_ = "Released" if now.meta.deleting else "Provisioned"
        holds, reason = "True", "AsSpecified"
        taking = kind is DISK and now.spec.take_from is not None and not now.spec.filled
        if taking:
            here, there = self._file(now), now.spec.take_from.path
            self.files -= {here, there}
            self.files.add(there if now.meta.deleting or not self.copies else here)
            if not now.meta.deleting and not self.copies:
                holds, reason = "False", "Copying"
        elif kind is DISK and now.meta.deleting and not now.spec.keep:
            self.files.discard(self._file(now))
        elif kind is DISK and not now.meta.deleting:
            if now.spec.adopt and self._file(now) not in self.files:
                holds, reason = "False", "StorageError"
            else:
                self.files.add(self._file(now))
        size = now.spec.size if kind is DISK else "64Mi"
        status = {
            "path": f"/pools/{now.spec.pool}/{now.spec.path}",
            "virtualSize": str(size),
            "conditions": [{"type": type_, "status": holds, "reason": reason}],
        }
        await self.agent.apply_status(kind, obj.key, status, resource_version="")

    @staticmethod
    def _file(disk: Obj[Any, Any]) -> str:
        """A file as tests know it: by its path, and on another pool than the first by that, too."""
        other = disk.spec.replaces or disk.spec.copy_of
        return f"{disk.spec.pool}/{disk.spec.path}" if other else disk.spec.path

    async def settle(self, seconds: float = 10.0) -> None:
        await asyncio.sleep(seconds)

    def get(self, kind: Kind[Any, Any], name: str, namespace: str = "team") -> Obj[Any, Any] | None:
        body = self.server.read(kind, Key(namespace, name))
        return None if body is None else kind.parse(body)

    def reason(
        self, name: str = "data", type_: str = "Ready", kind: Kind[Any, Any] = VOLUME, namespace: str = "team"
    ) -> str:
        obj = self.get(kind, name, namespace)
        assert obj is not None
        found = condition(obj.status.conditions, type_)
        return found.reason if found else ""

    def writes(self, kind: Kind[Any, Any] | None = None) -> list[tuple[str, str]]:
        return [
            (verb, written.kind)
            for manager, verb, written, _ in self.server.log
            if manager == "storage" and kind in (None, written)
        ]


@asynccontextmanager
async def cloud() -> AsyncIterator[Cloud]:
    made = Cloud()
    await made.prepare()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@virtual
async def test_a_deploy_costs_one_disk_and_one_status() -> None:
    async with cloud() as c:
        await c.image()
        await c.volume("first", source={"image": "tiny"}, root=True)
        await c.run_vm("first", vm="first")
        await c.settle()
        before = len(c.writes())
        await c.volume("web-root", source={"image": "tiny"}, root=True)
        await asyncio.sleep(0.01)
        await c.run_vm("web-root")
        await c.settle(600)
        assert c.writes()[before:] == [("create", "Disk"), ("apply_status", "Volume")]
        root = c.get(VOLUME, "web-root")
        assert root is not None
        status = root.status
        assert (
            holds(status.conditions, "Ready")
            and holds(status.conditions, "Bound")
            and holds(status.conditions, "Attached")
        )
        assert (status.phase, status.pool, status.host_name, status.disk) == ("InUse", "local-h1", "h1", "web-root-d0")
        assert (str(status.size), status.attached_to) == ("64Mi", "web")


@virtual
async def test_waiting_is_said_once_it_lasts() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await asyncio.sleep(1)
        assert c.reason() == ""
        await c.settle()
        assert (c.reason(), c.reason(type_="Bound")) == ("WaitingForFirstConsumer", "WaitingForFirstConsumer")
        await c.run_vm("data")
        await c.settle()
        assert c.reason() == "AsSpecified"
        assert c.writes(VOLUME) == [("finalize", "Volume"), ("apply_status", "Volume"), ("apply_status", "Volume")]


@virtual
async def test_slow_agent_is_told_of() -> None:
    async with cloud() as c:
        c.answers = False
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        assert (c.reason(), c.reason(type_="Bound")) == ("Provisioning", "AsSpecified")


@virtual
async def test_one_copy_of_an_image_serves_all_volumes_of_a_pool() -> None:
    async with cloud() as c:
        await c.image()
        for number in range(20):
            await c.volume(f"v{number}", source={"image": "tiny"})
            await c.run_vm(f"v{number}", vm=f"vm{number}", host="h1" if number % 2 else "h2")
        await c.settle()
        assert {c.reason(f"v{number}") for number in range(20)} == {"AsSpecified"}
        assert c.writes(IMAGE_COPY) == [("create", "ImageCopy")] * 2
        tiny = c.get(IMAGE, "tiny", "catalogue")
        assert tiny is not None and [copy.pool for copy in tiny.status.copies] == ["local-h1", "local-h2"]


@virtual
async def test_own_image_goes_before_the_catalogues_and_others_must_be_public() -> None:
    async with cloud() as c:
        await c.image()
        await c.image(namespace="team")
        await c.image("secret", "other")
        await c.image("shown", "other", public=True)
        for name, source in (("own", "tiny"), ("secret", "other/secret"), ("shown", "other/shown")):
            await c.volume(name, source={"image": source})
            await c.run_vm(name, vm=name)
        await c.settle()
        own = c.get(DISK, "own-d0")
        assert own is not None and own.spec.image_copy.startswith("team/")
        assert (c.reason("secret"), c.reason("shown")) == ("ImageNotFound", "AsSpecified")


@virtual
async def test_missing_things_heal_when_they_come() -> None:
    async with cloud() as c:
        await c.volume("a", source={"image": "tiny"})
        await c.volume("b", size="1Gi", diskOffering="fast")
        await c.run_vm("a", "b")
        await c.settle()
        assert (c.reason("a"), c.reason("b")) == ("ImageNotFound", "OfferingNotFound")
        await c.image()
        await c.user.create(DISK_OFFERING, DISK_OFFERING.body(Key("", "fast"), spec={"tags": ["ssd"]}))
        await c.settle()
        assert (c.reason("a"), c.reason("b")) == ("AsSpecified", "NoPoolFits")
        spec = {"type": "Directory", "path": "/pools/ssd", "hostName": "h1", "tags": ["ssd"]}
        await c.user.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "ssd"), spec=spec))
        report = c.get(HOST_REPORT, "h1", "")
        assert report is not None
        pools = [{"pool": "ssd", "online": True, "capacity": "10Gi", "free": "10Gi"}]
        await c.agent.apply_status(HOST_REPORT, Key("", "h1"), {"storage": {"pools": pools}}, resource_version="")
        await c.settle()
        assert c.reason("b") == "AsSpecified"


@virtual
async def test_attached_volume_is_not_deleted_then_everything_goes() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert c.reason() == "StillAttached"
        assert c.get(DISK, "data-d0") is not None
        await c.stop_vm()
        await c.settle()
        assert c.get(VOLUME, "data") is None and c.get(DISK, "data-d0") is None


@virtual
async def test_volume_made_again_at_once_gets_a_disk_of_its_own() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        old = c.get(DISK, "data-d0")
        await c.stop_vm()
        c.server.delete("user", VOLUME, Key("team", "data"))
        while c.get(VOLUME, "data") is not None:
            await asyncio.sleep(0.001)
        await c.volume(size="2Gi")
        await c.run_vm("data")
        await c.settle()
        new = c.get(DISK, "data-d0")
        assert old and new and old.spec.path != new.spec.path
        assert c.reason() == "AsSpecified"


@virtual
async def test_retained_disk_keeps_its_file() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi", reclaimPolicy="Retain")
        await c.run_vm("data")
        await c.settle()
        kept = c.get(DISK, "data-d0")
        assert kept is not None and kept.spec.keep


@virtual
async def test_a_volume_in_use_grows_and_is_limited_under_its_guest() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        spec = {"size": "2Gi", "limits": {"iops": 50}}
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec=spec))
        await c.settle()
        grown, disk = c.get(VOLUME, "data"), c.get(DISK, "data-d0")
        assert grown is not None and str(grown.status.size) == "2Gi" and c.reason() == "AsSpecified"
        assert disk is not None and disk.spec.limits.iops == 50
        offering = {"limits": {"iops": 20, "throughput": "1Mi"}}
        await c.user.apply(DISK_OFFERING, DISK_OFFERING.body(Key("", "standard"), spec=offering))
        await c.settle()
        disk = c.get(DISK, "data-d0")
        assert disk is not None and (disk.spec.limits.iops, str(disk.spec.limits.throughput)) == (20, "1Mi")


@virtual
async def test_a_disk_that_the_guest_still_has_is_not_freed() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        spec = instance("web", "h1")["spec"] | {"disks": []}
        await c.user.apply(INSTANCE, INSTANCE.body(Key("team", "web-i"), spec=spec))
        agent = MemoryStore(c.server, "agent-hypervisor")
        has = {"power": "Running", "disks": [{"volume": "data", "device": "vdb", "size": "1Gi"}]}
        await agent.apply_status(INSTANCE, Key("team", "web-i"), has, resource_version="")
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert c.reason() == "StillAttached" and len(c.files) == 1
        await agent.apply_status(INSTANCE, Key("team", "web-i"), {"power": "Running"}, resource_version="")
        await c.settle()
        assert c.get(VOLUME, "data") is None and c.files == set()


@virtual
async def test_image_goes_when_its_volumes_have_gone() -> None:
    async with cloud() as c:
        await c.image(namespace="team")
        await c.volume(source={"image": "tiny"})
        await c.run_vm("data")
        await c.settle()
        c.server.delete("user", IMAGE, Key("team", "tiny"))
        await c.settle()
        assert c.reason("tiny", kind=IMAGE) == "StillInUse"
        await c.stop_vm()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert c.get(IMAGE, "tiny") is None
        assert list(c.server.all(IMAGE_COPY)) == [] and list(c.server.all(DISK)) == []


@virtual
async def test_lost_disk_is_said_and_not_made_anew() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        c.server.delete("somebody", DISK, Key("team", "data-d0"))
        await c.settle()
        assert c.reason() == "StorageError"
        assert c.files == set()
        lost = c.get(VOLUME, "data")
        assert lost is not None and lost.status.pool == "local-h1", "where it was stays said"


@virtual
async def test_disk_that_was_lost_without_its_file_is_taken_up_again() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        old = c.get(DISK, "data-d0")
        assert old is not None
        c.answers = False
        c.server.delete("somebody", DISK, old.key)
        deleting = c.get(DISK, "data-d0")
        assert deleting is not None
        await c.user.finalize(DISK, deleting.meta, ())
        c.answers = True
        await c.settle()
        new = c.get(DISK, "data-d0")
        assert new is not None and new.meta.uid != old.meta.uid
        assert (new.spec.path, new.spec.adopt, c.reason()) == (old.spec.path, True, "AsSpecified")


@virtual
async def test_file_on_a_shared_pool_passes_to_the_host_that_uses_it() -> None:
    async with cloud() as c:
        await c.share()
        await c.image()
        await c.volume(source={"image": "tiny"}, size="1Gi")
        await c.run_vm("data", host="h1")
        await c.settle()
        first = c.get(DISK, "data-d0")
        await c.stop_vm()
        await c.settle()
        await c.run_vm("data", host="h2")
        await c.settle()
        (second,) = map(DISK.parse, c.server.all(DISK))
        assert first is not None and second.meta.name == names.disk_on("data", "h2")
        assert (first.spec.host_name, second.spec.host_name, second.spec.file_of) == ("h1", "h2", "")
        assert (second.spec.path, second.spec.keep, c.files) == (first.spec.path, False, {first.spec.path})
        assert second.spec.image_copy == first.spec.image_copy
        volume = c.get(VOLUME, "data")
        assert volume is not None and c.reason() == "AsSpecified"
        assert (volume.status.host_name, volume.status.disk_host) == ("", "h2")
        await c.stop_vm()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert c.files == set() and list(c.server.all(DISK)) == []


@virtual
async def test_two_hosts_see_one_file_while_a_guest_migrates() -> None:
    async with cloud() as c:
        await c.share()
        await c.volume(size="1Gi")
        await c.run_vm("data", host="h1")
        await c.settle()
        incoming = instance("web", "h2", "data")
        incoming["metadata"]["name"] = "web-incoming"
        await c.user.create(INSTANCE, incoming)
        await c.settle()
        disks = {disk.spec.host_name: disk for disk in map(DISK.parse, c.server.all(DISK))}
        assert disks["h2"].spec.file_of == "data-d0" and disks["h1"].spec.path == disks["h2"].spec.path
        assert c.reason() == "AsSpecified"
        c.server.delete("compute", INSTANCE, Key("team", "web-incoming"))  # it was called off
        await c.settle()
        assert [disk.meta.name for disk in map(DISK.parse, c.server.all(DISK))] == ["data-d0"]
        assert len(c.files) == 1


@virtual
async def test_a_volume_is_copied_from_another_on_which_no_guest_runs() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        await c.stop_vm()
        await c.volume("copy", source={"volume": "data"})
        await c.settle()
        origin, copy = c.get(DISK, "data-d0"), c.get(DISK, "copy-d0")
        assert origin is not None and copy is not None and c.reason("copy") == "AsSpecified"
        assert (copy.spec.snapshot, copy.spec.pool, str(copy.spec.size)) == (origin.spec.path, "local-h1", "1Gi")
        assert copy.spec.path != origin.spec.path


@virtual
async def test_a_volume_that_is_being_copied_does_not_go_before_that_is_done() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        await c.stop_vm()
        c.answers = False
        await c.volume("copy", source={"volume": "data"})
        await c.settle()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert c.reason() == "StillInUse" and c.get(DISK, "data-d0") is not None
        made = {
            "virtualSize": "1Gi",
            "conditions": [{"type": "Provisioned", "status": "True", "reason": "AsSpecified"}],
        }
        c.answers = True
        await c.agent.apply_status(DISK, Key("team", "copy-d0"), made, resource_version="")
        await c.settle()
        assert c.get(VOLUME, "data") is None and c.reason("copy") == "AsSpecified"


@virtual
async def test_a_url_becomes_an_image_of_the_volumes_own() -> None:
    async with cloud() as c:
        checksum = "sha256:" + "1" * 64
        await c.volume(size="1Gi", source={"url": "http://images/mine", "checksum": checksum})
        await c.run_vm("data")
        await c.settle()
        image, volume, disk = c.get(IMAGE, "data-source"), c.get(VOLUME, "data"), c.get(DISK, "data-d0")
        assert image is not None and volume is not None and disk is not None
        assert (image.spec.url, image.spec.checksum, image.spec.public) == ("http://images/mine", checksum, False)
        assert [owner.uid for owner in image.meta.owner_references] == [volume.meta.uid]
        assert disk.spec.image_copy.startswith("team/data-source") and c.reason() == "AsSpecified"


@virtual
async def test_somebody_elses_image_of_that_name_is_not_taken() -> None:
    async with cloud() as c:
        await c.image("data-source", "team")
        await c.volume(size="1Gi", source={"url": "http://images/mine", "checksum": "sha256:" + "1" * 64})
        await c.run_vm("data")
        await c.settle()
        assert c.reason() == "NameTaken" and c.get(DISK, "data-d0") is None


@virtual
async def test_a_file_in_a_pool_is_given_to_its_agent_to_look_at() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi", pool="local-h1", source={"file": "old.qcow2"})
        await c.settle()
        assert c.reason() == "WaitingForFirstConsumer"
        await c.run_vm("data")
        await c.settle()
        disk = c.get(DISK, "data-d0")
        assert disk is not None and (disk.spec.adopt_file, disk.spec.image_copy) == ("old.qcow2", "")


async def moving(c: Cloud) -> None:
    """A Volume of a running guest, whose user names another pool."""
    await c.share()
    local = {"pool": "local-h1", "online": True, "capacity": "100Gi", "free": "50Gi"}
    both = {"storage": {"pools": [local, local | {"pool": "shared"}]}}
    await c.agent.apply_status(HOST_REPORT, Key("", "h1"), both, resource_version="")
    await c.volume(size="1Gi", pool="local-h1", reclaimPolicy="Retain")
    await c.run_vm("data")
    await c.settle()
    await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "1Gi", "pool": "shared"}))
    await c.settle()


async def uses(c: Cloud, disk: str) -> None:
    """What the hypervisor agent says that the guest has."""
    has = {"power": "Running", "disks": [{"volume": "data", "device": "vdb", "size": "1Gi", "disk": disk}]}
    await MemoryStore(c.server, "agent-hypervisor").apply_status(
        INSTANCE, Key("team", "web-i"), has, resource_version=""
    )


@virtual
async def test_a_volume_moves_to_another_pool_when_its_guest_has_gone_over_and_not_before() -> None:
    async with cloud() as c:
        await moving(c)
        target = names.disk_moved("data", "shared")
        volume, heir = c.get(VOLUME, "data"), c.get(DISK, target)
        assert volume is not None and heir is not None
        assert (volume.status.disk, volume.status.pool, volume.status.move_to) == ("data-d0", "local-h1", target)
        assert c.reason() == "Moving" and (heir.spec.filled, heir.spec.image_copy) == (False, "")
        await uses(c, "data-d0")
        await c.settle(1300)
        assert c.get(DISK, "data-d0") is not None, "the data is there"
        await uses(c, target)
        await c.settle()
        volume = c.get(VOLUME, "data")
        assert volume is not None and c.reason() == "AsSpecified"
        assert (volume.status.disk, volume.status.pool, volume.status.move_to) == (target, "shared", "")
        (moved,) = map(DISK.parse, c.server.all(DISK))
        assert (moved.meta.name, moved.spec.keep, len(c.files)) == (target, True, 1)


async def at_rest(c: Cloud, *, listed: bool = True) -> None:
    """As `moving`, but its guest is stopped, or there is none any more."""
    await c.share()
    local = {"pool": "local-h1", "online": True, "capacity": "100Gi", "free": "50Gi"}
    both = {"storage": {"pools": [local, local | {"pool": "shared"}]}}
    await c.agent.apply_status(HOST_REPORT, Key("", "h1"), both, resource_version="")
    await c.volume(size="1Gi", pool="local-h1", reclaimPolicy="Retain")
    await c.run_vm("data", power="Stopped")
    await c.settle()
    if not listed:
        await c.stop_vm()
    await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "1Gi", "pool": "shared"}))
    await c.settle()


@pytest.mark.parametrize("listed", [True, False])
@virtual
async def test_a_volume_that_no_guest_runs_on_is_brought_to_another_pool_by_the_agent(listed: bool) -> None:
    async with cloud() as c:
        await at_rest(c, listed=listed)
        volume, target = c.get(VOLUME, "data"), names.disk_moved("data", "shared")
        assert volume is not None and c.reason() == "AsSpecified"
        assert (volume.status.disk, volume.status.pool, volume.status.move_to) == (target, "shared", "")
        (moved,) = map(DISK.parse, c.server.all(DISK))
        assert (moved.meta.name, moved.spec.host_name, moved.spec.keep, len(c.files)) == (target, "h1", True, 1)
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "1Gi", "pool": "local-h1"}))
        await c.settle()
        volume = c.get(VOLUME, "data")
        assert volume is not None and (volume.status.pool, c.reason()) == ("local-h1", "AsSpecified")
        assert len(list(c.server.all(DISK))) == len(c.files) == 1


@virtual
async def test_a_guest_that_is_to_run_does_not_wait_for_the_copy() -> None:
    """What was copied is given up, and the volume moves under the guest."""
    async with cloud() as c:
        c.copies = False
        await at_rest(c)
        target = names.disk_moved("data", "shared")
        volume, first = c.get(VOLUME, "data"), c.get(DISK, target)
        assert volume is not None and first is not None and first.spec.take_from is not None
        assert (c.reason(), volume.status.disk, volume.status.move_to) == ("Moving", "data-d0", "")
        body = c.server.read(INSTANCE, Key("team", "web-i"))
        assert body is not None
        await c.user.apply(INSTANCE, INSTANCE.body(Key("team", "web-i"), spec=body["spec"] | {"power": "Running"}))
        await c.settle()
        volume, second = c.get(VOLUME, "data"), c.get(DISK, target)
        assert volume is not None and second is not None and second.meta.uid != first.meta.uid
        assert second.spec.take_from is None and volume.status.move_to == target
        await uses(c, target)
        await c.settle()
        assert c.reason() == "AsSpecified"


@pytest.mark.parametrize("pool", ["local-h1", ""])
@virtual
async def test_a_copy_that_nobody_wants_any_more_is_given_up(pool: str) -> None:
    async with cloud() as c:
        c.copies = False
        await at_rest(c)
        spec = {"size": "1Gi"} | ({"pool": pool} if pool else {})
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec=spec))
        await c.settle()
        volume = c.get(VOLUME, "data")
        assert volume is not None and (c.reason(), volume.status.disk) == ("AsSpecified", "data-d0")
        assert len(list(c.server.all(DISK))) == len(c.files) == 1


@virtual
async def test_a_full_pool_is_said_and_taken_when_it_has_room() -> None:
    """No Instance lists the Volume, so nothing but the pool's report can wake it."""
    async with cloud() as c:
        local = {"pool": "local-h1", "online": True, "capacity": "100Gi", "free": "50Gi"}
        await c.share()
        full = {"storage": {"pools": [local, local | {"pool": "shared", "free": "1Gi"}]}}
        await c.volume(size="2Gi", pool="local-h1")
        await c.run_vm("data", power="Stopped")
        await c.agent.apply_status(HOST_REPORT, Key("", "h1"), full, resource_version="")
        await c.settle()
        await c.stop_vm()
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "2Gi", "pool": "shared"}))
        await c.settle()
        assert c.reason() == "NoPoolFits"
        room = {"storage": {"pools": [local, local | {"pool": "shared"}]}}
        await c.agent.apply_status(HOST_REPORT, Key("", "h1"), room, resource_version="")
        await c.settle()
        volume = c.get(VOLUME, "data")
        assert volume is not None and (volume.status.pool, c.reason()) == ("shared", "AsSpecified")


@virtual
async def test_a_move_that_cannot_be_leaves_the_volume_where_it_is() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "1Gi", "pool": "local-h2"}))
        await c.settle()
        assert c.reason() == "NoPoolFits" and [d.meta.name for d in map(DISK.parse, c.server.all(DISK))] == ["data-d0"]
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "1Gi"}))
        await c.settle()
        assert c.reason() == "AsSpecified"


@virtual
async def test_a_volume_that_is_deleted_on_the_way_leaves_nothing() -> None:
    async with cloud() as c:
        await moving(c)
        await c.stop_vm()
        c.server.delete("user", VOLUME, Key("team", "data"))
        await c.settle()
        assert list(c.server.all(DISK)) == [] and c.get(VOLUME, "data") is None


@virtual
async def test_pool_of_a_group_is_for_the_hosts_of_that_group() -> None:
    async with cloud() as c:
        await c.share(group="other")
        await c.volume(size="1Gi", pool="shared")
        await c.run_vm("data", host="h1")
        await c.settle()
        assert c.reason() == "NoPoolFits" and list(c.server.all(DISK)) == []


@pytest.mark.parametrize(
    ("spec", "reported"),
    [({"maintenance": True}, {}), ({"threshold": 40}, {}), ({"overcommit": "0.005"}, {}), ({}, {"online": False})],
)
@virtual
async def test_pool_that_is_closed_or_promised_takes_nothing(spec: Any, reported: Any) -> None:
    async with cloud() as c:
        await c.share(spec, reported)
        await c.volume(size="1Gi", pool="shared")
        await c.run_vm("data", host="h1")
        await c.settle()
        assert c.reason() == "NoPoolFits" and list(c.server.all(DISK)) == []


@virtual
async def test_disk_whose_volume_was_forced_away_is_released_too() -> None:
    async with cloud() as c:
        await c.volume(size="1Gi")
        await c.run_vm("data")
        await c.settle()
        c.server.delete("user", VOLUME, Key("team", "data"))
        forced = c.get(VOLUME, "data")
        assert forced is not None
        await c.user.finalize(VOLUME, forced.meta, ())
        await c.settle()
        assert c.get(DISK, "data-d0") is None


@virtual
async def test_restarts_and_resyncs_write_nothing() -> None:
    async with cloud() as c:
        await c.image()
        await c.volume("root", source={"image": "tiny"})
        await c.volume("data", size="1Gi")
        await c.volume("idle", size="1Gi")
        await c.run_vm("root", "data")
        await c.settle()
        before = len(c.server.log)
        for _ in range(3):
            await c.stop()
            c.server.unsubscribe_all()
            await c.start()
            await c.settle(1300)
        assert c.server.log[before:] == []


@pytest.mark.parametrize("nth", range(1, 12))
def test_killed_before_any_write_it_goes_on(nth: int) -> None:
    """The operator is killed before its nth write, and another one finishes."""

    @virtual
    async def run() -> None:
        async with cloud() as c:
            count = 0
            dead = asyncio.Event()

            async def hook(verb: str, kind: Kind[Any, Any], key: Key) -> None:
                nonlocal count
                await asyncio.sleep(0)
                if asyncio.current_task() in workers and verb not in ("get", "list"):
                    count += 1
                    if count == nth:
                        dead.set()
                        await asyncio.Event().wait()

            workers = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            c.server.hook = hook
            await c.image()
            await c.volume(source={"image": "tiny"})
            await c.run_vm("data")
            await asyncio.wait({asyncio.create_task(dead.wait())}, timeout=20)
            await c.stop()
            c.server.unsubscribe_all()
            for kind in (DISK, IMAGE_COPY):
                c.server.subscribe(kind, lambda type_, body, kind=kind: c._answer(kind, type_, body))
                for body in c.server.all(kind):
                    c._answer(kind, "ADDED", body)
            await c.start()
            await c.settle()
            assert c.reason() == "AsSpecified"
            assert len(list(c.server.all(DISK))) == 1 and len(list(c.server.all(IMAGE_COPY))) == 1

    run()


STEPS = st.lists(st.sampled_from(["vm", "stop", "delete", "volume", "grow", "image", "restart"]), max_size=8)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_whatever_happens_it_settles(steps: list[str]) -> None:
    """After any history a run changes nothing any more."""

    async def history() -> None:
        async with cloud() as c:
            await c.image()
            for step in steps:
                key = Key("team", "data")
                there = c.get(VOLUME, "data")
                running = c.get(INSTANCE, "web-i")
                if step == "volume" and there is None:
                    await c.volume(source={"image": "tiny"})
                elif step == "delete" and there is not None:
                    c.server.delete("user", VOLUME, key)
                elif step == "vm" and running is None:
                    await c.run_vm("data")
                elif step == "stop" and running is not None:
                    await c.stop_vm()
                elif step == "grow" and there is not None and not there.meta.deleting:
                    await c.user.apply(VOLUME, VOLUME.body(key, spec={"size": "1Gi", "source": {"image": "tiny"}}))
                elif step == "restart":
                    await c.stop()
                    c.server.unsubscribe_all()
                    for kind in (DISK, IMAGE_COPY):
                        c.server.subscribe(kind, lambda type_, body, kind=kind: c._answer(kind, type_, body))
                        for body in c.server.all(kind):
                            c._answer(kind, "ADDED", body)
                    await c.start()
                await asyncio.sleep(0.013)
            await c.settle()
            before = len(c.server.log)
            await c.settle(1300)
            assert c.server.log[before:] == []
            there = c.get(VOLUME, "data")
            if there is None:
                assert list(c.server.all(DISK)) == []

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(history())


async def holds_raw(c: Cloud, host: str = "h1", *formats: str) -> None:
    told = [{"format": each} for each in formats]
    pools = [{"pool": f"local-{host}", "online": True, "capacity": "100Gi", "free": "50Gi", "formats": told}]
    await c.agent.apply_status(HOST_REPORT, Key("", host), {"storage": {"pools": pools}}, resource_version="")


@virtual
async def test_a_volume_has_the_format_of_its_own_or_of_its_offering_where_the_pool_holds_it() -> None:
    async with cloud() as c:
        await c.user.create(
            DISK_OFFERING, DISK_OFFERING.body(Key("", "bare"), spec={"format": "raw", "provisioning": "Fat"})
        )
        await c.volume(size="1Gi", diskOffering="bare")
        await c.volume("other", size="1Gi", diskOffering="bare", format="qcow2")
        await c.run_vm("data", "other")
        await c.settle()
        volume, disk = c.get(VOLUME, "data"), c.get(DISK, "other-d0")
        said = condition(volume.status.conditions, "Ready") if volume else None
        assert said is not None and "holds qcow2 disks, no raw ones" in said.message
        assert disk is not None and (disk.spec.format, disk.spec.preallocated) == ("qcow2", True)
        await holds_raw(c, "h1", "qcow2", "raw")
        await c.settle()
        volume, disk = c.get(VOLUME, "data"), c.get(DISK, "data-d0")
        assert volume is not None and volume.status.format == "raw"
        assert disk is not None and disk.spec.path.endswith(".raw") and disk.spec.preallocated
        # Whatever the offering says by now, the file is what it is.
        await c.user.apply(DISK_OFFERING, DISK_OFFERING.body(Key("", "bare"), spec={"format": "qcow2"}))
        await c.user.apply(VOLUME, VOLUME.body(Key("team", "data"), spec={"size": "2Gi", "diskOffering": "bare"}))
        await c.settle()
        disk = c.get(DISK, "data-d0")
        assert disk is not None and (disk.spec.format, str(disk.spec.size)) == ("raw", "2Gi")


@virtual
async def test_a_file_to_adopt_is_qcow2() -> None:
    async with cloud() as c:
        await c.user.create(DISK_OFFERING, DISK_OFFERING.body(Key("", "bare"), spec={"format": "raw"}))
        await c.volume(size="1Gi", diskOffering="bare", pool="local-h1", source={"file": "old.qcow2"})
        await c.run_vm("data")
        await c.settle()
        assert c.reason() == "Invalid" and c.get(DISK, "data-d0") is None


async def copy_of(c: Cloud) -> Obj[Any, Any]:
    (found,) = map(IMAGE_COPY.parse, c.server.all(IMAGE_COPY))
    return found


async def used_once(c: Cloud, **spec: Any) -> None:
    """A Volume was made from an image, and is gone."""
    await c.image(**spec)
    await c.volume(source={"image": "tiny"})
    await c.run_vm("data")
    await c.settle()
    await c.stop_vm()
    c.server.delete("user", VOLUME, Key("team", "data"))
    await c.settle()


@virtual
async def test_a_copy_that_nothing_is_made_from_goes_after_a_day_and_comes_back_when_needed() -> None:
    async with cloud() as c:
        await used_once(c)
        await c.settle(23 * 3600)
        assert not (await copy_of(c)).spec.evict
        await c.settle(2 * 3600)
        assert (await copy_of(c)).spec.evict
        before = len(c.writes())
        await c.settle(48 * 3600)
        assert c.writes()[before:] == []
        await c.volume(source={"image": "tiny"})
        await c.run_vm("data")
        await c.settle()
        assert not (await copy_of(c)).spec.evict and c.reason() == "AsSpecified"
        await c.settle(48 * 3600)
        assert not (await copy_of(c)).spec.evict


@virtual
async def test_a_copy_stays_where_its_image_is_to_be() -> None:
    async with cloud() as c:
        await used_once(c, preseed=["local-h1"])
        await c.settle(48 * 3600)
        assert not (await copy_of(c)).spec.evict


@virtual
async def test_a_restart_does_not_count_from_the_beginning() -> None:
    async with cloud() as c:
        await used_once(c)
        await c.settle(20 * 3600)
        await c.stop()
        c.server.unsubscribe_all()
        await c.start()
        await c.settle(5 * 3600)
        assert (await copy_of(c)).spec.evict


@virtual
async def test_a_pool_above_its_threshold_gives_back_what_is_unused() -> None:
    async with cloud() as c:
        await used_once(c)
        await c.settle(60)
        status = {"capacity": "100Gi", "free": "10Gi"}
        await c.agent.apply_status(STORAGE_POOL, Key("", "local-h1"), status, resource_version="")
        await c.settle(1200)
        assert (await copy_of(c)).spec.evict
