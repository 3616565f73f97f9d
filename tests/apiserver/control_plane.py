"""An etcd and a kube-apiserver of a test run's own, on the loopback: real, empty, and gone afterwards.

No controllers and no nodes run beside them, so what a test creates stays as it is; a Node, a Pod or a
service account is just an object. The programs are the local cluster's (`dev/build.py` builds them once).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from dev.build import ETCD, KUBERNETES, programs
from dev.pki import Authority, Identity

HOST = "127.0.0.1"
SERVICES = "10.97.0.0/16"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on and nobody else is told: not the kernel's choice, which other workers and connections get too."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            found.append(port)
    return found


def _ports() -> Iterator[int]:
    """The ports of this worker of pytest, round and round from a random one; below those that the kernel gives away."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    first, count = 16_000 + 2_000 * worker, 2_000
    begin = random.randrange(count)
    return (first + (begin + number) % count for number in itertools.count())


_PORTS = _ports()


class ControlPlane:
    """The two processes and the administrator's kubeconfig. Data and address survive `stop` and `start` of either."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pki = Authority(folder / "pki")
        self.etcd_port, self.peer_port, self.api_port = free_ports(3)
        self.server = f"https://{HOST}:{self.api_port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.pki.path("admin.kubeconfig")

    @property
    def kubectl(self) -> Path:
        """The kubectl of the same version as the API server."""
        return programs(KUBERNETES) / "kubectl"

    def up(self) -> None:
        """Make keys and start both, until the API server is ready to serve."""
        self.pki.ensure()
        names = ("DNS:localhost", f"IP:{HOST}")
        for identity in (
            Identity("apiserver", "/CN=kube-apiserver", "serverAuth", names),
            Identity("admin", "/O=system:masters/CN=admin"),
        ):
            self.pki.issue(identity)
        self.pki.kubeconfig("admin", self.server)
        self.start_etcd()
        self.start_apiserver()

    def start_etcd(self) -> None:
        """Start etcd; the API server waits for it."""
        client, peer = f"http://{HOST}:{self.etcd_port}", f"http://{HOST}:{self.peer_port}"
        self._start(
            "etcd",
            [
                str(programs(ETCD) / "etcd"),
                "--name=test",
                f"--data-dir={self.folder}/etcd",
                "--unsafe-no-fsync",
                "--log-level=warn",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=test={peer}",
            ],
        )

    def start_apiserver(self, timeout: float = 60) -> None:
        """Start the API server and wait until it is ready."""
        pki = self.pki.folder
        self._start(
            "kube-apiserver",
            [
                str(programs(KUBERNETES) / "kube-apiserver"),
                f"--etcd-servers=http://{HOST}:{self.etcd_port}",
                f"--bind-address={HOST}",
                f"--secure-port={self.api_port}",
                f"--service-cluster-ip-range={SERVICES}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--disable-admission-plugins=ServiceAccount",  # it waits for a controller that is not here
                f"--client-ca-file={pki}/ca.crt",
                f"--tls-cert-file={pki}/apiserver.crt",
                f"--tls-private-key-file={pki}/apiserver.key",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                f"--service-account-key-file={pki}/sa.pub",
                f"--service-account-signing-key-file={pki}/sa.key",
                "--profiling=false",
            ],
        )
        deadline = time.monotonic() + timeout
        while not self.ready():
            process = self._processes["kube-apiserver"]
            if process.poll() is not None or time.monotonic() > deadline:
                log = (self.folder / "kube-apiserver.log").read_text(errors="replace")
                raise RuntimeError(f"the API server does not get ready:\n{log[-3000:]}")
            time.sleep(0.1)

    def start_controllers(self, *controllers: str) -> None:
        """Start some of kube-controller-manager's controllers, which most tests are better off without."""
        self._start(
            "kube-controller-manager",
            [
                str(programs(KUBERNETES) / "kube-controller-manager"),
                f"--kubeconfig={self.kubeconfig}",
                f"--controllers={','.join(controllers)}",
                "--leader-elect=false",
                "--secure-port=0",
            ],
        )

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        context = ssl.create_default_context(cafile=str(self.pki.path("ca.crt")))
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(f"{self.server}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End one of the processes."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def down(self) -> None:
        """End all, the API server before etcd: its own end hangs when etcd goes before it."""
        self.stop("kube-controller-manager")
        self.stop("kube-apiserver")
        self.stop("etcd")

    def _start(self, name: str, argv: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env={**os.environ, "GOMAXPROCS": "2"}
            )
