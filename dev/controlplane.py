"""The control plane: etcd, API server, controller manager and scheduler, as processes of the root namespace."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable

from dev.console import DevError, say, wait_for
from dev.layout import API_PORT, PODS, SERVICES, Layout
from dev.paths import write
from dev.process import Daemon

ETCD_CLIENT = 23790
ETCD_PEER = 23800

# Only writes, and not those of Kubernetes itself: what is left are users, our components and our agents.
# Leases are among them. Groups cannot be matched by a pattern, hence no rule that names ours.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
        {
            "level": "None",
            "users": [
                f"system:{name}" for name in ("apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
            ],
        },
        {"level": "None", "resources": [{"group": "authentication.k8s.io"}, {"group": "authorization.k8s.io"}]},
        {"level": "Metadata"},
    ],
}

ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def etcd_arguments(layout: Layout) -> list[str]:
    """Return etcd's arguments; its data need not survive a crash of the machine."""
    client, peer = f"http://127.0.0.1:{ETCD_CLIENT}", f"http://127.0.0.1:{ETCD_PEER}"
    return [
        "--name=e0",
        f"--data-dir={layout.state}/etcd",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=e0={peer}",
    ]


def apiserver_arguments(layout: Layout) -> list[str]:
    """Return the API server's arguments. It listens on the nodes' network only, never on the machine's uplink."""
    pki = layout.pki.folder
    return [
        f"--etcd-servers=http://127.0.0.1:{ETCD_CLIENT}",
        f"--bind-address={layout.lan.gateway}",
        f"--advertise-address={layout.lan.gateway}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        # Nodes' names are in no DNS; without this `kubectl logs` and `exec` fail.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        # The root namespace has no kube-proxy: webhooks are reached at their pods' addresses.
        "--enable-aggregator-routing=true",
        f"--audit-policy-file={layout.state}/audit/policy.json",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-maxsize=200",
        "--audit-log-maxbackup=2",
        "--profiling=false",
    ]


def controller_manager_arguments(layout: Layout) -> list[str]:
    """Return the controller manager's arguments. The nodes' pod ranges are fixed, so it hands none out."""
    pki = layout.pki.folder
    config = f"{pki}/controller-manager.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/sa.key",
        "--use-service-account-credentials=true",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--allocate-node-cidrs=false",
        f"--cluster-cidr={PODS}",
        f"--service-cluster-ip-range={SERVICES}",
        "--leader-elect=false",
    ]


def scheduler_arguments(layout: Layout) -> list[str]:
    """Return the scheduler's arguments."""
    config = f"{layout.pki.folder}/scheduler.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]


_ARGUMENTS: dict[str, Callable[[Layout], list[str]]] = {
    "etcd": etcd_arguments,
    "kube-apiserver": apiserver_arguments,
    "kube-controller-manager": controller_manager_arguments,
    "kube-scheduler": scheduler_arguments,
}


def daemons(layout: Layout) -> dict[str, Daemon]:
    """Return the control plane's daemons by name, in the order in which they start."""
    return {name: Daemon(name, layout.state / "run" / f"{name}.pid") for name in ORDER}


def up(layout: Layout) -> None:
    """Start what does not run, and wait until the API server serves and the controllers are healthy."""
    write(layout.state / "audit" / "policy.json", json.dumps(AUDIT_POLICY, indent=1))
    for name in ("etcd", "kube-apiserver"):
        _start(layout, name)
    hint = f"see {layout.log}/kube-apiserver.log"
    wait_for("the API server", lambda: _healthy(layout, f"{layout.server}/readyz"), timeout=90, hint=hint)
    for name in ("kube-controller-manager", "kube-scheduler"):
        _start(layout, name)
    say("API server ready")


def wait_controllers(layout: Layout) -> None:
    """Wait until controller manager and scheduler say that they are healthy."""
    for name, port in (("kube-controller-manager", 10257), ("kube-scheduler", 10259)):
        url, hint = f"https://127.0.0.1:{port}/healthz", f"see {layout.log}/{name}.log"
        wait_for(name, lambda url=url: _healthy(layout, url, trust=False), timeout=60, hint=hint)  # type: ignore[misc]


def down(layout: Layout) -> None:
    """Stop everything, the last started first: the API server's own end hangs when etcd goes before it."""
    for daemon in reversed(daemons(layout).values()):
        daemon.stop()


PORTS = {
    "etcd": ("127.0.0.1", ETCD_CLIENT),
    "kube-apiserver": ("0.0.0.0", API_PORT),
    "kube-controller-manager": ("127.0.0.1", 10257),
    "kube-scheduler": ("127.0.0.1", 10259),
}


def _start(layout: Layout, name: str) -> None:
    daemon = daemons(layout)[name]
    if daemon.pid is not None:
        return
    address, port = PORTS[name]
    if name == "kube-apiserver":
        address = layout.lan.gateway
    if port_taken(address, port):
        raise DevError(f"{address}:{port} is taken, {name} needs it: `ss -ltnp 'sport = :{port}'` says by whom")
    daemon.start([layout.bin / name, *_ARGUMENTS[name](layout)], layout.log / f"{name}.log")


def port_taken(address: str, port: int) -> bool:
    """Say whether somebody listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False


def _healthy(layout: Layout, url: str, *, trust: bool = True) -> bool:
    """Ask a health endpoint; the controllers' own certificates are made up at start, so they are not checked."""
    context = ssl.create_default_context(cafile=str(layout.pki.path("ca.crt")))
    if not trust:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def api_answers(layout: Layout) -> bool:
    """Say whether the API server is ready to serve."""
    return layout.pki.path("ca.crt").exists() and _healthy(layout, f"{layout.server}/readyz")
