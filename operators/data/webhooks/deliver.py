"""Deliver what webhooks are owed: at least once, in order of time where all goes well, else with back-off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp
import sqlalchemy as sa
import structlog

from operators.data.history.database import Away, Database, utc
from operators.data.history.deliveries import DEAD, DELIVERED, PENDING
from operators.data.history.queries import EventRow
from operators.data.history.tables import DELIVERIES, EVENTS
from operators.data.webhooks import envelope
from operators.kernel.clock import Clock

log = structlog.get_logger()

LINE = 20
"""Deliveries of one webhook in a round, so that none is in the way of others."""
PATIENCE = timedelta(seconds=15)
"""After which a slow webhook waits for the next round, since all wait for the slowest."""
TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
FIRST, LONGEST = timedelta(seconds=2), timedelta(hours=1)
ATTEMPTS = 12
"""After which, some four hours, a delivery is given up."""
IDLE = 5.0
"""Seconds between looks for what has become due."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook's events go, and the key that signs them."""

    uid: str
    url: str
    key: bytes = field(repr=False)
    refusal: str = ""
    """Why nothing can be sent to it now; that counts as an attempt."""
    tenants: bool = True
    """Whether a tenant named it, who may not have the cloud's own inside called."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One delivery that is due."""

    seq: int
    webhook: str
    attempts: int
    event: EventRow


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts."""
    wait: timedelta = min(FIRST * int(2 ** min(attempts - 1, 20)), LONGEST)
    return wait


class Courier:
    """Delivers from one database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        session: aiohttp.ClientSession,
        target: Callable[[str], Target | None],
        heard: Callable[[str, str, bool], None] = lambda uid, error, dead: None,
        outside: aiohttp.ClientSession | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._session = session
        self._target = target
        self._heard = heard
        self._outside = outside or session
        """For what tenants named."""

    async def run(self, leading: Callable[[], bool]) -> None:
        """Deliver for ever, while this replica leads."""
        while True:
            try:
                done = await self.round() if leading() else 0
            except Away as away:
                log.warning("deliveries_wait", error=str(away))
                done = 0
            if not done:
                await self._clock.sleep(IDLE)

    async def round(self) -> int:
        """Deliver what is due now, one webhook beside the other; how many there were. Raises Away."""
        owed = await self._due(self._clock.now())
        by_webhook: dict[str, list[Owed]] = {}
        for each in owed:
            by_webhook.setdefault(each.webhook, []).append(each)
        await asyncio.gather(*(self._all_of(line) for line in by_webhook.values()))
        return len(owed)

    async def _all_of(self, line: list[Owed]) -> None:
        began = self._clock.now()
        for owed in line:
            if not await self._one(owed) or self._clock.now() - began > PATIENCE:
                return  # the others wait too, so that order is kept and a dead endpoint is not hammered

    async def _one(self, owed: Owed) -> bool:
        target = self._target(owed.webhook)
        if target is None:
            await self._settle(owed, DEAD, "there is no such receiver any more", self._clock.now())
            return True
        said = target.refusal or await self._send(target, owed.event)
        now = self._clock.now()
        if not said:
            await self._settle(owed, DELIVERED, "", now)
            self._heard(owed.webhook, "", False)
            return True
        attempts = owed.attempts + 1
        state = DEAD if attempts >= ATTEMPTS else PENDING
        log.info("delivery_failed", webhook=owed.webhook, webhook_event=owed.event.id, attempts=attempts, error=said)
        await self._settle(owed, state, said, now + backoff(attempts))
        self._heard(owed.webhook, said, state == DEAD)
        return False

    async def _send(self, target: Target, event: EventRow) -> str:
        """What went wrong; "" for nothing. Any 2xx is a yes."""
        body = envelope.cloud_event(event)
        headers = envelope.headers(event.id, int(self._clock.now().timestamp()), body, target.key)
        try:
            session = self._outside if target.tenants else self._session
            async with session.post(
                target.url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                return "" if 200 <= answer.status < 300 else f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{type(error).__name__}: {error}"[:500]

    async def _due(self, now: datetime) -> Sequence[Owed]:
        def work(connection: sa.Connection) -> list[Owed]:
            late = (DELIVERIES.c.state == PENDING) & (DELIVERIES.c.due <= now)
            joined = sa.join(DELIVERIES, EVENTS, DELIVERIES.c.event == EVENTS.c.id)
            due = (
                sa.select(DELIVERIES.c.seq.label("delivery"), DELIVERIES.c.webhook, DELIVERIES.c.attempts, EVENTS)
                .select_from(joined)
                .order_by(EVENTS.c.seq)
                .limit(LINE)
            )
            lines = connection.scalars(sa.select(DELIVERIES.c.webhook).where(late).distinct()).all()
            found = (connection.execute(due.where(late & (DELIVERIES.c.webhook == line))) for line in lines)
            return [_owed(row) for rows in found for row in rows]

        return await self._database.run(work)

    async def _settle(self, owed: Owed, state: str, said: str, due: datetime) -> None:
        change = (
            sa.update(DELIVERIES)
            .where(DELIVERIES.c.seq == owed.seq)
            .values(state=state, attempts=owed.attempts + 1, said=said, due=due)
        )
        await self._database.run(lambda connection: connection.execute(change))


def _owed(row: sa.Row[tuple[object, ...]]) -> Owed:
    values = dict(row._mapping)
    own = {name: values.pop(name) for name in ("delivery", "webhook", "attempts")}
    values.pop("seq")
    return Owed(
        own["delivery"], own["webhook"], own["attempts"], EventRow(**values | {"created": utc(values["created"])})
    )
