"""The cluster's keys and certificates, made with openssl's command line: one authority, everything signed by it."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from dev.console import run
from dev.paths import write

DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """One certificate: its file name, its subject, what it is for, and the names and addresses it answers to."""

    name: str
    subject: str
    usage: str = "clientAuth"
    names: tuple[str, ...] = ()


def identities(gateway: str, service_address: str) -> list[Identity]:
    """Return the identities of the control plane; `service_address` is the API server's inside the cluster."""
    service = "kubernetes.default.svc.cluster.local"
    dns = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", service, "localhost"]
    server = tuple([f"DNS:{name}" for name in dns] + [f"IP:{ip}" for ip in ("127.0.0.1", service_address, gateway)])
    return [
        Identity("apiserver", "/CN=kube-apiserver", "serverAuth", server),
        Identity("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
        Identity("front-proxy-client", "/CN=front-proxy-client"),
        Identity("admin", "/O=system:masters/CN=admin"),
        Identity("controller-manager", "/CN=system:kube-controller-manager"),
        Identity("scheduler", "/CN=system:kube-scheduler"),
        Identity("kube-proxy", "/CN=system:kube-proxy"),
    ]


def node_identity(name: str, address: str) -> Identity:
    """Return a kubelet's identity, by which the API server knows what that node may do."""
    subject = f"/O=system:nodes/CN=system:node:{name}"
    names = (f"DNS:{name}", f"IP:{address}", "IP:127.0.0.1")
    return Identity(f"kubelet-{name}", subject, "clientAuth,serverAuth", names)


class Authority:
    """The authority and all that it signed, in one folder that only root reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Return a file of the folder, such as `ca.crt` or `admin.kubeconfig`."""
        return self.folder / name

    def ensure(self) -> None:
        """Make the authority and the key that signs service account tokens, if they are not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if not self.path("ca.crt").exists():
            self._key("ca.key")
            run(
                [
                    "openssl",
                    "req",
                    "-x509",
                    "-new",
                    "-key",
                    self.path("ca.key"),
                    "-subj",
                    "/CN=cloudstack-dev",
                    "-days",
                    DAYS,
                    "-addext",
                    "keyUsage=critical,digitalSignature,keyCertSign,cRLSign",
                    "-out",
                    self.path("ca.crt"),
                ]
            )
        if not self.path("sa.pub").exists():
            run(["openssl", "genrsa", "-out", self.path("sa.key"), "2048"])
            run(["openssl", "rsa", "-in", self.path("sa.key"), "-pubout", "-out", self.path("sa.pub")])

    def issue(self, identity: Identity) -> None:
        """Make the identity's key and certificate, if they are not there."""
        certificate = self.path(f"{identity.name}.crt")
        if certificate.exists():
            return
        key, request = f"{identity.name}.key", self.path(f"{identity.name}.csr")
        self._key(key)
        run(["openssl", "req", "-new", "-key", self.path(key), "-subj", identity.subject, "-out", request])
        extensions = write(self.path(f"{identity.name}.ext"), extension_file(identity))
        # A random serial, because several certificates are signed at the same time.
        run(
            [
                "openssl",
                "x509",
                "-req",
                "-in",
                request,
                "-CA",
                self.path("ca.crt"),
                "-CAkey",
                self.path("ca.key"),
                "-set_serial",
                str(secrets.randbits(63)),
                "-days",
                DAYS,
                "-extfile",
                extensions,
                "-out",
                certificate,
            ]
        )
        request.unlink()
        extensions.unlink()

    def kubeconfig(self, user: str, server: str) -> Path:
        """Write the kubeconfig by which an issued identity reaches the API server, and return its path."""
        cluster = {"server": server, **self._data("certificate-authority", "ca.crt")}
        proof = {**self._data("client-certificate", f"{user}.crt"), **self._data("client-key", f"{user}.key")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cloudstack-dev", "cluster": cluster}],
            "users": [{"name": user, "user": proof}],
            "contexts": [{"name": "cloudstack-dev", "context": {"cluster": "cloudstack-dev", "user": user}}],
            "current-context": "cloudstack-dev",
        }
        # JSON is YAML, so this needs no library.
        return write(self.path(f"{user}.kubeconfig"), json.dumps(config, indent=1), mode=0o600)

    def _data(self, field: str, name: str) -> dict[str, str]:
        return {f"{field}-data": base64.b64encode(self.path(name).read_bytes()).decode()}

    def _key(self, name: str) -> None:
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(name)])


def extension_file(identity: Identity) -> str:
    """Render openssl's extension file for a certificate."""
    lines = ["keyUsage=critical,digitalSignature,keyEncipherment", f"extendedKeyUsage={identity.usage}"]
    if identity.names:
        lines.append("subjectAltName=" + ",".join(identity.names))
    return "\n".join(lines) + "\n"
