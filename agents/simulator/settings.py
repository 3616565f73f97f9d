"""What the simulator is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.hypervisor import settings as hypervisor
from agents.hypervisor.simulated import Faults, Latencies
from operators.contract import names
from operators.contract.quantity import Quantity

BEAT = 10.0
BEATS_A_SECOND = 5.0
"""Heartbeats of all simulated hosts together; they must not be what is measured."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Parsed once at start; a value that makes no sense stops the process with a ValueError that names it."""

    hosts: int = 100
    """SIMULATED_HOSTS."""
    zone: str = "simulated"
    """SIMULATED_ZONE: the Zone of them all. Only virtual machines that ask for it are placed there."""
    cpus: int = 32
    """SIMULATED_CPUS, of each host."""
    memory: Quantity = field(default_factory=lambda: Quantity(128 << 30))
    """SIMULATED_MEMORY."""
    pool: Quantity = field(default_factory=lambda: Quantity(2 << 40))
    """SIMULATED_POOL: capacity of each host's own pool."""
    image: Quantity = field(default_factory=lambda: Quantity(1 << 30))
    """SIMULATED_IMAGE: the virtual size of every image."""
    seed: int = 0
    """SIMULATED_SEED: all chance follows from it."""
    slowness: float = 1.0
    """SIMULATED_SLOWNESS: how many times longer each step takes than measured of libvirt and QEMU; 0 for no time."""
    faults: float = 0.0
    """SIMULATED_FAULTS: how likely each step fails, from 0 to 1."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Read the environment."""
        default = cls()
        found = cls(
            hosts=int(env.get("SIMULATED_HOSTS") or default.hosts),
            zone=env.get("SIMULATED_ZONE") or default.zone,
            cpus=int(env.get("SIMULATED_CPUS") or default.cpus),
            memory=Quantity.parse(env.get("SIMULATED_MEMORY") or default.memory),
            pool=Quantity.parse(env.get("SIMULATED_POOL") or default.pool),
            image=Quantity.parse(env.get("SIMULATED_IMAGE") or default.image),
            seed=int(env.get("SIMULATED_SEED") or default.seed),
            slowness=float(env.get("SIMULATED_SLOWNESS") or default.slowness),
            faults=float(env.get("SIMULATED_FAULTS") or default.faults),
        )
        if not 1 <= found.hosts <= 10_000:
            raise ValueError(f"SIMULATED_HOSTS is {found.hosts}; it must be from 1 to 10000")
        if not 0 <= found.faults < 1:
            raise ValueError(f"SIMULATED_FAULTS is {found.faults}; it must be from 0 to less than 1")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts' names."""
        return tuple(names.simulated_host(number) for number in range(1, self.hosts + 1))

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats of one agent."""
        return max(BEAT, self.hosts * len(names.AGENTS) / BEATS_A_SECOND)

    def hypervisor(self, node: str) -> hypervisor.Settings:
        """The settings of one host's hypervisor agent."""
        return hypervisor.Settings(
            node=node,
            address=node,  # by which simulated hosts know one another
            driver="simulated",
            simulated_cpus=self.cpus,
            simulated_memory=self.memory,
            reserved_memory=Quantity(0),
            seed=self.seed,
        )

    @property
    def latencies(self) -> Latencies:
        """How long a simulated hypervisor takes."""
        usual = Latencies()
        return Latencies(*(getattr(usual, name) * self.slowness for name in Latencies.__dataclass_fields__))

    @property
    def hypervisor_faults(self) -> Faults:
        """What goes wrong in a simulated hypervisor."""
        return Faults(
            start_fails=self.faults,
            start_crashes=self.faults,
            deaf=self.faults,
            keeps_disks=self.faults,
            move_fails=self.faults,
        )
