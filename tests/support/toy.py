"""A component of some lines, for tests of the kernel: it claims one value for each Volume, and gives it back.

Run as a process: `python -m tests.support.toy`, with TOY_* in the environment to make it behave badly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.meta import Key, Kind, Meta, Obj, ObjectRef
from operators.contract.networking import CLAIM, ClaimSpec
from operators.contract.reasons import Reason
from operators.contract.storage import VOLUME, VolumeSpec, VolumeStatus
from operators.kernel import logs, shell
from operators.kernel.component import Component
from operators.kernel.controller import Report, Watch
from operators.kernel.manager import Context
from operators.kernel.outcome import Blocked, Done, Outcome
from operators.kernel.store import AlreadyExists

NAME = "toy"
FINALIZER = names.finalizer(NAME)

Volume = Obj[VolumeSpec, VolumeStatus]


@dataclass(frozen=True)
class Finalize:
    """Set the finalizers of a Volume."""

    meta: Meta
    finalizers: tuple[str, ...]


@dataclass(frozen=True)
class Take:
    """Create the Claim."""

    volume: ObjectRef


@dataclass(frozen=True)
class GiveBack:
    """Delete the Claim."""

    name: str
    uid: str


Action = Finalize | Take | GiveBack


@dataclass(frozen=True)
class Seen:
    """What there is: the Claim's uid, "" for none."""

    claim: str


class Toy:
    """One Claim per Volume."""

    name = "toy"
    kind: Kind[Any, Any] = VOLUME
    workers = 8

    def __init__(self, context: Context) -> None:
        self.store, self.cache = context.store, context.cache
        self.slow = float(context.env.get("TOY_SLOW", "0"))
        self.hang = context.env.get("TOY_HANG", "")

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {
            VOLUME: lambda volume: [volume.key],
            CLAIM: lambda claim: [Key(claim.spec.owner.namespace, claim.spec.owner.name)],
        }

    async def observe(self, key: Key) -> tuple[Volume, Seen] | None:
        volume = self.cache.get(VOLUME, key)
        if volume is None:
            return None
        claim = self.cache.get(CLAIM, Key("", claim_name(volume.meta.uid)))
        return volume, Seen(claim.meta.uid if claim else "")

    def plan(self, wanted: Volume, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        meta = wanted.meta
        if meta.deleting:
            if seen.claim:
                return [GiveBack(claim_name(meta.uid), seen.claim)], Blocked(Reason.DELETING, "its claim is given back")
            if FINALIZER in meta.finalizers:
                return [Finalize(meta, meta.finalizers_without(FINALIZER))], Done()
            return [], Done()
        if FINALIZER not in meta.finalizers:
            return [Finalize(meta, meta.finalizers_with(FINALIZER))], Blocked(Reason.PROGRESSING, "just begun")
        if not seen.claim:
            return [Take(wanted.ref)], Blocked(Reason.PROGRESSING, "its claim is made")
        return [], Done()

    async def act(self, action: Action) -> None:
        if self.slow:
            await asyncio.sleep(self.slow)
        if self.hang == "thread":
            await asyncio.to_thread(time.sleep, 120)
        if self.hang == "loop":
            threading.Event().wait(120)
        if self.hang == "stubborn":
            await _stubborn()
        match action:
            case Finalize(meta, finalizers):
                await self.store.finalize(VOLUME, meta, finalizers)
            case Take(volume):
                spec = ClaimSpec("segment", volume.uid[:8], volume)
                with contextlib.suppress(AlreadyExists):  # by ourselves, before a restart
                    await self.store.create(CLAIM, CLAIM.body(Key("", claim_name(volume.uid)), spec=to_wire(spec)))
            case GiveBack(name, uid):
                await self.store.delete(CLAIM, Key("", name), uid=uid)

    def report(self, wanted: Volume, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        return [Report(wanted, {"phase": "Claimed" if seen.claim else "Claiming"})]


async def _stubborn() -> None:
    """A handler that does not let itself be cancelled."""
    while True:
        try:
            await asyncio.sleep(120)
        except asyncio.CancelledError:
            continue


def claim_name(uid: str) -> str:
    """The Claim of a Volume."""
    return f"toy-{uid}"


WONDER = Kind(names.NETWORKING, "Wonder", "wonders", ClaimSpec, VolumeStatus)
"""A kind that nobody serves."""


def watches(env: Mapping[str, str]) -> Sequence[Watch]:
    """What it watches."""
    return [Watch(VOLUME), Watch(CLAIM), *([Watch(WONDER)] if env.get("TOY_UNKNOWN_KIND") else [])]


async def fail() -> None:
    """Background work that fails after a while."""
    await asyncio.sleep(2)
    raise RuntimeError("no hypervisor here")


COMPONENT = Component(
    name=NAME,
    watches=watches,
    build=lambda context: [Toy(context)],
    background=lambda context: [fail()] if context.env.get("TOY_BACKGROUND") == "fails" else [],
)

if __name__ == "__main__":
    logs.configure(NAME, os.environ)
    sys.exit(shell.run(COMPONENT, os.environ))
