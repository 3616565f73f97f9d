"""Two hosts that guests move between."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("libvirt")
if os.geteuid() or not all(map(shutil.which, ("libvirtd", "qemu-system-x86_64", "qemu-img"))):
    pytest.skip("needs root, libvirtd and QEMU", allow_module_level=True)

from dev.host import Host
from tests.host.lans import lan
from tests.host.migration.harness import Two, wire

Worlds = Callable[..., AbstractAsyncContextManager[Two]]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Host]]:
    """Two hosts with libvirtd, on one underlay, with a guests' network over both."""
    between = lan("mig")
    between.up()
    folder = tmp_path_factory.mktemp("hosts")
    hosts = {name: Host(name, index, folder, lan=between) for index, name in enumerate(("m1", "m2"), 1)}
    try:
        for host in hosts.values():
            host.up()
        wire(hosts)
        yield hosts
    finally:
        for host in hosts.values():
            host.down(wipe=True)
        between.down()


@pytest.fixture
def two(pair: dict[str, Host]) -> Worlds:
    """A world on the two hosts, made with what a test says of its disk."""

    @asynccontextmanager
    async def make(**how: Any) -> AsyncIterator[Two]:
        world = Two(pair, **how)
        await world.start()
        try:
            yield world
        finally:
            await world.close()
            for host in pair.values():
                host.exec(["sh", "-c", "rm -f /var/lib/cloudstack/pools/*/volumes/*"])

    return make
