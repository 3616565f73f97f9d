"""Consoles of guests as their users open them: by the command line, through the API server, with tokens that work once."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from client.cluster import ClientError, Cluster
from client.link import opened
from operators.contract.consoles import ConsoleType
from tests.support.cluster import PATIENCE, Cloud, vm
from tests.support.guest import guest


@contextmanager
def cloudstack(cloud: Cloud, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`cloudstack` as its user runs it, with pipes in place of a terminal."""
    command = [sys.executable, "-m", "operators.launch", *words, "-n", cloud.namespace]
    env = os.environ | {"KUBECONFIG": str(cloud.where.kubeconfig)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.terminate()


def until_said(number: int, word: bytes) -> bytes:
    """What comes from a file number, up to and with a word."""
    said, deadline = b"", time.monotonic() + PATIENCE
    while word not in said:
        ready, _, _ = select.select([number], (), (), max(0.0, deadline - time.monotonic()))
        assert ready, f"{word!r} was not said, but {said[-2000:]!r}"
        data = os.read(number, 4096)
        assert data, f"it ended without {word!r}: {said[-2000:]!r}"
        said += data
    return said


def test_serial_port_screen_and_tokens(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell by the serial port, a picture by VNC; a token is good for one console, and nothing is left of either."""
    cloud.apply(vm("web", nics=[]))
    cloud.ready("vm/web")
    guest(cloud, "web").wait_booted()

    with cloudstack(cloud, "console", "web") as console:
        assert console.stdin and console.stdout and console.stderr
        until_said(console.stderr.fileno(), b"connected")
        console.stdin.write(b"\recho is-$((6 * 7))\r")
        console.stdin.flush()
        until_said(console.stdout.fileno(), b"is-42")
        console.stdin.write(b"\x1d")
        console.stdin.flush()
        assert console.wait(PATIENCE) == 0

    with cloudstack(cloud, "vnc", "web", "--proxy-only") as screen:
        assert screen.stderr
        told = until_said(screen.stderr.fileno(), b"\n")
        port = int(told.rpartition(b":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as viewer:
            assert viewer.recv(12, socket.MSG_WAITALL) == b"RFB 003.008\n"
        assert screen.wait(PATIENCE) == 0

    # The client reads KUBECONFIG once, when it is imported.
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(cloud.where.kubeconfig))
    with closing(Cluster(namespace=cloud.namespace)) as cluster:
        made = cluster.make("web", ConsoleType.SERIAL)
        with closing(opened(cluster, made)), pytest.raises(ClientError, match="it works once"):
            opened(cluster, made)
        cloud.gone("Console", made.key.name)
        with pytest.raises(ClientError, match="no such console"):
            opened(cluster, made)
    for kind in ("Console", "ConsoleChannel"):
        for left in cloud.list(kind):
            cloud.gone(kind, left["metadata"]["name"])
