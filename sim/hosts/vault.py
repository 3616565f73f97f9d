"""An S3-compatible service that all hosts reach: what `obstore` would talk to, in memory.

It outlives every host. A request takes time, may fail (`Faults.store_fails`), and is carried out even if its asker dies
while it is on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from obstore.exceptions import GenericError

from sim.loop import ACTOR

PIECE = 1 << 16
"""Bytes of a disk in one piece of a backup, in place of 4 MiB: next to nothing is kept of a disk here."""


@dataclass(eq=False)
class Vault:
    """The objects of one bucket by their keys."""

    objects: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What `get_async` gives."""

    data: bytes

    async def bytes_async(self) -> bytes:
        """The object."""
        return self.data


async def _asked(vault: Vault) -> None:
    host: Any = ACTOR.get().host  # type: ignore[attr-defined]
    host.begun()
    await asyncio.sleep(host.rng.uniform(0.002, 0.05))
    if host.chance(host.faults.store_fails):
        raise GenericError("error sending request: connection refused")


async def put_async(vault: Vault, key: str, data: bytes) -> None:
    """Write an object; half of those whose answer is lost are there all the same."""
    try:
        await _asked(vault)
    except GenericError:
        if ACTOR.get().host.rng.random() < 0.5:  # type: ignore[attr-defined]
            vault.objects[key] = bytes(data)
        raise
    vault.objects[key] = bytes(data)


async def get_async(vault: Vault, key: str) -> Answer:
    """Read an object."""
    await _asked(vault)
    if key not in vault.objects:
        raise FileNotFoundError(key)
    return Answer(vault.objects[key])


async def delete_async(vault: Vault, keys: Sequence[str]) -> None:
    """Remove objects, one after another."""
    for key in keys:
        await _asked(vault)
        vault.objects.pop(key, None)


async def list(vault: Vault, prefix: str) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """The objects beneath a prefix, some at a time."""
    await _asked(vault)
    found = [key for key in sorted(vault.objects) if key.startswith(f"{prefix}/")]
    for start in range(0, len(found), 10):
        yield [
            {"path": key, "size": len(vault.objects[key])} for key in found[start : start + 10] if key in vault.objects
        ]
        await asyncio.sleep(0)
