"""The simulator as a process: what it watches, and what stands for each host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import structlog

from agents.simulator.fleet import BY_HOST, Fleet, Guests, host_of
from agents.simulator.made import RECIPES, Made, Reports
from agents.simulator.settings import Settings
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.consoles import CONSOLE_CHANNEL
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, HostSpec
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.storage import DISK
from operators.kernel.component import Component, shared
from operators.kernel.controller import Watch
from operators.kernel.heartbeat import Heartbeat
from operators.kernel.manager import AnyController, Context
from operators.kernel.store import AlreadyExists, Deposed, Unavailable

log = structlog.get_logger()

HOST_SIDE = (INSTANCE, CONSOLE_CHANNEL, HOST_REPORT, *(recipe.kind for recipe in RECIPES))
AGAIN = 2.0
"""Seconds between attempts to make the Hosts, while another replica leads or the API server is away."""

guests_of = shared(lambda context: Guests(context, Settings.read(context.env)))


def build(context: Context) -> Sequence[AnyController]:
    """The real hypervisor agents on simulated hypervisors; storage and network as if all went well."""
    settings = Settings.read(context.env)
    for kind in HOST_SIDE:
        context.cache.index(kind, BY_HOST, lambda obj: (host_of(obj),))
    context.cache.index(DISK, "image-copy", lambda disk: (disk.spec.image_copy,) if disk.spec.image_copy else ())
    context.cache.index(STORAGE_POOL, "pools-of", lambda pool: (pool.spec.host_name,))
    guests = guests_of(context)
    workers = min(256, 4 * settings.hosts)
    return (
        Fleet(context, guests, lambda agent: agent.instances, workers),
        Fleet(context, guests, lambda agent: agent.channels, 4),
        Fleet(context, guests, lambda agent: agent.inventory, 4, speaks="hypervisor"),
        *(Made(context, settings, recipe) for recipe in RECIPES),
        Reports(context, settings),
    )


def background(context: Context) -> Sequence[Awaitable[None]]:
    """The Hosts themselves, their heartbeats, and their hypervisors."""
    settings = Settings.read(context.env)
    works = [work for agent in guests_of(context).agents.values() for work in agent.background()]
    there = asyncio.Event()
    return (register(context, settings, there), *beats(context, settings, there), *works)


async def register(context: Context, settings: Settings, there: asyncio.Event) -> None:
    """Make the Hosts that are missing; Fabric Admin makes the rest of what stands for them."""
    await context.synced.wait()
    while True:
        try:
            known = {body["metadata"]["name"] for body in await context.store.list(HOST)}
            for name in settings.names:
                if name not in known:
                    spec = HostSpec(node=name, zone=settings.zone, simulated=True)
                    await context.store.create(HOST, HOST.body(Key("", name), spec=to_wire(spec)))
            log.info("simulated_hosts", count=settings.hosts, zone=settings.zone)
            there.set()
            return
        except (Deposed, Unavailable, AlreadyExists) as error:
            log.info("hosts_not_made_yet", why=str(error))
            await context.clock.sleep(AGAIN)


def beats(context: Context, settings: Settings, there: asyncio.Event) -> Sequence[Awaitable[None]]:
    """A heartbeat per agent and host, as real agents have it; the more hosts, the slower."""
    namespace, every = context.env.get("POD_NAMESPACE", ""), settings.beat

    async def run(node: str, agent: str) -> None:
        await there.wait()
        heart = Heartbeat(context.store, context.clock, namespace, agent, node, rng=context.rng, every=every)
        await heart.beat()
        # The first beats come together; from then on they are spread.
        await context.clock.sleep(context.rng.uniform(0, every))
        await heart.run()

    return [run(node, agent) for node in settings.names for agent in names.AGENTS]


COMPONENT = Component(
    name="simulator",
    watches=lambda env: [Watch(kind) for kind in (*HOST_SIDE, STORAGE_POOL)],
    build=build,
    background=background,
)
