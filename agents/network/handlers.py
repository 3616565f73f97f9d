"""The network agent as a process: which objects of its host it watches, and what runs beside its controllers."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from agents.network import wakeups
from agents.network.metadata.passwords import Passwords
from agents.network.ports.controller import Ports
from agents.network.rates.controller import Rates
from agents.network.report.controller import HostReports
from agents.network.routers.controller import Routers
from agents.network.segments.controller import Segments
from operators.contract.fabric import HOST_REPORT
from operators.contract.instances import INSTANCE
from operators.contract.networking import HOST_NETWORK, PORT_BINDING, ROUTER
from operators.kernel.component import Component, Env
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context


def watches(env: Env) -> Sequence[Watch]:
    """Only what is this host's."""
    own = f"spec.hostName={env['NODE_NAME']}"
    return [Watch(kind, field_selector=own) for kind in (HOST_NETWORK, PORT_BINDING, ROUTER, INSTANCE, HOST_REPORT)]


def build(context: Context) -> Sequence[AnyController]:
    """The agent's six controllers."""
    passwords = Passwords(context)
    return [
        passwords,
        Segments(context, passwords),
        Ports(context),
        Routers(context),
        Rates(context),
        HostReports(context),
    ]


def background(context: Context) -> Sequence[Awaitable[None]]:
    """Wake-ups from outside the API server."""
    return [wakeups.drift(context), wakeups.devices(context), wakeups.rules(context)]


COMPONENT = Component("agent-network", watches, build, background, leads=False, beats=True)
