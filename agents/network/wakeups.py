"""Wake-ups from the kernel and from the clock: what no event of the API server tells of."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Iterator

import structlog

from agents.network.links import OURS
from agents.network.ports.model import HOST
from operators.contract.fabric import HOST_REPORT
from operators.contract.networking import HOST_NETWORK, ROUTER
from operators.kernel.manager import Context

log = structlog.get_logger()

DRIFT = 60.0
"""Seconds between looks at everything, with a jitter of a tenth either way."""
_RTMGRP_LINK = 1
_RTM_DELLINK = 17
_IFLA_IFNAME = 3
_HEADER = struct.Struct("=LHHLL")
_LINK_BODY = 16


async def drift(context: Context) -> None:
    """Look at everything now and then: rules, addresses and entries can be changed behind our back without a word."""
    while True:
        look_at_all(context)
        await context.clock.sleep(DRIFT * context.rng.uniform(0.9, 1.1))


async def devices(context: Context) -> None:
    """Look at once when a device of ours is gone."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, _RTMGRP_LINK))
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(sock, 1 << 16)
            except OSError as error:
                # So many events that the kernel dropped some: look at everything instead.
                log.info("device_events_lost", error=os.strerror(error.errno or 0))
                look_at_all(context)
                continue
            for name in deleted(data):
                look_at(context, name)


def look_at_all(context: Context) -> None:
    """Mark every key of this agent."""
    context.poke("ports", HOST)
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
        if device in (host_network.spec.bridge, host_network.spec.vxlan):
            context.poke("segments", host_network.key)
    for router in context.cache.all(ROUTER):
        if device in (f"csri{router.spec.segment_id}", f"csrp{router.spec.segment_id}"):
            context.poke("routers", router.key)
    for report in context.cache.all(HOST_REPORT):
        context.poke("report", report.key)


def deleted(data: bytes) -> Iterator[str]:
    """The names of the devices that a batch of netlink messages says were deleted."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, type_, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        if type_ == _RTM_DELLINK:
            yield from _name(data[at + _HEADER.size + _LINK_BODY : at + length])
        at += (length + 3) & ~3


def _name(attributes: bytes) -> Iterator[str]:
    at = 0
    while at + 4 <= len(attributes):
        length, type_ = struct.unpack_from("=HH", attributes, at)
        if length < 4:
            return
        if type_ == _IFLA_IFNAME:
            yield attributes[at + 4 : at + length].rstrip(b"\0").decode(errors="replace")
            return
        at += (length + 3) & ~3
