"""Leader election by a coordination Lease: one replica works, the others stand by with a warm cache.

No wall clock is compared with another's. The leader counts its own time from before its last successful renewal was
sent, and stops RENEW_DEADLINE later; a follower counts its own time from when it saw the record change, and takes the
Lease after the full duration that stands in it. So the old leader has stopped before the new one starts, however the
clocks differ. What a process may still have in flight at that moment is held by the guards of the writes themselves
(uid, resourceVersion, names that only one can create), not by the Lease.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from operators.contract.codec import Json, to_wire
from operators.contract.core import LEASE, LeaseSpec
from operators.contract.meta import Key, Meta, Obj
from operators.kernel import metrics
from operators.kernel.clock import Clock
from operators.kernel.store import AlreadyExists, Conflict, NotFound, Store, StoreError

log = structlog.get_logger()

DURATION = 15.0
"""Seconds after which a follower may take a Lease that did not change."""
RENEW_DEADLINE = 10.0
"""Seconds after a renewal until the leader considers itself deposed."""
RENEW_EVERY = 3.0
PATIENCE = 3.0
"""Seconds for one look or one renewal, so that a silent line leaves time for another."""
LOOK_EVERY = 2.0
"""Seconds between a follower's looks, so that is how long a takeover after a clean release may take."""


