"""Declares the agent: what it watches, which controllers it runs, and the clock that has it look at pools."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from pathlib import Path

from agents.storage.backups.controller import Backups
from agents.storage.copies.controller import Copies
from agents.storage.directories import directories
from agents.storage.disks.controller import Disks
from agents.storage.driver import Drivers
from agents.storage.fetching.imports import Imports
from agents.storage.pools.controller import EVERY, HostPools
from agents.storage.qemuimg import QemuImg
from agents.storage.settings import Settings
from agents.storage.snapshots.controller import Snapshots
from agents.storage.stores import Stores
from operators.contract.backups import DISK_BACKUP
from operators.contract.fabric import HOST_REPORT, IMAGE_STORE, STORAGE_POOL
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK, IMAGE_COPY
from operators.kernel import Watch
from operators.kernel.component import Component, Env
from operators.kernel.manager import AnyController, Context


def watches(env: Env) -> Sequence[Watch]:
    """This host's objects only; and all pools, which say where they are."""
    own = f"spec.hostName={env['NODE_NAME']}"
    return (
        Watch(DISK, field_selector=own),
        Watch(IMAGE_COPY, field_selector=own),
        Watch(DISK_SNAPSHOT, field_selector=own),
        Watch(DISK_BACKUP, field_selector=own),
        Watch(IMAGE_STORE),
        Watch(HOST_REPORT, field_selector=own),
        Watch(STORAGE_POOL),
    )


def drivers(settings: Settings, qemu: QemuImg) -> Drivers:
    """What serves the pools of each type."""
    folders = directories("Directory", qemu, settings.max_virtual)
    return Drivers({"Directory": folders, "SharedDirectory": folders})


def build(context: Context) -> Sequence[AnyController]:
    """The controllers of one host's agent."""
    settings, qemu = Settings.read(context.env), QemuImg()
    return controllers(context, settings, qemu, drivers(settings, qemu))


def controllers(context: Context, settings: Settings, qemu: QemuImg, drivers: Drivers) -> Sequence[AnyController]:
    """The same, over any drivers."""
    imports = Imports(settings, drivers, qemu, context.clock)
    stores = Stores(context.cache, settings.pool_root, Path(settings.store_keys))
    return (
        Disks(context, settings, drivers, stores),
        Copies(context, settings, drivers, imports),
        Snapshots(context, settings, drivers),
        Backups(context, settings, drivers, stores),
        HostPools(context, settings, drivers),
    )


async def recheck(context: Context) -> None:
    """Have the pools looked at again, for ever: how full they are, nothing tells."""
    while True:
        await context.clock.sleep(EVERY * context.rng.uniform(0.9, 1.1))
        for host_report in context.cache.all(HOST_REPORT):
            context.poke(HostPools.name, host_report.key)


def background(context: Context) -> Sequence[Awaitable[None]]:
    """What runs beside the controllers."""
    return (recheck(context),)


COMPONENT = Component(
    name="agent-storage",
    watches=watches,
    build=build,
    background=background,
    leads=False,
    beats=True,
)
