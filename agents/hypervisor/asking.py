"""Questions to libvirt about what guests do and say; each in a thread, on one connection."""

from __future__ import annotations

from typing import Any

import libvirt

from agents.hypervisor.guestinfo import Sample, guest_info
from operators.contract.compute import GuestInfo

PATIENCE = 5
"""Seconds that a guest's agent gets to answer."""
_WANTED = (
    libvirt.VIR_DOMAIN_GUEST_INFO_OS,
    libvirt.VIR_DOMAIN_GUEST_INFO_HOSTNAME,
    libvirt.VIR_DOMAIN_GUEST_INFO_INTERFACES,
    libvirt.VIR_DOMAIN_GUEST_INFO_FILESYSTEM,
)
_NO_AGENT = (  # a command that fails within the guest is VIR_ERR_INTERNAL_ERROR, and is raised
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
    libvirt.VIR_ERR_AGENT_UNSYNCED,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_NO_DOMAIN,
)
_STATS = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
KIB = 1024


def set_password(connection: Any, uuid: str, user: str, text: str) -> None:
    """Have a guest's agent set a password; libvirt logs none."""
    found = connection.lookupByUUIDString(uuid)
    found.agentSetResponseTimeout(PATIENCE)
    found.setUserPassword(user, text)


def guest(connection: Any, uuid: str) -> GuestInfo | None:
    """What a guest's agent says. Flags 0: what one agent does not know is left out."""
    try:
        found = connection.lookupByUUIDString(uuid)
        found.agentSetResponseTimeout(PATIENCE)
        told: dict[str, Any] = {}
        for each in _WANTED:
            told |= found.guestInfo(each, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NO_AGENT:
            return None
        raise
    return guest_info(told)


def samples(connection: Any, at: float) -> dict[str, Sample]:
    """The counters of every running guest."""
    running = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING
    return {found.UUIDString(): _sample(stats, at) for found, stats in connection.getAllDomainStats(_STATS, running)}


def _sample(stats: dict[str, Any], at: float) -> Sample:
    memory = stats.get("balloon.current", 0) * KIB
    unused = stats.get("balloon.usable", stats.get("balloon.unused"))
    return Sample(
        at=at,
        cpu_seconds=stats.get("cpu.time", 0) / 1e9,
        cpus=stats.get("vcpu.current", 1),
        memory=memory,
        memory_used=max(0, memory - unused * KIB) if unused is not None else stats.get("balloon.rss", 0) * KIB,
        disks=tuple(
            (
                str(stats.get(f"block.{number}.name", number)),
                stats.get(f"block.{number}.rd.bytes", 0),
                stats.get(f"block.{number}.rd.reqs", 0),
                stats.get(f"block.{number}.wr.bytes", 0),
                stats.get(f"block.{number}.wr.reqs", 0),
            )
            for number in range(stats.get("block.count", 0))
        ),
        nics=tuple(
            # The tap receives what the guest sends.
            (
                f"eth{number}",
                stats.get(f"net.{number}.tx.bytes", 0),
                stats.get(f"net.{number}.tx.pkts", 0),
                stats.get(f"net.{number}.rx.bytes", 0),
                stats.get(f"net.{number}.rx.pkts", 0),
            )
            for number in range(stats.get("net.count", 0))
        ),
    )
