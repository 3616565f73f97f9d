"""Storage and its agent as processes on a real API server, with a real pool and a real image."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind, condition
from operators.contract.names import finalizer
from operators.contract.storage import DISK, DISK_OFFERING, IMAGE, IMAGE_COPY, VOLUME
from tests.apiserver.client import Client, Refused
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.kernel.processes import until
from tests.apiserver.rooms.conftest import Room, Start
from tests.host.storage.harness import Source, image, info, source

NS = "rooms"


class Cloud:
    """What a user does, and what compute would."""

    def __init__(self, admin: Client, node: str) -> None:
        self.admin = admin
        self.node = node

    def fabric(self, pools: Path) -> None:
        self.admin.apply(HOST.body(Key("", self.node), spec={"node": self.node}), "others")
        self.admin.apply(HOST_REPORT.body(Key("", self.node), spec={"hostName": self.node}), "others")
        spec = {"type": "Directory", "path": f"{pools}/local", "hostName": self.node}
        self.admin.apply(STORAGE_POOL.body(Key("", f"local-{self.node}"), spec=spec), "others")
        self.admin.apply(DISK_OFFERING.body(Key("", "standard"), spec={"displayName": "Standard"}), "others")

    def image(self, name: str, url: str, checksum: str) -> None:
        self.admin.apply(IMAGE.body(Key(NS, name), spec={"url": url, "checksum": checksum}), "kubectl")

    def volume(self, name: str, *, root: bool = False, **spec: Any) -> None:
        finalizers = {"finalizers": [finalizer("storage")]} if root else {}
        self.admin.apply(VOLUME.body(Key(NS, name), spec=spec, **finalizers), "kubectl")

    def run(self, vm: str, *volumes: str, power: str = "Running") -> None:
        disks = [{"disk": f"{name}-d0", "volume": name, "serial": name} for name in volumes]
        spec = {"hostName": self.node, "domain": vm, "cpus": 1, "memory": "128Mi", "disks": disks, "power": power}
        spec["virtualMachine"] = {"name": vm, "uid": f"uid-{vm}"}
        self.admin.apply(INSTANCE.body(Key(NS, f"{vm}-i"), spec=spec), "others")

    def get(self, kind: Kind[Any, Any], name: str) -> Any:
        try:
            return kind.parse(self.admin.get(kind, name, NS if kind.namespaced else ""))
        except Refused:
            return None

    def reason(self, kind: Kind[Any, Any], name: str, type_: str = "Ready") -> str:
        found = self.get(kind, name)
        said = condition(found.status.conditions, type_) if found else None
        return said.reason if said else ""

    def until(self, kind: Kind[Any, Any], name: str, reason: str, type_: str = "Ready") -> None:
        until(lambda: self.reason(kind, name, type_) == reason, 120, f"{kind.kind} {name} says {reason}")

    def until_gone(self, kind: Kind[Any, Any], name: str) -> None:
        until(lambda: self.get(kind, name) is None, 120, f"{kind.kind} {name} is gone")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Source]:
    """An image server in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready: dict[str, Any] = {}
    up, down = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with source(image(tmp_path)) as made:
            ready["source"] = made
            up.set()
            await down.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    up.wait(10)
    yield ready["source"]
    loop.call_soon_threadsafe(down.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def node(tmp_path: Path) -> str:
    """A host of the test's own, since a pool cannot be moved."""
    return re.sub("[^a-z0-9]", "-", tmp_path.name)


@pytest.fixture
def agent(control_plane: ControlPlane, tmp_path: Path, node: str) -> Iterator[Room]:
    """The storage agent's process; its own rights are tested in `policies`."""
    (tmp_path / "pools").mkdir()
    env = {"NODE_NAME": node, "POOL_ROOT": str(tmp_path / "pools"), "IMAGE_SOURCES_ALLOW": "127.0.0.0/8"}
    room = Room("agent-storage", control_plane.kubeconfig, tmp_path / "agent.log", env)
    until(lambda: _ready(room), 120, "the agent is ready")
    yield room
    room.end()


def _ready(room: Room) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return room.page("readyz").status_code == 200
    assert room.child.poll() is None, room.log.read_text()[-3000:]
    return False


def _since(room: Room, before: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in room.writes().items() if count > before.get(name, 0)}


def test_the_life_of_volumes_in_few_writes(
    admin: Client, start: Start, served: Source, node: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cloud = Cloud(admin, node)
    cloud.fabric(tmp_path / "pools")
    agent: Room = request.getfixturevalue("agent")
    operator = start("storage")
    pool = tmp_path / "pools" / "local"
    until(lambda: cloud.get(HOST_REPORT, node).status.storage is not None, 120, "the pool is reported")

    cloud.image("served", served.url, served.checksum)
    cloud.volume("first", source={"image": "served"})
    cloud.until(VOLUME, "first", "WaitingForFirstConsumer")
    cloud.run("first", "first")
    cloud.until(VOLUME, "first", "AsSpecified")
    cloud.until(IMAGE, "served", "AsSpecified")
    assert cloud.get(VOLUME, "first").status.size == 4 << 20

    time.sleep(0.5)
    before, agent_before = operator.writes(), agent.writes()
    times = []
    for number in range(5):
        began = time.perf_counter()
        cloud.volume(f"root{number}", root=True, source={"image": "served"})
        cloud.run(f"vm{number}", f"root{number}")
        cloud.until(VOLUME, f"root{number}", "AsSpecified")
        times.append(round((time.perf_counter() - began) * 1000))
    print("ms from the user's two writes to a ready Volume:", sorted(times))
    time.sleep(4)
    assert _since(operator, before) == {"Disk create": 5, "Volume apply_status": 5}
    assert _since(agent, agent_before) == {"Disk apply_status": 5}

    cloud.volume("root0", root=True, source={"image": "served"}, size="16Mi")
    until(lambda: cloud.get(VOLUME, "root0").status.size == 16 << 20, 120, "Volume root0 has grown")
    cloud.until(VOLUME, "root0", "AsSpecified")

    admin.delete(VOLUME, "root1", NS)
    cloud.until(VOLUME, "root1", "StillAttached")
    admin.delete(IMAGE, "served", NS)
    cloud.until(IMAGE, "served", "StillInUse")
    for number in range(5):
        admin.delete(INSTANCE, f"vm{number}-i", NS)
        if number != 1:
            admin.delete(VOLUME, f"root{number}", NS)
        cloud.until_gone(VOLUME, f"root{number}")
    admin.delete(INSTANCE, "first-i", NS)
    admin.delete(VOLUME, "first", NS)
    cloud.until_gone(IMAGE, "served")
    assert admin.get(DISK, namespace=NS)["items"] == admin.get(IMAGE_COPY, namespace=NS)["items"] == []
    assert list(pool.glob("*/*")) == []

    assert [room.name for room in (agent, operator) if "reconcile_failed" in room.log.read_text()] == []


def test_bad_input_is_said_and_heals(
    admin: Client, start: Start, served: Source, node: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cloud = Cloud(admin, node)
    cloud.fabric(tmp_path / "pools")
    request.getfixturevalue("agent")
    start("storage")
    cloud.image("wrong", served.url, "sha256:" + "0" * 64)
    cloud.volume("a", source={"image": "wrong"})
    cloud.volume("b", source={"image": "missing"})
    cloud.volume("c", size="8Mi", diskOffering="fast")
    cloud.run("bad", "a", "b", "c")
    cloud.until(VOLUME, "a", "ChecksumMismatch")
    cloud.until(IMAGE, "wrong", "ChecksumMismatch")
    cloud.until(VOLUME, "b", "ImageNotFound")
    cloud.until(VOLUME, "c", "OfferingNotFound")
    with pytest.raises(Refused):
        cloud.volume("c", size="4Mi", diskOffering="fast")
    cloud.image("missing", served.url, served.checksum)
    admin.apply(DISK_OFFERING.body(Key("", "fast"), spec={"displayName": "Fast"}), "others")
    cloud.until(VOLUME, "b", "AsSpecified")
    cloud.until(VOLUME, "c", "AsSpecified")
    admin.delete(IMAGE, "wrong", NS)
    cloud.until(VOLUME, "a", "ImageNotFound")
    cloud.until_gone(IMAGE, "wrong")
    cloud.image("wrong", served.url, served.checksum)
    cloud.until(VOLUME, "a", "AsSpecified")
    admin.delete(INSTANCE, "bad-i", NS)
    for name in "abc":
        admin.delete(VOLUME, name, NS)
        cloud.until_gone(VOLUME, name)
    for name in ("wrong", "missing"):
        admin.delete(IMAGE, name, NS)
        cloud.until_gone(IMAGE, name)


def test_an_image_of_a_disk_outlives_it_and_becomes_others(
    admin: Client, start: Start, served: Source, node: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cloud = Cloud(admin, node)
    cloud.fabric(tmp_path / "pools")
    agent: Room = request.getfixturevalue("agent")
    operator = start("storage")
    cloud.image("served", served.url, served.checksum)
    cloud.volume("first", source={"image": "served"}, size="8Mi")
    cloud.run("first", "first")
    cloud.until(VOLUME, "first", "AsSpecified")
    admin.apply(IMAGE.body(Key(NS, "golden"), spec={"source": {"volume": "first"}}), "kubectl")
    cloud.until(IMAGE, "golden", "StillAttached")
    admin.delete(INSTANCE, "first-i", NS)
    cloud.until(IMAGE, "golden", "AsSpecified")
    golden = cloud.get(IMAGE, "golden").status
    (copy,) = (tmp_path / "pools/local/images").glob(f"{cloud.get(IMAGE, 'golden').meta.uid}.qcow2")
    assert golden.checksum == f"sha256:{hashlib.sha256(copy.read_bytes()).hexdigest()}"
    assert golden.virtual_size == 8 << 20

    admin.delete(VOLUME, "first", NS)
    cloud.until_gone(VOLUME, "first")
    cloud.volume("second", source={"image": "golden"})
    cloud.run("second", "second")
    cloud.until(VOLUME, "second", "AsSpecified")
    made = info(tmp_path / "pools/local" / cloud.get(DISK, "second-d0").spec.path)
    assert made["backing-filename"] == f"../images/{copy.name}"

    admin.delete(INSTANCE, "second-i", NS)
    for kind, name in ((VOLUME, "second"), (IMAGE, "golden"), (IMAGE, "served")):
        admin.delete(kind, name, NS)
        cloud.until_gone(kind, name)
    assert list((tmp_path / "pools/local").glob("*/*")) == []
    assert [room.name for room in (agent, operator) if "reconcile_failed" in room.log.read_text()] == []
