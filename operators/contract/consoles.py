"""Consoles: who may see and type at a virtual machine's serial port or screen, and the way there for one of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from operators.contract import names
from operators.contract.meta import Condition, Kind, ObjectRef

PROTOCOL = "console.cloudstack.dev"
"""The WebSocket protocol that a client asks for; bytes go both ways in binary messages."""
TOKEN_PROTOCOL = f"token.{PROTOCOL}."
"""A second protocol that it asks for begins so and ends in the token: never in the URL, which proxies log."""
NONCE_HEADER = "X-Console-Nonce"
"""By which the agent of a host proves to a replica of Console that it is that."""


class ConsoleType(StrEnum):
    """What of a guest is shown."""

    SERIAL = "Serial"
    VNC = "VNC"


@dataclass(frozen=True, slots=True)
class ConsoleSpec:
    """A wish to open one console once. Immutable."""

    virtual_machine: str
    """In the same namespace."""
    token_sha256: str
    """Of the token, in hexadecimal; the token itself never reaches the API server."""
    type: ConsoleType = ConsoleType.SERIAL


@dataclass(frozen=True, slots=True)
class ConsoleStatus:
    """Written by Console, once: when the token was used."""

    observed_generation: int = 0
    claimed_at: str = ""
    claimed_by: str = ""
    """The replica that the client is connected to."""
    conditions: tuple[Condition, ...] = ()
    """`Ready`."""


@dataclass(frozen=True, slots=True)
class ConsoleChannelSpec:
    """Where the hypervisor agent of `host_name` shall bring one console to. Written by Console. Immutable."""

    host_name: str
    console: ObjectRef
    virtual_machine: ObjectRef
    type: ConsoleType
    address: str
    """`ip:port` of the replica that has the client."""
    certificate_sha256: str
    """Of the one certificate that it has there (DER), in hexadecimal."""


@dataclass(frozen=True, slots=True)
class ConsoleChannelStatus:
    """Written by the hypervisor agent of `spec.hostName`."""

    observed_generation: int = 0
    nonce_sha256: str = ""
    """Of what the agent will say to the replica, by which that knows it is this host's agent and no other's."""
    conditions: tuple[Condition, ...] = ()
    """`Connected`."""


CONSOLE = Kind(names.COMPUTE, "Console", "consoles", ConsoleSpec, ConsoleStatus)
CONSOLE_CHANNEL = Kind(
    names.COMPUTE, "ConsoleChannel", "consolechannels", ConsoleChannelSpec, ConsoleChannelStatus, host_side=True
)

KINDS: tuple[Kind[object, object], ...] = (CONSOLE, CONSOLE_CHANNEL)
