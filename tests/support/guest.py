"""Guests as a test talks to them: commands through the guest agent, consoles, and what proves that they still live."""

from __future__ import annotations

import time

from dev.guest import Answer, Guest, agent_pod, in_agent
from tests.support.cluster import Cloud

__all__ = ["Answer", "Guest", "Pinging", "address", "agent_pod", "boot_id", "console", "guest", "in_agent"]


def guest(cloud: Cloud, name: str) -> Guest:
    """The guest of a VirtualMachine of the tenant."""
    return Guest(cloud.where, cloud.namespace, name)


def address(cloud: Cloud, name: str) -> str:
    """The first address of a VirtualMachine."""
    return str(cloud.need("VirtualMachine", name)["status"]["addresses"][0])


def boot_id(cloud: Cloud, name: str) -> str:
    """What stays the same for as long as the guest's kernel runs."""
    return guest(cloud, name).sh("cat /proc/sys/kernel/random/boot_id")


def console(cloud: Cloud, name: str) -> str:
    """What the guest printed on its serial console."""
    status = cloud.need("VirtualMachine", name)["status"]
    path = cloud.need("Instance", status["instance"])["status"]["consoleLog"]
    return in_agent(cloud.where, status["hostName"], "hypervisor", ["cat", path])


class Pinging:
    """One guest pings another in the background while a test does something to the cluster around them."""

    def __init__(self, cloud: Cloud, name: str, to: str) -> None:
        self._guest = guest(cloud, name)
        self._to = to
        self._started = 0.0

    def __enter__(self) -> Pinging:
        self._guest.sh(f"ping -i 0.2 {self._to} > /tmp/ping.log 2>&1 & echo $! > /tmp/ping.pid")
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._log = self._guest.sh("kill -INT $(cat /tmp/ping.pid); sleep 0.2; cat /tmp/ping.log")

    @property
    def lost(self) -> int:
        """How many pings had no answer."""
        return ping_loss(self._log)


def ping_loss(log: str) -> int:
    """Packets lost, as busybox's ping sums them up."""
    (line,) = [line for line in log.splitlines() if "packets transmitted" in line]
    sent, received = (int(part.split()[0]) for part in line.split(", ")[:2])
    return sent - received
