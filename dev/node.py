"""A Kubernetes worker: a host that runs containerd, kubelet and kube-proxy beside its libvirtd."""

from __future__ import annotations

import shutil
from pathlib import Path

from dev import cgroups, nodeconfig
from dev.console import DevError, run, wait_for
from dev.host import LIBVIRTD, Host, Service
from dev.layout import DNS_ADDRESS, MOST_NODES, Layout, node_name
from dev.packages import program
from dev.paths import write
from dev.pki import node_identity

FOLDERS = {
    "kubernetes/kubelet": "/var/lib/kubelet",
    "kubernetes/containerd": "/var/lib/containerd",
    "kubernetes/cni": "/etc/cni",
    "kubernetes/cni-lib": "/var/lib/cni",
    "kubernetes/opt-cni": "/opt/cni",
    "kubernetes/etc-containerd": "/etc/containerd",
    "kubernetes/pods": "/var/log/pods",
    "kubernetes/containers": "/var/log/containers",
    "kubernetes/log": "/var/log/kubernetes",
}


class Node(Host):
    """A host that is a worker of the cluster."""

    def __init__(self, layout: Layout, index: int) -> None:
        if not 1 <= index <= MOST_NODES:
            raise DevError(f"there is no node {index}: nodes are numbered 1 to {MOST_NODES}")
        self.layout = layout
        name = node_name(index)
        super().__init__(
            name,
            index,
            layout.hosts,
            lan=layout.lan,
            services=(LIBVIRTD, *_services(layout, name, layout.lan.address(index))),
            folders=FOLDERS,
            files={"/etc/resolv.conf": f"nameserver {DNS_ADDRESS}\n", "/etc/hosts": nodeconfig.hosts(layout)},
            routes=nodeconfig.pod_routes(layout, index),
        )

    @property
    def containerd(self) -> Path:
        """Return containerd's socket as the root namespace sees it."""
        return self.outside_path(nodeconfig.CONTAINERD_SOCKET)

    def boot(self) -> None:
        """Write the daemons' configuration, then power the node on."""
        pki = self.layout.pki
        pki.issue(node_identity(self.name, self.address))
        pki.kubeconfig(f"kubelet-{self.name}", self.layout.server)
        own = self.root / "kubernetes"
        write(own / "etc-containerd/config.toml", nodeconfig.containerd(str(program("runc"))))
        write(own / "kubelet.json", nodeconfig.kubelet(self.layout, self.name))
        write(own / "kube-proxy.json", nodeconfig.kube_proxy(self.layout))
        write(own / "cni/net.d/10-bridge.conflist", nodeconfig.cni(self.index))
        (own / "opt-cni/bin").mkdir(parents=True, exist_ok=True)
        for plugin in (self.layout.bin / "cni").iterdir():
            if not (own / "opt-cni/bin" / plugin.name).exists():
                shutil.copy2(plugin, own / "opt-cni/bin" / plugin.name)
        super().boot()

    def _prepare(self) -> None:
        super()._prepare()
        # Pods' addresses of before the power failure are free again.
        shutil.rmtree(self.root / "kubernetes/cni-lib/networks", ignore_errors=True)
        cgroups.make(self.name)

    def wait_containerd(self) -> None:
        """Wait until containerd serves its content store."""
        hint = f"see {self.root}/kubernetes/log/containerd.log"
        wait_for(f"containerd of {self.name}", self._containerd_answers, timeout=60, hint=hint)

    def _containerd_answers(self) -> bool:
        ask: list[str | Path] = ["ctr", "-a", self.containerd, "version"]
        return self.containerd.exists() and run(ask, check=False, timeout=20).returncode == 0

    def kill(self) -> None:
        """Cut the power, and forget the groups that its pods were in."""
        super().kill()
        cgroups.remove(self.name)


def _services(layout: Layout, name: str, address: str) -> tuple[Service, ...]:
    own = layout.hosts / name / "kubernetes"
    log = "/var/log/kubernetes"
    return (
        Service(
            "containerd",
            (str(program("containerd")), "--config", "/etc/containerd/config.toml"),
            f"{log}/containerd.log",
        ),
        Service(
            "kubelet",
            (
                str(layout.bin / "kubelet"),
                f"--config={own}/kubelet.json",
                f"--kubeconfig={layout.pki.path(f'kubelet-{name}.kubeconfig')}",
                f"--hostname-override={name}",
                f"--node-ip={address}",
            ),
            f"{log}/kubelet.log",
        ),
        Service(
            "kube-proxy",
            (str(layout.bin / "kube-proxy"), f"--config={own}/kube-proxy.json", f"--hostname-override={name}"),
            f"{log}/kube-proxy.log",
        ),
    )


def known_nodes(layout: Layout) -> list[int]:
    """Return the numbers of the nodes that have a folder, whether they are on or off."""
    if not layout.hosts.is_dir():
        return []
    names = (path.name for path in layout.hosts.iterdir() if path.is_dir())
    return sorted(int(name[4:]) for name in names if name.startswith("node") and name[4:].isdigit())
