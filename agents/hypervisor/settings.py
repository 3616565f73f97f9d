"""The agent's environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from operators.contract.quantity import Quantity

ACCELERATORS = ("auto", "kvm", "qemu")
DRIVERS = ("libvirt", "simulated")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator of the cloud may set; the defaults suit a host whose distribution runs libvirtd."""

    node: str
    """NODE_NAME."""
    driver: str = "libvirt"
    """HYPERVISOR_DRIVER: `libvirt`, or `simulated` for a host without guests."""
    accelerator: str = "auto"
    """HYPERVISOR_ACCELERATION: `kvm`, `qemu`, or `auto` to take KVM once it proved itself."""
    libvirt_uri: str = "qemu:///system"
    """LIBVIRT_URI."""
    address: str = ""
    """NODE_IP: where the hypervisors of other hosts reach this one's."""
    migration_uri: str = "qemu+tcp://{address}/system"
    """MIGRATION_URI: another host's hypervisor; `qemu+tls://{address}/system` where libvirt has keys."""
    migration_tls: bool = False
    """MIGRATION_TLS: whether QEMU encrypts what it sends to another host (libvirt's `migrate_tls_x509_cert_dir`)."""
    seed_dir: Path = Path("/var/lib/cloudstack/seeds")
    """SEED_DIR: folder of the NoCloud disks, the same path for libvirtd."""
    console_dir: Path = Path("/var/log/cloudstack")
    """CONSOLE_DIR: folder of the console logs, the same path for libvirtd."""
    run_dir: Path = Path("/run/cloudstack")
    """RUN_DIR: a folder of the host that is empty after each of its boots."""
    stop_deadline: float = 30.0
    """STOP_DEADLINE: seconds that a guest gets to end before its power is cut."""
    reserved_memory: Quantity = field(default_factory=lambda: Quantity(1024**3))
    """HOST_RESERVED_MEMORY: what guests do not get, as CloudStack's `host.reserved.mem.mb`."""
    simulated_cpus: int = 32
    """SIMULATED_CPUS."""
    simulated_memory: Quantity = field(default_factory=lambda: Quantity(128 * 1024**3))
    """SIMULATED_MEMORY."""
    seed: int = 0
    """SIMULATED_SEED: the faults of a simulated host follow from it."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Read the environment. Raises ValueError that names the variable."""
        default = cls(node=env.get("NODE_NAME", ""))
        return cls(
            node=default.node,
            driver=_one_of(env, "HYPERVISOR_DRIVER", DRIVERS),
            accelerator=_one_of(env, "HYPERVISOR_ACCELERATION", ACCELERATORS),
            libvirt_uri=env.get("LIBVIRT_URI") or default.libvirt_uri,
            address=env.get("NODE_IP", ""),
            migration_uri=env.get("MIGRATION_URI") or default.migration_uri,
            migration_tls=env.get("MIGRATION_TLS", "").lower() == "true",
            seed_dir=Path(env.get("SEED_DIR") or default.seed_dir),
            console_dir=Path(env.get("CONSOLE_DIR") or default.console_dir),
            run_dir=Path(env.get("RUN_DIR") or default.run_dir),
            stop_deadline=float(env.get("STOP_DEADLINE") or default.stop_deadline),
            reserved_memory=Quantity.parse(env.get("HOST_RESERVED_MEMORY") or default.reserved_memory),
            simulated_cpus=int(env.get("SIMULATED_CPUS") or default.simulated_cpus),
            simulated_memory=Quantity.parse(env.get("SIMULATED_MEMORY") or default.simulated_memory),
            seed=int(env.get("SIMULATED_SEED") or default.seed),
        )


def _one_of(env: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    value = env.get(name) or values[0]
    if value not in values:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(values)}")
    return value
