"""What the hypervisor agent watches, and what it is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

import structlog

from agents.hypervisor import console
from agents.hypervisor.captures.controller import Captures
from agents.hypervisor.channels.controller import Channels
from agents.hypervisor.driver import Hypervisor, Listeners
from agents.hypervisor.files import Files, HostFiles
from agents.hypervisor.guests import Guests
from agents.hypervisor.holding import Holding
from agents.hypervisor.instances import Instances
from agents.hypervisor.inventory import Inventory
from agents.hypervisor.settings import Settings
from agents.hypervisor.simulated import SimulatedFiles, SimulatedHypervisor, simulated_host
from agents.hypervisor.statistics import Statistics, publish
from operators.contract.consoles import CONSOLE_CHANNEL
from operators.contract.fabric import HOST_REPORT
from operators.contract.instances import INSTANCE
from operators.contract.networking import PORT_BINDING
from operators.contract.snapshots import DISK_SNAPSHOT
from operators.contract.storage import DISK
from operators.kernel.component import Component, Env, shared
from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context

log = structlog.get_logger()


class Agent:
    """The parts of one agent, wired together."""

    def __init__(self, context: Context, settings: Settings, hypervisor: Hypervisor, files: Files) -> None:
        self.context = context
        self.hypervisor = hypervisor
        self.files = files
        self.inventory = Inventory(context, hypervisor, files, settings)
        holding = Holding(context.clock)
        self.captures = Captures(context, hypervisor, holding)
        self.channels = Channels(context, hypervisor)
        self.statistics = Statistics(hypervisor, context.clock, self._named)
        self.guests = Guests(context, hypervisor, self.statistics)
        self.instances = Instances(context, hypervisor, files, settings, holding, self.guests.word)

    @property
    def controllers(self) -> Sequence[AnyController]:
        """What the kernel runs."""
        return self.instances, self.inventory, self.captures, self.channels, self.guests

    def background(self) -> Sequence[Awaitable[None]]:
        """What runs beside the controllers."""
        return self.hypervisor.run(Listeners(self._changed, self._link)), self._trim(), self.statistics.run()

    def _named(self, uuid: str) -> tuple[str, str] | None:
        """Namespace and name of a guest of ours."""
        found = next(iter(self.context.cache.by(INSTANCE, "vm", uuid)), None)
        return (found.meta.namespace, found.spec.virtual_machine.name) if found else None

    def _changed(self, uuid: str) -> None:
        self.instances.changed(uuid)
        self.inventory.changed(uuid)

    def _link(self) -> None:
        self.instances.all()
        self.inventory.look()

    async def _trim(self) -> None:
        """Keep console logs from filling the host."""
        while True:
            await self.context.clock.sleep(console.CHECK)
            try:
                await self.files.trim()
            except OSError as error:
                log.warning("console_logs_not_trimmed", error=str(error))


def agent_of(context: Context, settings: Settings) -> Agent:
    """The agent with the driver that the environment asks for. libvirt is loaded only where it is used."""
    if settings.driver == "simulated":
        host = simulated_host(settings)
        return Agent(context, settings, SimulatedHypervisor(host, context.clock), SimulatedFiles(host))
    from agents.hypervisor.libvirt_driver import LibvirtHypervisor

    libvirtd = LibvirtHypervisor(settings)
    return Agent(context, settings, libvirtd, HostFiles(settings))


@shared
def _agent(context: Context) -> Agent:
    """The one agent of a process."""
    agent = agent_of(context, Settings.read(context.env))
    publish(agent.statistics)
    return agent


def watches(env: Env) -> Sequence[Watch]:
    """This host's objects only; the API server selects them."""
    own = f"spec.hostName={env.get('NODE_NAME', '')}"
    kinds = INSTANCE, DISK, DISK_SNAPSHOT, CONSOLE_CHANNEL, PORT_BINDING, HOST_REPORT
    return [Watch(kind, field_selector=own) for kind in kinds]


COMPONENT = Component(
    name="agent-hypervisor",
    watches=watches,
    build=lambda context: _agent(context).controllers,
    background=lambda context: _agent(context).background(),
    leads=False,
    beats=True,
)
