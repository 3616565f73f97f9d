"""A guest with the two agents that see to its disk, on real files and a real libvirtd."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from agents.storage import jobs
from agents.storage.snapshots import plan as snapshot_plan
from images.tiny.build import build
from operators.contract import names
from operators.contract.compute import Power
from operators.contract.instances import InstanceDisk
from operators.contract.meta import Key, Obj
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK
from tests.host.hypervisor.conftest import NODE, SPACE, World
from tests.host.storage.harness import Agent, source


@dataclass
class Both:
    """A guest with the two agents that see to its disk."""

    world: World
    storage: Agent

    async def guest(self, name: str, **disk: Any) -> Key:
        """A guest on a disk that the storage agent makes."""
        volume = {"name": f"{name}-root", "uid": f"uid-{name}"}
        made = await self.storage.disk(names.disk(f"{name}-root"), "96Mi", volume=volume, **disk)
        await self.storage.verdict(DISK, made.meta.name, "AsSpecified")
        self.world.count = int(name.removeprefix("vm")) - 1
        key = await self.world.instance(ready=False)
        await self.world.booted(key)
        return key

    def disk(self, name: str) -> Obj[Any, Any]:
        return self.storage.read(DISK, names.disk(f"{name}-root"))

    async def sh(self, key: Key, script: str) -> str:
        """Run a command in the guest."""
        asked = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True}
        pid = (await self._ask(key, "guest-exec", asked))["pid"]
        while not (done := await self._ask(key, "guest-exec-status", {"pid": pid}))["exited"]:
            await asyncio.sleep(0.05)
        said = base64.b64decode(done.get("out-data", "")).decode()
        assert done["exitcode"] == 0, said + base64.b64decode(done.get("err-data", "")).decode()
        return said.strip()

    async def _ask(self, key: Key, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps({"execute": what, "arguments": arguments})
        instance = self.world.read(key)
        assert instance
        said = await asyncio.to_thread(self.world.virsh, "qemu-agent-command", instance.spec.domain, text)
        found: dict[str, Any] = json.loads(said)["return"]
        return found

    async def attached(self, key: Key, name: str) -> Obj[Any, Any]:
        """One more disk of a guest."""
        disk = await self.storage.disk(names.disk(name), "8Mi", volume={"name": name, "uid": f"uid-{name}"})
        await self.storage.verdict(DISK, names.disk(name), "AsSpecified")
        instance = self.world.read(key)
        assert instance
        listed = (*instance.spec.disks, InstanceDisk(names.disk(name), name, name))
        await self.world.change(key, disks=listed)
        await self.world.until(lambda: len(self.world.status(key).disks) == len(listed), 60)
        return disk

    async def silence(self, key: Key) -> None:
        """End its guest agent, and wait until it answers no more."""
        instance = self.world.read(key)
        assert instance
        ask = ("qemu-agent-command", "--timeout", "2", instance.spec.domain)
        with contextlib.suppress(subprocess.CalledProcessError):  # it may end before it answers
            await self._ask(key, "guest-exec", {"path": "/bin/killall", "arg": ["qemu-ga"]})
        async with asyncio.timeout(60):
            with contextlib.suppress(subprocess.CalledProcessError):
                while await asyncio.to_thread(self.world.virsh, *ask, '{"execute": "guest-ping"}'):
                    await asyncio.sleep(0.1)

    async def stop(self, key: Key) -> None:
        await self.world.change(key, power=Power.STOPPED)
        await self.world.until(lambda: self.world.status(key).power == Power.STOPPED, 40)

    async def taken(self, name: str = "snap") -> Obj[Any, Any]:
        await self.storage.verdict(DISK_SNAPSHOT, name, "AsSpecified")
        return self.storage.read(DISK_SNAPSHOT, name)


@pytest.fixture
async def both(world: World, tmp_path: Path) -> AsyncIterator[Both]:
    (tmp_path / "pools").mkdir()
    storage = Agent(tmp_path / "pools", NODE, world.server, space=SPACE)
    await storage.pool_and_report(report=False)
    with mock.patch.object(jobs, "FIRST_AGAIN", 0.2), mock.patch.object(snapshot_plan, "CAPTURING", 1.0):
        await storage.start()
        async with source(build().read_bytes()) as served:
            await storage.copy(served.url, served.checksum, "tiny")
            yield Both(world, storage)
        await storage.kill()
