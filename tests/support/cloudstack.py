"""CloudStack's API on a cluster, as its own clients reach it: through the Service, with the keys that the chart made."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from cs import CloudStack, CloudStackApiException

from dev.target import SYSTEM, Target
from tests.support.cluster import PATIENCE

IDENTITY = "cloudstack-identity"
PASSWORD = "password-hash"


@contextmanager
def reached(where: Target, service: str = "cloudstack-api", port: int = 8080) -> Iterator[str]:
    """The address of a Service of ours from outside the cluster, by kubectl's own tunnel."""
    argv = [where.kubectl_program, f"--kubeconfig={where.kubeconfig}", "-n", SYSTEM, "port-forward"]
    with subprocess.Popen([*argv, f"service/{service}", f":{port}"], stdout=subprocess.PIPE, text=True) as tunnel:
        try:
            assert tunnel.stdout is not None
            said = tunnel.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert found, f"kubectl port-forward said {said!r}"
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            tunnel.kill()


def keys(where: Target, user: str = "admin") -> tuple[str, str]:
    """A user's API key and secret key, as the chart's notes say how to read them."""
    text = where.kubectl("-n", IDENTITY, "get", "secret", f"user-{user}", "-o", "json")
    data: dict[str, str] = json.loads(text)["data"]
    key = next(name for name in data if name != PASSWORD)
    return key, base64.b64decode(data[key]).decode()


@contextmanager
def client(url: str, key: str, secret: str) -> Iterator[CloudStack]:
    """PyPI's `cs`."""
    with requests.Session() as session:
        session.trust_env = False
        yield CloudStack(f"{url}/client/api", key, secret, poll_interval=0.2, session=session, timeout=60)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what kubectl saw to reach the API too: it sees by watching, a moment later than the API server."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "the API does not see it"
        pause.wait(0.1)


def seen(cs: CloudStack, state: str, **which: Any) -> dict[str, Any]:
    """The one virtual machine that is meant, once the API says that it is in that state."""
    until(lambda: found(cs.listVirtualMachines(**which), "virtualmachine")["state"] == state)
    return found(cs.listVirtualMachines(**which), "virtualmachine")


def unknown(cs: CloudStack, vm_id: str) -> bool:
    """Whether the API knows no such virtual machine."""
    try:
        cs.listVirtualMachines(id=vm_id)
    except CloudStackApiException:
        return True
    return False


def found(listed: dict[str, Any], key: str) -> dict[str, Any]:
    """The one entry of a list."""
    (one,) = listed[key]
    return dict(one)
