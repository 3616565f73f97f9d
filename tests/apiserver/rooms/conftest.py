"""Rooms as real processes on the test run's API server, each with its own account and no more rights than the chart gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import requests
import yaml

from tests.apiserver.client import Client
from tests.apiserver.control_plane import HOST, ControlPlane, free_ports
from tests.apiserver.kernel.processes import REPO, until
from tests.apiserver.policies.conftest import SECRETS, SYSTEM, rendered


class Room:
    """One component's process."""

    def __init__(self, name: str, kubeconfig: Path, log: Path, env: dict[str, str]) -> None:
        self.name = name
        self.log = log
        self.port = free_ports(1)[0]
        settings = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPO),
            "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": SYSTEM,
            "POD_NAME": f"{name}-0",
            "HEALTH_PORT": str(self.port),
        }
        with log.open("ab") as out:
            argv = [sys.executable, "-m", "operators.launch", "run", name]
            self.child = subprocess.Popen(argv, env=settings | env, stdout=out, stderr=out, cwd="/")

    def page(self, path: str) -> requests.Response:
        session = requests.Session()
        session.trust_env = False
        return session.get(f"http://{HOST}:{self.port}/{path}", timeout=2)

    @property
    def leading(self) -> bool:
        try:
            return f'cloudstack_leading{{component="{self.name}"}} 1.0' in self.page("metrics").text
        except requests.ConnectionError:
            assert self.child.poll() is None, self.log.read_text()[-3000:]
            return False

    def writes(self) -> dict[str, int]:
        """Its writes so far that the API server took, as `kind verb`, its own Lease aside."""
        found = {}
        for line in self.page("metrics").text.splitlines():
            if line.startswith("cloudstack_api_writes_total{"):
                labels, _, count = line.partition("{")[2].rpartition("} ")
                said = dict(part.split("=") for part in labels.replace('"', "").split(","))
                if said["code"].startswith("2") and said["kind"] != "Lease":
                    found[f"{said['kind']} {said['verb']}"] = int(float(count))
        return found

    def forbidden(self) -> list[str]:
        """What it wanted and has no right to, from its log."""
        return [line for line in self.log.read_text().splitlines() if "forbidden" in line.lower()]

    def end(self) -> None:
        """Ask it to end, so that it lets go of its Lease, and the next need not wait until that has run out."""
        self.child.terminate()
        try:
            self.child.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it without a word."""
        self.child.kill()
        self.child.wait(10)


Start: TypeAlias = Callable[..., Room]


@pytest.fixture(scope="session")
def rights(control_plane: ControlPlane, admin: Client) -> None:
    """The chart's accounts, roles and policies. Applied, since others of this session may have them in force already."""
    admin.namespaces(SYSTEM, SECRETS, "rooms")
    kubectl = [str(control_plane.kubectl), f"--kubeconfig={control_plane.kubeconfig}", "apply", "--server-side"]
    text = yaml.safe_dump_all(rendered())
    subprocess.run([*kubectl, "-f", "-"], input=text, text=True, check=True, capture_output=True)


@pytest.fixture
def start(control_plane: ControlPlane, admin: Client, rights: None, tmp_path: Path) -> Iterator[Start]:
    """Start rooms; they are ended with the test."""
    rooms: list[Room] = []

    def one(name: str, **env: str) -> Room:
        config = tmp_path / f"{name}.kubeconfig"
        config.write_text(json.dumps(as_account(control_plane.kubeconfig, admin, f"cloudstack-{name}")))
        room = Room(name, config, tmp_path / f"{name}-{len(rooms)}.log", env)
        rooms.append(room)
        until(lambda: room.leading, 120, f"{name} leads")
        return room

    yield one
    for room in rooms:
        room.end()
    assert [line for room in rooms for line in room.forbidden()] == []


def as_account(kubeconfig: Path, admin: Client, account: str) -> dict[str, Any]:
    """The same API server, by the token of a service account."""
    where = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{account}/token"
    token = admin.ask("POST", where, {"spec": {"audiences": []}})["status"]["token"]
    config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    return config