class Elector:
    """Takes and holds one Lease. `leading` is the answer to "may I write now", and costs no request."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        lease: Key,
        identity: str,
        *,
        prepare: Callable[[], Awaitable[None]],
        begun: Callable[[], None],
        predecessors: str = "",
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lease = lease
        self._component = lease.name.removeprefix("cloudstack-")
        self._identity = identity
        """Of this very process: a restarted one is another candidate, since it knows nothing of its past."""
        self._prepare = prepare
        """Run with the Lease in hand, before `leading` says yes: bring the cache up to date."""
        self._begun = begun
        """Called when `leading` begins to say yes: look at everything."""
        self._predecessors = predecessors
        """What the identities of processes begin with that have ended before this one began; "" if nobody can know."""
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._mine: Obj[LeaseSpec, object] | None = None
        self._until = float("-inf")
        self._ready = False
        self._seen: LeaseSpec | None = None
        self._seen_at = 0.0

    def leading(self) -> bool:
        """Whether this process may write, by its own clock alone."""
        return self._ready and self._clock.monotonic() < self._until

    async def run(self) -> None:
        """Stand by, lead, stand by again, until cancelled."""
        while True:
            if await self._try_to_take():
                try:
                    await self._lead()
                finally:
                    self._step_down()
            await self._clock.sleep(LOOK_EVERY * self._rng.uniform(0.8, 1.0))

    async def release(self) -> None:
        """Give the Lease back, so that another replica need not wait for its end. Only after all work has ended."""
        mine = self._mine
        self._step_down()
        self._mine = None
        try:
            if mine is not None and await self._give_up(mine):
                log.info("lease_released", lease=str(self._lease))
        except StoreError as error:
            log.warning("lease_not_released", lease=str(self._lease), error=str(error))

    async def _give_up(self, mine: Obj[LeaseSpec, object]) -> bool:
        """Name no holder. Said to be empty rather than left out: what a create wrote, an apply does not remove."""
        for _ in range(2):
            free = {"leaseDurationSeconds": int(DURATION), "leaseTransitions": mine.spec.lease_transitions}
            try:
                await self._write(free | {"holderIdentity": ""}, mine.meta)
            except Conflict:
                # A renewal of ours may have been cut off with its effect unknown.
                body = await self._store.get(LEASE, self._lease)
                if body is None or (mine := LEASE.parse(body)).spec.holder_identity != self._identity:
                    return False
            else:
                self._mine = None
                return True
        return False

    async def _try_to_take(self) -> bool:
        """One look at the Lease, and an attempt if it is free; whether it is ours now."""
        try:
            async with asyncio.timeout(PATIENCE):
                body = await self._store.get(LEASE, self._lease)
                if body is None:
                    return await self._renew(LeaseSpec(), None)
                lease = LEASE.parse(body)
                return self._free(lease.spec) and await self._renew(lease.spec, lease.meta)
        except (Conflict, AlreadyExists):
            return False  # somebody else was faster
        except (StoreError, TimeoutError) as error:
            log.warning("lease_not_reached", lease=str(self._lease), error=str(error) or "no answer in time")
            return False

    def _free(self, seen: LeaseSpec) -> bool:
        """Whether the Lease is for us to take: nobody's, ours (an answer was lost), a dead one's, or long unchanged."""
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock.monotonic()
            log.debug("lease_seen", lease=str(self._lease), holder=seen.holder_identity)
        waited = self._clock.monotonic() - self._seen_at
        holder = seen.holder_identity
        if self._predecessors and holder.startswith(self._predecessors):
            return True
        return holder in ("", self._identity) or waited >= (seen.lease_duration_seconds or DURATION)

    async def _lead(self) -> None:
        """Hold the Lease until it is lost; prepare at the same time, since that may take longer than the Lease."""
        log.info("lease_taken", lease=str(self._lease), identity=self._identity)
        preparing = asyncio.ensure_future(self._get_ready())
        try:
            while self._clock.monotonic() < self._until:
                await self._clock.sleep(RENEW_EVERY)
                if preparing.done():
                    preparing.result()
                if not await self._keep():
                    return
            log.warning("lease_ran_out", lease=str(self._lease))
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _get_ready(self) -> None:
        await self._prepare()
        self._ready = True
        metrics.LEADING.labels(self._component).set(1)
        log.info("leading", lease=str(self._lease))
        self._begun()

    async def _keep(self) -> bool:
        """Renew once; False when the Lease is somebody else's now. An API server out of reach costs only time."""
        for again in (True, False):
            mine = self._mine
            if mine is None:
                return False
            left = self._until - self._clock.monotonic()
            try:
                async with asyncio.timeout(min(PATIENCE, max(left, 0))):
                    return await self._renew(mine.spec, mine.meta)
            except (Conflict, NotFound) as error:
                # It may be our own earlier renewal, of which we got no answer.
                if not await self._still_ours(str(error)):
                    return False
                if again:
                    continue
            except (StoreError, TimeoutError) as error:
                log.warning("lease_not_renewed", lease=str(self._lease), error=str(error) or "no answer in time")
            return True
        return True

    async def _still_ours(self, why: str) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                body = await self._store.get(LEASE, self._lease)
        except (StoreError, TimeoutError) as error:
            log.warning("lease_not_reached", lease=str(self._lease), error=str(error) or "no answer in time")
            return True
        self._mine = LEASE.parse(body) if body is not None else None
        if self._mine is not None and self._mine.spec.holder_identity == self._identity:
            return True
        self._mine = None
        log.warning("lease_lost", lease=str(self._lease), why=why)
        return False

    async def _renew(self, before: LeaseSpec, seen: Meta | None) -> bool:
        """Write the Lease as ours, guarded by the state that was seen. Our time counts from before the request."""
        asked = self._clock.monotonic()
        now = micro_time(self._clock.now())
        same = before.holder_identity == self._identity
        spec = LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=int(DURATION),
            acquire_time=before.acquire_time if same else now,
            renew_time=now,
            lease_transitions=before.lease_transitions + (not same),
        )
        await self._write(to_wire(spec), seen)
        self._until = asked + RENEW_DEADLINE
        return True

    async def _write(self, spec: Json, seen: Meta | None) -> None:
        body = LEASE.body(self._lease, spec=spec, **(seen.guard if seen else {}))
        answer = await (self._store.apply(LEASE, body) if seen else self._store.create(LEASE, body))
        self._mine = LEASE.parse(answer)

    def _step_down(self) -> None:
        if self._ready:
            log.info("standing_by", lease=str(self._lease))
        self._ready = False
        self._until = float("-inf")
        self._seen = None
        metrics.LEADING.labels(self._component).set(0)


def micro_time(moment: datetime) -> str:
    """A moment as a Lease has it: `2026-11-21T10:23:44.123456Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
