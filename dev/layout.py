"""What the one cluster of this machine looks like: its address ranges, its names, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dev.lan import Lan
from dev.paths import state_dir
from dev.pki import Authority

PAUSE_IMAGE = "localhost/pause:1"
COREDNS_IMAGE = "localhost/coredns:1"
PROJECT_IMAGE = "localhost/cloudstack:dev"
SERVICES = "10.96.0.0/16"
API_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
PODS = "10.244.0.0/16"
MOST_NODES = 20
API_PORT = 6443


@dataclass(frozen=True)
class Layout:
    """The cluster's fixed points. All of them follow from the state folder."""

    state: Path = field(default_factory=state_dir)
    lan: Lan = field(default_factory=Lan)

    @property
    def pki(self) -> Authority:
        """Return the authority that signs for this cluster."""
        return Authority(self.state / "pki")

    @property
    def server(self) -> str:
        """Return the API server's address as nodes and users of the root namespace see it."""
        return f"https://{self.lan.gateway}:{API_PORT}"

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.pki.path("admin.kubeconfig")

    @property
    def bin(self) -> Path:
        """Return the folder with kubectl, helm and etcd's and the cluster's own programs."""
        return self.state / "bin"

    @property
    def hosts(self) -> Path:
        """Return the folder of the nodes' folders."""
        return self.state / "hosts"

    @property
    def audit_log(self) -> Path:
        """Return the API server's audit log: one JSON object a line for each write that is not Kubernetes' own."""
        return self.state / "audit" / "audit.log"

    @property
    def log(self) -> Path:
        """Return the folder of the control plane's logs."""
        return self.state / "log"


def node_name(index: int) -> str:
    """Return the name of node number `index`."""
    return f"node{index}"


def node_index(text: str) -> int:
    """Read a node's name, or its number alone.

    Raises ValueError for anything else.
    """
    return int(text.removeprefix("node"))


def pod_range(index: int) -> str:
    """Return the addresses of the pods of node number `index`; fixed, so that nobody has to wait for them."""
    return f"10.244.{index}.0/24"
