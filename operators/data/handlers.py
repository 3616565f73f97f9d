"""The Data service as a component: what it watches, its controllers, and what runs beside them.

One replica leads: it writes history and tenants' namespaces. Every replica answers from its own cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import aiohttp
import structlog
from aiohttp import web

from operators.contract import names
from operators.contract.core import NAMESPACE, QUOTA, ROLE_BINDING
from operators.contract.identity import ACCOUNT, PROJECT
from operators.contract.kinds import ALL
from operators.data.history import queries
from operators.data.history.database import Away, Database
from operators.data.history.facts import RECORDED
from operators.data.history.recorder import History, Recorder
from operators.data.rest.app import application
from operators.data.rest.fabric import Fabric
from operators.data.rest.history import Told
from operators.data.rest.objects import Objects
from operators.data.rest.tokens import Tokens
from operators.data.settings import Settings
from operators.data.tenants.controller import Tenants
from operators.data.webhooks.controller import Webhooks
from operators.data.webhooks.deliver import Courier, Target
from operators.data.webhooks.guard import Guarded
from operators.kernel import health
from operators.kernel.component import Component, Env, shared
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context

log = structlog.get_logger()

NAME = "data"
BUS = "bus"
"""What deliveries to the operator's event bus are called."""
VERSION = "1"
"""Of the addresses."""
AGAIN = 2.0
"""Seconds between attempts to reach the database at the start."""
DAILY = 3600.0
"""Seconds between looks for what is too old to be kept."""


class Service:
    """What the parts of one process share."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.settings = Settings.of(context.env)
        self.database = Database(self.settings.database)
        self.recorder = Recorder(self.database, self._subscribers, context.clock.now)
        self.migrated = asyncio.Event()
        self.webhooks = Webhooks(context, self.database, self.migrated, self.settings.webhook_networks)

    def _subscribers(self, namespace: str, type_: str) -> Sequence[str]:
        bus = (BUS,) if self.settings.bus else ()
        return (*bus, *self.webhooks.wanting(namespace, type_))

    def _target(self, uid: str) -> Target | None:
        if uid != BUS:
            return self.webhooks.target(uid)
        bus = self.settings.bus
        return Target(BUS, bus, self.settings.bus_key.encode(), tenants=False) if bus else None

    def _heard(self, uid: str, error: str, dead: bool) -> None:
        if uid != BUS:
            self.webhooks.heard(uid, error, dead=dead)

    async def deliver(self) -> None:
        """Send events to the bus and to tenants' webhooks, while this replica leads."""
        await self.migrated.wait()
        await self.context.synced.wait()
        resolver = Guarded(aiohttp.ThreadedResolver(), self.settings.webhook_networks)
        async with (
            aiohttp.ClientSession() as session,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver)) as outside,
        ):
            clock = self.context.clock
            await Courier(self.database, clock, session, self._target, self._heard, outside).run(self.context.leading)

    async def prepare(self) -> None:
        """Bring the database to this release, however long that is away; then notice what vanished meanwhile."""
        while True:
            try:
                await self.database.migrate()
                break
            except Away as away:
                log.warning("database_away", error=str(away), again_in=AGAIN)
                await self.context.clock.sleep(AGAIN)
        self.migrated.set()
        await self.context.synced.wait()
        async with asyncio.TaskGroup() as both:
            both.create_task(self._notice_for_ever())
            both.create_task(self._forget_for_ever())

    async def _notice_for_ever(self) -> None:
        """Look whenever this replica begins to lead: what ended before then, nobody may have written down."""
        looked = False
        while True:
            leads = self.context.leading()
            try:
                if leads and not looked:
                    await self._look_for_the_vanished()
                looked = leads
            except Away as away:
                log.warning("database_away", error=str(away), again_in=AGAIN)
            await self.context.clock.sleep(AGAIN)

    async def _look_for_the_vanished(self) -> None:
        plurals = {kind.kind: kind for kind in RECORDED}
        for name, key in await self.recorder.alive():
            if name in plurals and self.context.cache.get(plurals[name], key) is None:
                self.context.poke(f"history-{plurals[name].plural}", key)

    async def _forget_for_ever(self) -> None:
        while True:
            try:
                gone = await queries.forget(self.database, self.context.clock.now() - self.settings.retention)
                if gone:
                    log.info("history_forgotten", rows=gone, older_than=str(self.settings.retention))
            except Away as away:
                log.warning("retention_waits", error=str(away))
            await self.context.clock.sleep(DAILY)

    def application(self) -> web.Application:
        """The answers by HTTP."""
        cache, context = self.context.cache, self.context
        endpoints = (
            *Objects(cache).endpoints(),
            *Fabric(cache).endpoints(),
            *Told(self.database, context.clock.now).endpoints(),
        )
        return application(endpoints, Tokens(context.reviews, context.clock).judge, context.synced.is_set, VERSION)

    async def serve(self) -> None:
        """Answer until the process ends."""
        async with health.served(self.application(), self.settings.port) as port:
            log.info("serving", port=port)
            await asyncio.Event().wait()


service_of = shared(Service)


def build(context: Context) -> Sequence[AnyController]:
    """Tenants, and the history of every kind that has one."""
    Objects.index(context.cache)
    service = service_of(context)
    tenants = [Tenants(context, kind, service.settings.reserved) for kind in (ACCOUNT, PROJECT)]
    return [
        *tenants,
        service.webhooks,
        *(History(context, service.recorder, kind, service.migrated) for kind in RECORDED),
    ]


def background(context: Context) -> Sequence[Awaitable[None]]:
    """The database, and the answers."""
    service = service_of(context)
    return (service.prepare(), service.serve(), service.deliver())


def watches(env: Env) -> Sequence[Watch]:
    """Everything of the cloud, and of Kubernetes's own kinds what bears a tenant's label; all namespaces' names."""
    return [
        *(Watch(kind) for kind in ALL),
        Watch(NAMESPACE),
        *(Watch(kind, label_selector=names.LABEL_TENANT) for kind in (QUOTA, ROLE_BINDING)),
    ]


COMPONENT = Component(name=NAME, watches=watches, build=build, background=background)
