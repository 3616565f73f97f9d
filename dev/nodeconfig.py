"""What a Kubernetes node's daemons are told: the texts of their configuration files."""

from __future__ import annotations

import json

from dev import cgroups
from dev.layout import DNS_ADDRESS, MOST_NODES, PAUSE_IMAGE, PODS, Layout, node_name, pod_range

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

# Version 2 is what Debian's containerd 1.6 reads. restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing,
# a container that asks for a lower score than containerd's own could not be started.
CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
"""


def containerd(runc: str) -> str:
    """Render containerd's configuration."""
    return CONTAINERD.format(socket=CONTAINERD_SOCKET, pause=PAUSE_IMAGE, runc=runc)


def kubelet(layout: Layout, node: str) -> str:
    """Render kubelet's configuration; every node has a cgroup root of its own, because they share one tree."""
    pki = layout.pki.folder
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.path(node),
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet-{node}.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet-{node}.key",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
        # Images come by `image load` only; once collected, nothing could bring one back.
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "5s",
        "serializeImagePulls": False,
        # Tests kill containers again and again; nobody should wait five minutes for the next start because of that.
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
    }
    return json.dumps(config, indent=1)


def kube_proxy(layout: Layout) -> str:
    """Render kube-proxy's configuration. Conntrack's limits belong to the machine, a namespace cannot set them."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": PODS,
        "clientConnection": {"kubeconfig": str(layout.pki.path("kube-proxy.kubeconfig"))},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        # Services react to a change at once (the default gathers changes for a second).
        "nftables": {"minSyncPeriod": "100ms"},
    }
    return json.dumps(config, indent=1)


def cni(index: int) -> str:
    """Render the pod network of a node: a bridge, addresses out of the node's fixed range."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": pod_range(index)}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "1.0.0", "name": "pod", "plugins": plugins}, indent=1)


def hosts(layout: Layout) -> str:
    """Render `/etc/hosts` with every node there could be: libvirt asks for names when guests migrate."""
    nodes = [f"{layout.lan.address(index)} {node_name(index)}" for index in range(1, MOST_NODES + 1)]
    return "\n".join(["127.0.0.1 localhost", *nodes]) + "\n"


def pod_routes(layout: Layout, index: int = 0) -> list[tuple[str, str]]:
    """Return (pod range, gateway) for every other node there could be, so that a new node changes nothing on others.

    Index 0 stands for the root namespace, which has the API server: it calls webhooks in pods.
    """
    return [(pod_range(other), layout.lan.address(other)) for other in range(1, MOST_NODES + 1) if other != index]
