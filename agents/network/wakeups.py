"""Wake-ups from the kernel and from the clock: what no event of the API server tells of."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import structlog

from agents.network import netlink
from agents.network.links import OURS, TAP_PREFIX
from agents.network.metadata import place
from agents.network.ports.guard import TABLE
from agents.network.ports.model import LOOK_AGAIN
from agents.network.rates import model as rates
from operators.contract.fabric import HOST_REPORT
from operators.contract.networking import HOST_NETWORK, ROUTER
from operators.kernel.manager import Context

log = structlog.get_logger()

DRIFT = 60.0
"""Seconds between looks at everything, with a jitter of a tenth either way."""


async def drift(context: Context) -> None:
    """Look at everything now and then: addresses and entries can be changed behind our back without a word."""
    while True:
        look_at_all(context)
        await context.clock.sleep(DRIFT * context.rng.uniform(0.9, 1.1))


async def devices(context: Context) -> None:
    """Look at once when a device of ours is gone, or a guest is plugged in."""

    def heard(data: bytes) -> None:
        for name in netlink.deleted_devices(data):
            look_at(context, name)
        if any(name.startswith(TAP_PREFIX) for name in netlink.devices(data)):
            context.poke("rates", rates.HOST)

    await _listen(context, netlink.links(), heard)


async def rules(context: Context) -> None:
    """Look at once when something is gone from our tables: a host's firewall that starts anew flushes all there is."""

    def heard(data: bytes) -> None:
        if TABLE in netlink.tables_with_less(data):
            context.poke("ports", LOOK_AGAIN)

    await _listen(context, netlink.rules(), heard)


async def _listen(context: Context, sock: socket.socket, heard: Callable[[bytes], None]) -> None:
    loop = asyncio.get_running_loop()
    with sock:
        while True:
            try:
                heard(await loop.sock_recv(sock, 1 << 16))
            except OSError as error:
                # So many events that the kernel dropped some: look at everything instead.
                log.info("kernel_events_lost", error=os.strerror(error.errno or 0))
                look_at_all(context)


def look_at_all(context: Context) -> None:
    """Mark every key of this agent."""
    context.poke("ports", LOOK_AGAIN)
    context.poke("rates", rates.HOST)
    for host_network in context.cache.all(HOST_NETWORK):
        context.poke("segments", host_network.key)
    for router in context.cache.all(ROUTER):
        context.poke("routers", router.key)
    for report in context.cache.all(HOST_REPORT):
        context.poke("report", report.key)


def look_at(context: Context, device: str) -> None:
    """Mark the keys that a device belongs to."""
    if not OURS.fullmatch(device):
        return
    for host_network in context.cache.all(HOST_NETWORK):
        if device in (host_network.spec.bridge, host_network.spec.vxlan, place.cable(host_network.spec.segment_id)):
            context.poke("segments", host_network.key)
    for router in context.cache.all(ROUTER):
        if device in (f"csri{router.spec.segment_id}", f"csrp{router.spec.segment_id}"):
            context.poke("routers", router.key)
    for report in context.cache.all(HOST_REPORT):
        context.poke("report", report.key)
