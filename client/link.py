"""The WebSocket to a console."""

from __future__ import annotations

import contextlib
import json
import ssl
from typing import Any

import websocket

from client.cluster import ClientError, Cluster, Made, path_of
from operators.contract.consoles import PROTOCOL, TOKEN_PROTOCOL

TIMEOUT = 40.0
"""Seconds for the way to the guest's host and back; what is said of a failure there is worth waiting for."""
DATA = (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT)


class Link:
    """An open console. Everything happens in one thread: TLS has no room for two."""

    def __init__(self, ws: Any) -> None:
        self._ws = ws
        self._ws.settimeout(None)

    def fileno(self) -> int:
        """For select; see `pending`."""
        return int(self._ws.sock.fileno())

    def pending(self) -> bool:
        """Whether TLS holds bytes already that no select would tell of."""
        return isinstance(self._ws.sock, ssl.SSLSocket) and self._ws.sock.pending() > 0

    def receive(self) -> bytes | None:
        """What came; empty for a ping, None once it is closed."""
        try:
            code, data = self._ws.recv_data(control_frame=True)
        except (websocket.WebSocketException, OSError):
            return None
        if code == websocket.ABNF.OPCODE_CLOSE:
            return None
        return bytes(data) if code in DATA else b""

    def send(self, data: bytes) -> bool:
        """Send; whether it is still open."""
        try:
            self._ws.send_binary(data)
        except (websocket.WebSocketException, OSError):
            return False
        return True

    def close(self) -> None:
        """Close it, and so the console."""
        self._ws.close()
        self._ws.shutdown()  # it leaves the socket open where the other side closed first


def opened(cluster: Cluster, made: Made, url: str = "") -> Link:
    """Use a token: through the API server, or at a `url` where Console is published. Raises ClientError."""
    where = f"{url.rstrip('/')}{path_of(made)}" if url else cluster.proxied(made)
    header = [] if url else [f"Authorization: {word}" for word in [cluster.authorization()] if word]
    try:
        ws = websocket.create_connection(
            where,
            timeout=TIMEOUT,
            header=header,
            subprotocols=[PROTOCOL, TOKEN_PROTOCOL + made.token],
            sslopt={} if url else _tls(cluster.configuration),
            suppress_origin=True,
        )
    except websocket.WebSocketBadStatusException as error:
        raise ClientError(_said(error)) from error
    except (websocket.WebSocketException, OSError, ValueError) as error:
        raise ClientError(f"the console is not reached: {error}") from error
    return Link(ws)


def _tls(configuration: Any) -> dict[str, Any]:
    """As the kubeconfig has it."""
    options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE}
    if not configuration.verify_ssl:
        options["check_hostname"] = False
    for option, value in (
        ("ca_certs", configuration.ssl_ca_cert),
        ("certfile", configuration.cert_file),
        ("keyfile", configuration.key_file),
        ("server_hostname", configuration.tls_server_name),
    ):
        if value:
            options[option] = value
    return options


def _said(error: Any) -> str:
    """What Console or the API server before it said; without a word of theirs, the number."""
    body = (error.resp_body or b"").decode(errors="replace").strip()
    with contextlib.suppress(TypeError, ValueError, KeyError):
        body = str(json.loads(body)["message"])
    return body or f"the console is refused with status {error.status_code}"
