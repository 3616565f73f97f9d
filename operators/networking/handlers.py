"""Declares the component: what it watches and which controllers it runs."""

from __future__ import annotations

from collections.abc import Sequence

from operators.contract.fabric import HOST, HOST_REPORT, IP_RANGE, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.networking import (
    CLAIM,
    HOST_NETWORK,
    NETWORK,
    NETWORK_OFFERING,
    PORT,
    PORT_BINDING,
    ROUTER,
)
from operators.kernel.component import Component
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context
from operators.networking import lookup
from operators.networking.networks.controller import Networks, background
from operators.networking.ports.controller import Ports
from operators.networking.releases import Releases

WATCHED = (
    NETWORK,
    PORT,
    ROUTER,
    HOST_NETWORK,
    PORT_BINDING,
    CLAIM,
    NETWORK_OFFERING,
    INSTANCE,
    HOST,
    HOST_REPORT,
    ZONE,
    IP_RANGE,
)
HOST_SIDE = (ROUTER, HOST_NETWORK, PORT_BINDING)


def build(context: Context) -> Sequence[AnyController]:
    """The controllers of one process."""
    lookup.indexes(context.cache)
    return (Networks(context), Ports(context), *(Releases(context, kind) for kind in HOST_SIDE))


COMPONENT = Component(
    name="networking",
    watches=lambda env: tuple(Watch(kind) for kind in WATCHED),
    build=build,
    background=background,
)
