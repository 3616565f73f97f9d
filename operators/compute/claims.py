"""Who gets a Volume that several virtual machines list: decided by one guarded write.

The ledger keeps two runs of one process from giving it out twice, and an Instance's name keeps a virtual machine from
having two of them; neither keeps two processes that both lead from giving one Volume to two virtual machines. So before
an Instance lists a Volume of its user's, `Volume.status.claimedBy` names its virtual machine, by a write of the very
state in which nobody else had it. A root disk that is made for the virtual machine needs no claim: its name is one.
"""

from __future__ import annotations

from collections.abc import Iterator

from operators.compute.capacity import held
from operators.compute.model import VM, Put
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.reasons import Reason
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache
from operators.kernel.clock import Clock
from operators.kernel.outcome import Problem, Retry
from operators.kernel.store import Store

PART = "claims"
"""Of Compute's field manager: this field is written by itself."""
PATIENCE = 90.0
"""Seconds for which a claim without an Instance is honoured: longer than any write of one can be under way."""
LOOK_AGAIN = 5.0


class Claims:
    """Claims Volumes for virtual machines."""

    def __init__(self, store: Store, cache: Cache, clock: Clock) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._idle: dict[Key, tuple[str, float]] = {}
        """Of claims in our way by which nobody has the Volume: whose they are, and since when we know, monotonic."""

    async def take(self, action: Put) -> None:
        """Claim what an Instance is about to list and did not before; a Problem if somebody else has it."""
        for name in _needed(action, self._cache):
            await self._take(action.vm, Key(action.vm.meta.namespace, name))

    async def _take(self, vm: VM, key: Key) -> None:
        volume = await self._store.get(VOLUME, key)
        if volume is None or volume["metadata"].get("deletionTimestamp"):
            raise Problem(Retry(Reason.VOLUME_NOT_FOUND, f"Volume {key.name} is not there any more"))
        claimant = (volume.get("status") or {}).get("claimedBy")
        if claimant is None or claimant["uid"] != vm.meta.uid:
            if claimant is not None:
                await self._let_go(key, claimant)
            claim = {"claimedBy": {"name": vm.meta.name, "uid": vm.meta.uid}}
            version = volume["metadata"]["resourceVersion"]
            await self._store.apply_status(VOLUME, key, claim, resource_version=version, manager=PART)
        self._idle.pop(key, None)

    async def _let_go(self, key: Key, claimant: Json) -> None:
        """Raise unless the claimant does not have the Volume any more, and is not about to."""
        name, uid = claimant["name"], claimant["uid"]
        for found in await self._store.list(INSTANCE, label_selector=f"{names.LABEL_VM_UID}={uid}"):
            await self._store.get(INSTANCE, Key(key.namespace, found["metadata"]["name"]))  # the cache lacked it
            if key.name in _lists(found):
                message = (
                    f"Volume {key.name} is attached to VirtualMachine {name}: take it out of that one's spec first"
                )
                raise Problem(Retry(Reason.STILL_ATTACHED, message, LOOK_AGAIN))
        other = await self._store.get(VIRTUAL_MACHINE, Key(key.namespace, name))
        if other is None or other["metadata"]["uid"] != uid or other["metadata"].get("deletionTimestamp"):
            return
        if key.name not in (other["spec"].get("rootVolume"), *other["spec"].get("volumes", ())):
            return
        now = self._clock.monotonic()
        whose, since = self._idle.get(key, ("", now))
        if whose != uid:
            self._idle[key] = uid, (since := now)
        if (left := since + PATIENCE - now) > 0:
            message = f"Volume {key.name} is promised to VirtualMachine {name}, which has yet to get a host"
            raise Problem(Retry(Reason.STILL_ATTACHED, message, min(left, LOOK_AGAIN)))


def _needed(action: Put, cache: Cache) -> Iterator[str]:
    """The Volumes that the Instance is to list anew, but for the root disk that is made for its virtual machine."""
    vm = action.vm
    before = cache.get(INSTANCE, action.now.key) if action.now is not None else None
    had = held(before) if before is not None else frozenset()
    for disk in action.spec.disks:
        made = not vm.spec.root_volume and disk.volume == vm.spec.root_of(vm.meta.name)
        if disk.volume not in had and not made:
            yield disk.volume


def _lists(instance: Json) -> set[str]:
    parts = (instance["spec"], instance.get("status") or {})
    return {disk["volume"] for part in parts for disk in part.get("disks", ())}
