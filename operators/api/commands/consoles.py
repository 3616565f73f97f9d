"""Consoles of virtual machines."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from operators.api import errors
from operators.api.call import Call
from operators.api.cloud import VM, name_of
from operators.api.declare import Answer, Single, command, uuid
from operators.api.responses.virtualmachine import state_of
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.consoles import CONSOLE, PROTOCOL, TOKEN_PROTOCOL, ConsoleSpec, ConsoleType
from operators.contract.meta import Key

PORTS = {"wss": 443, "ws": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateConsoleEndpoint:
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketResponse:
    """The parts of the way to a console."""

    WIRE_TYPE: ClassVar[str] = "consoleendpointwebsocketresponse"

    token: str
    host: str
    port: str
    path: str
    extra: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleEndpointResponse:
    """Where a console can be opened once."""

    success: bool
    details: str
    url: str = ""
    websocket: WebSocketResponse | None = None


@command(
    "createConsoleEndpoint",
    "Gives the way to the screen of a running virtual machine: a WebSocket that opens once, within a minute.",
    item=ConsoleEndpointResponse,
    key="consoleendpoint",
    refused="token",
)
async def create_console_endpoint(call: Call, args: CreateConsoleEndpoint) -> Answer:
    """The Console that `cloudstack vnc` would make. Its token is in this answer alone, and in no URL."""
    vm = args.virtualmachineid
    if not call.published.consoles:
        own = f"`cloudstack vnc {vm.meta.name} -n {vm.meta.namespace}` opens one"
        return Single(
            ConsoleEndpointResponse(success=False, details=f"Consoles are not published (CONSOLE_URL): {own}")
        )
    if (state := state_of(call, vm)) != "Running":
        raise errors.invalid(f"Virtual machine {name_of(vm)} is {state}: it has a console while it runs")
    token = secrets.token_urlsafe(32)
    key = Key(vm.meta.namespace, names.joined(vm.meta.name, secrets.token_hex(4)))
    spec = ConsoleSpec(vm.meta.name, hashlib.sha256(token.encode()).hexdigest(), ConsoleType.VNC)
    await call.store.create(CONSOLE, CONSOLE.body(key, spec=to_wire(spec)))
    url, path = urlsplit(call.published.consoles), f"/consoles/{key.namespace}/{key.name}"
    whole = f"{url.path.rstrip('/')}{path}"
    return Single(
        ConsoleEndpointResponse(
            success=True,
            details=f"Ask for the WebSocket protocols {PROTOCOL} (or binary) and {TOKEN_PROTOCOL}TOKEN",
            url=f"{url.scheme}://{url.netloc}{whole}",
            websocket=WebSocketResponse(
                token=token, host=url.hostname or "", port=str(url.port or PORTS.get(url.scheme, 0)), path=whole
            ),
        )
    )
