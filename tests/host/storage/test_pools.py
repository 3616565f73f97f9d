"""What the agent reports of pools."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from agents.storage.pools.controller import KINDS
from agents.storage.pools.plan import step_of
from operators.contract.fabric import HOST_REPORT, STORAGE_POOL
from operators.contract.meta import Key
from operators.contract.quantity import readable
from operators.contract.storage import DISK
from tests.host.storage.harness import NODE, Agent


async def _report(host: Agent) -> object:
    return (await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage is not None)).status.storage


async def test_pool_is_made_and_reported(host: Agent) -> None:
    storage = await _report(host)
    (pool,) = storage.pools  # type: ignore[attr-defined]
    size = os.statvfs(host.pool)
    assert (pool.pool, pool.online, pool.capacity) == ("local", True, readable(size.f_blocks * size.f_frsize))
    assert 0 <= size.f_bavail * size.f_frsize - pool.free < 2 * step_of(pool.capacity)


async def test_idle_host_writes_nothing(host: Agent) -> None:
    await _report(host)
    before = len(host.server.log)
    for number in range(20):
        (host.pool / f"noise-{number}").write_bytes(os.urandom(1 << 20))
        host.manager.poke("pools", Key("", NODE))  # type: ignore[union-attr]
        await asyncio.sleep(0.01)
    assert host.server.log[before:] == []


async def test_shared_folder_is_not_made_in_place_of_a_mount(host: Agent) -> None:
    spec = {"type": "SharedDirectory", "path": f"{host.root}/shared"}
    await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "shared"), spec=spec))
    found = await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage and len(obj.status.storage.pools) == 2)
    pool = found.status.storage.pools[1]
    assert not pool.online and "mount the shared folder" in pool.message
    assert not (host.root / "shared").exists()
    (host.root / "shared").mkdir()
    host.manager.poke("pools", Key("", NODE))  # type: ignore[union-attr]
    await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage.pools[1].mark == "Absent")
    assert list((host.root / "shared").iterdir()) == [], "nobody said that it is for this host to mark"
    monitoring = host.store.as_manager("fabric-monitoring")
    await monitoring.apply_status(STORAGE_POOL, Key("", "shared"), {"marker": NODE}, resource_version="")
    await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage.pools[1].online)
    await host.disk(pool="shared")
    await host.verdict(DISK, "data", "AsSpecified")


async def test_a_marked_pool_is_not_taken_for_the_folder_beneath_its_mount(host: Agent) -> None:
    shared = host.root / "shared"
    shared.mkdir()
    spec = {"type": "SharedDirectory", "path": str(shared)}
    body = await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "shared"), spec=spec))
    monitoring = host.store.as_manager("fabric-monitoring")
    told = {"marker": NODE, "marked": True}
    await monitoring.apply_status(STORAGE_POOL, Key("", "shared"), told, resource_version="")
    found = await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage and len(obj.status.storage.pools) == 2)
    assert "does not carry the mark" in found.status.storage.pools[1].message
    await host.disk(pool="shared")
    said = await host.verdict(DISK, "data", "PoolOffline")
    assert "mounted here" in said.message and list(shared.iterdir()) == []
    (shared / ".cloudstack-pool").write_text(f"shared {body['metadata']['uid']}\n")
    host.manager.poke("pools", Key("", NODE))  # type: ignore[union-attr]
    await host.until(HOST_REPORT, NODE, lambda obj: obj.status.storage.pools[1].online)


async def test_one_folder_is_never_two_pools(host: Agent) -> None:
    await _report(host)
    spec = {"type": "SharedDirectory", "path": str(host.pool)}
    await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "twin"), spec=spec))
    found = await host.until(HOST_REPORT, NODE, lambda obj: len(obj.status.storage.pools) == 2)
    twin = found.status.storage.pools[1]
    assert not twin.online and "is the folder of StoragePool local" in twin.message


async def test_pools_of_other_hosts_are_none_of_ours(host: Agent) -> None:
    await _report(host)
    spec = {"type": "Directory", "path": f"{host.root}/other", "hostName": "host-2"}
    await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "other"), spec=spec))
    await asyncio.sleep(0.1)
    assert [pool.pool for pool in (await _report(host)).pools] == ["local"]  # type: ignore[attr-defined]
    assert not (host.root / "other").exists()


async def test_retained_file_is_reported_once_its_disk_is_gone(host: Agent, tmp_path: Path) -> None:
    disk = await host.disk(keep=True)
    await host.verdict(DISK, "data", "AsSpecified")
    await host.store.delete(DISK, disk.key, uid=disk.meta.uid)
    await host.verdict(DISK, "data", "Released", "Released")
    await host.store.finalize(DISK, host.read(DISK, "data").meta, ())
    host.manager.poke("pools", Key("", NODE))  # type: ignore[union-attr]
    found = await host.until(HOST_REPORT, NODE, lambda obj: bool(obj.status.storage.unknown_files))
    assert found.status.storage.unknown_files == (f"local/{disk.spec.path}",)


async def test_other_hosts_files_on_a_shared_pool_are_asked_for_once(host: Agent) -> None:
    (host.root / "shared" / "volumes").mkdir(parents=True)
    spec = {"type": "SharedDirectory", "path": f"{host.root}/shared"}
    made = await host.store.create(STORAGE_POOL, STORAGE_POOL.body(Key("", "shared"), spec=spec))
    (host.root / "shared" / ".cloudstack-pool").write_text(f"shared {made['metadata']['uid']}\n")
    theirs = await host.disk(pool="shared", hostName="host-2")
    (host.root / "shared" / theirs.spec.path).write_text("x")
    asked = []

    async def hook(verb: str, kind: object, key: Key) -> None:
        asked.append(verb)

    host.server.hook = hook  # type: ignore[assignment]
    for _ in range(5):
        host.manager.poke("pools", Key("", NODE))  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
    assert (await _report(host)).unknown_files == ()  # type: ignore[attr-defined]
    assert asked.count("list") == len(KINDS)
