"""Console as a process, with its rights and no more; its clients through a real API server's roles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.consoles import CONSOLE, CONSOLE_CHANNEL, PROTOCOL, TOKEN_PROTOCOL
from operators.contract.meta import Key
from tests.apiserver.client import Client
from tests.apiserver.control_plane import HOST, ControlPlane, free_ports
from tests.apiserver.kernel.processes import until
from tests.apiserver.rooms.conftest import Room, as_account

NS = "rooms"
SHA = hashlib.sha256(b"token").hexdigest()


@pytest.fixture
def url(control_plane: ControlPlane, admin: Client, rights: None, tmp_path: Path) -> Iterator[str]:
    """Where Console's clients go."""
    config = tmp_path / "console.kubeconfig"
    config.write_text(json.dumps(as_account(control_plane.kubeconfig, admin, "cloudstack-console")))
    port, channels = free_ports(2)
    env = {"CONSOLE_PORT": str(port), "CHANNEL_PORT": str(channels), "POD_IP": "127.0.0.1"}
    room = Room("console", config, tmp_path / "console.log", env)
    until(lambda: _ready(room), 30, "Console is ready")
    yield f"http://{HOST}:{port}/consoles/{NS}"
    room.end()
    assert room.forbidden() == []


def _ready(room: Room) -> bool:
    try:
        return room.page("readyz").ok
    except requests.ConnectionError:
        assert room.child.poll() is None, room.log.read_text()[-3000:]
        return False


def _open(url: str, name: str, token: str) -> requests.Response:
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Protocol": f"{PROTOCOL}, {TOKEN_PROTOCOL}{token}",
    }
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{url}/{name}", headers=headers, timeout=60)


def test_a_token_claims_its_console_and_calls_the_host(url: str, admin: Client) -> None:
    spec = {"virtualMachine": "shown", "tokenSha256": SHA}
    admin.create(CONSOLE.body(Key(NS, "first"), spec=spec))
    assert _open(url, "first", "wrong").status_code == 403
    assert _open(url, "first", "token").status_code == 404
    admin.create(VIRTUAL_MACHINE.body(Key(NS, "shown"), spec={"offering": "tiny", "image": "tiny"}))
    assert _open(url, "first", "token").status_code == 409, "it has no host yet"
    admin.patch(VIRTUAL_MACHINE, "shown", {"status": {"hostName": "node1"}}, "status", namespace=NS)

    with ThreadPoolExecutor(1) as pool:
        client = pool.submit(_open, url, "first", "token")
        until(lambda: admin.get(CONSOLE_CHANNEL, namespace=NS)["items"], 10, "the host is called")
        (channel,) = admin.get(CONSOLE_CHANNEL, namespace=NS)["items"]
        claimed = admin.get(CONSOLE, "first", namespace=NS)["status"]
        said = {"type": "Connected", "status": "False", "reason": "Stopped", "message": "the guest is off"}
        report = {"status": {"nonceSha256": SHA, "conditions": [said]}}
        admin.patch(CONSOLE_CHANNEL, channel["metadata"]["name"], report, "status", namespace=NS)
        answer = client.result(30)
    assert (answer.status_code, answer.text) == (409, "the guest is off\n")
    assert claimed["claimedBy"] == "console-0"
    assert channel["spec"]["hostName"] == "node1"
    assert channel["metadata"]["ownerReferences"][0]["name"] == "first"
    until(lambda: not admin.get(CONSOLE, namespace=NS)["items"], 10, "the Console is gone")
    until(lambda: not admin.get(CONSOLE_CHANNEL, namespace=NS)["items"], 10, "and its channel")
