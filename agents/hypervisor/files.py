"""The files that belong to a domain, its NoCloud disk and its console log, as a port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from agents.hypervisor import console, seed
from agents.hypervisor.settings import Settings
from operators.contract.instances import CloudInit


class Files(Protocol):
    """The files of one host's domains. Every call is safe to repeat, and raises OSError."""

    def seed_path(self, uuid: str) -> str:
        """Where a domain's NoCloud disk is, for the hypervisor too."""

    def console_path(self, uuid: str) -> str:
        """Where a domain's console is logged."""

    async def look(self, uuid: str) -> tuple[str, bool]:
        """The digest of the NoCloud disk (empty: there is none), and whether anything of the log exists."""

    async def write_seed(self, uuid: str, cloud_init: CloudInit) -> None:
        """Write the NoCloud disk, whole or not at all."""

    async def fresh_console(self, uuid: str) -> None:
        """Begin a new log, for a start."""

    async def seeded(self) -> frozenset[str]:
        """The uuids of all that there is a NoCloud disk for."""

    async def remove(self, uuid: str) -> None:
        """Remove both for good."""

    async def trim(self) -> None:
        """Cut the logs that grew too long."""


class HostFiles:
    """Files in folders of the host. They are worked on in threads: a busy disk must not stop the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._seeds = settings.seed_dir
        self._consoles = settings.console_dir

    def seed_path(self, uuid: str) -> str:
        return str(self._seeds / f"{uuid}.iso")

    def console_path(self, uuid: str) -> str:
        return str(console.path_of(self._consoles, uuid))

    async def look(self, uuid: str) -> tuple[str, bool]:
        def look() -> tuple[str, bool]:
            return seed.written(Path(self.seed_path(uuid))), console.exists(Path(self.console_path(uuid)))

        return await asyncio.to_thread(look)

    async def write_seed(self, uuid: str, cloud_init: CloudInit) -> None:
        await asyncio.to_thread(seed.write, Path(self.seed_path(uuid)), cloud_init)

    async def fresh_console(self, uuid: str) -> None:
        await asyncio.to_thread(console.fresh, Path(self.console_path(uuid)))

    async def seeded(self) -> frozenset[str]:
        return await asyncio.to_thread(lambda: frozenset(each.stem for each in self._seeds.glob("*.iso")))

    async def remove(self, uuid: str) -> None:
        def remove() -> None:
            Path(self.seed_path(uuid)).unlink(missing_ok=True)
            console.remove(Path(self.console_path(uuid)))

        await asyncio.to_thread(remove)

    async def trim(self) -> None:
        await asyncio.to_thread(console.trim, self._consoles)
