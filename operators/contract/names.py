"""Names that more than one component must spell alike: groups, finalizers, labels, object names.

Names of dependent objects are pure functions of their owners, so that creating one twice is creating it once.
"""

from __future__ import annotations

import hashlib

DOMAIN = "cloudstack.dev"
VERSION = "v1alpha1"
CATEGORY = "cloudstack"
"""What `kubectl get cloudstack` lists: everything a person states."""
CATEGORY_HOST = "cloudstack-host"
"""What `kubectl get cloudstack-host` lists: what operators make for the agents of hosts."""

COMPUTE = f"compute.{DOMAIN}"
STORAGE = f"storage.{DOMAIN}"
NETWORKING = f"networking.{DOMAIN}"
FABRIC = f"fabric.{DOMAIN}"
ORCHESTRATION = f"orchestration.{DOMAIN}"
IDENTITY = f"identity.{DOMAIN}"

LABEL_CD = f"{DOMAIN}/cd"
"""On a Volume that the API made to be in a CD drive."""
LABEL_VM_UID = f"{DOMAIN}/vm-uid"
"""On every object made for one VirtualMachine: its uid."""
LABEL_FLOW = f"{DOMAIN}/flow"
"""On every object made for one VirtualMachine: the Flow it was made in, so that logs and people can follow it."""
LABEL_GROUP = f"{DOMAIN}/instance-group"
"""On a VirtualMachine: the InstanceGroup of its namespace that it is in."""
LABEL_SCHEDULE = f"{DOMAIN}/snapshot-schedule"
"""On a VolumeSnapshot that a SnapshotSchedule took: the schedule's uid."""
LABEL_SCHEDULE_RULE = f"{DOMAIN}/snapshot-rule"
"""On the same: which of its rules, `hourly`, `daily` or `weekly`."""
ANNOTATION_SCHEDULED_FOR = f"{DOMAIN}/scheduled-for"
"""On the same: the moment that it is for."""
LABEL_COMPONENT = f"{DOMAIN}/component"
LABEL_NODE = f"{DOMAIN}/node"
"""On an agent's heartbeat Lease: the node it beats for."""

LABEL_ZONE = f"{DOMAIN}/zone"
"""On a Kubernetes node, read once when its Host is made: the Zone to put it into. So are the next two."""
LABEL_RACK = f"{DOMAIN}/rack"
LABEL_HOST_GROUP = f"{DOMAIN}/host-group"

ANNOTATION_DEPLOY_DEADLINE = f"{DOMAIN}/deploy-deadline"
"""On a new VirtualMachine: how long its deployment may take (`10m`); it waits for ever without."""
ANNOTATION_DEPLOY_ON_FAILURE = f"{DOMAIN}/deploy-on-failure"
"""On a new VirtualMachine: `Compensate` or `Stop`, the default; see Flow."""

ANNOTATION_NAME = f"{DOMAIN}/name"
"""The name that a caller of the CloudStack API gave, where it cannot be the object's: `My first network`."""
ANNOTATION_DISPLAY_NAME = f"{DOMAIN}/display-name"
"""What people read in place of the name, as a caller of the CloudStack API gave it."""

ANNOTATION_TAGS = f"{DOMAIN}/tags"
"""Tags in CloudStack's sense, as a JSON map of texts: labels may not hold what people write there."""
ANNOTATION_DETAILS = f"{DOMAIN}/details"
"""Details in CloudStack's sense, which programs keep beside an object; as tags are."""

API_SECRETS_ROLE = "cloudstack-api-guest-passwords"
"""ClusterRole that lets the API keep guests' passwords where it is bound to it."""
SECRETS_ROLE = "cloudstack-compute-secrets"
"""The ClusterRole that a tenant binds in a namespace of theirs, to have Compute read and make Secrets there."""
LABEL_TENANT = f"{DOMAIN}/tenant"
"""On a tenant's namespace and on what the Data service makes in it: the Account or Project."""
ANNOTATION_MADE = f"{DOMAIN}/made"
"""On a tenant's namespace that the Data service made, and so may delete: one that was there before stays."""
ANNOTATION_HASH = f"{DOMAIN}/hash"
"""What was written last, where what is written cannot be read back."""

AGENTS = ("hypervisor", "storage", "network")
"""The three agents of a host, as `heartbeat` names them."""
AGENT_PODS = "app.kubernetes.io/component=agent"
"""Selects the pods of the DaemonSet that runs them."""

SHARED_POOL = "shared"
"""The StoragePool that Fabric Admin makes for a folder which all hosts share."""

MAX_NAME = 63
"""Kept to a DNS label, so that any name can also be a label value or a host name."""


def api_version(group: str) -> str:
    """The `apiVersion` of a group's objects, for example `compute.cloudstack.dev/v1alpha1`."""
    return f"{group}/{VERSION}"


def finalizer(component: str) -> str:
    """The finalizer that `component` puts on the objects whose end it must see to."""
    return f"{DOMAIN}/{component}"


def digest(*parts: str, length: int = 8) -> str:
    """A short, stable, lower-case hexadecimal digest of some strings."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:length]


def joined(*parts: str) -> str:
    """Join parts by dashes into a valid object name; a long result keeps its start and ends in a digest."""
    name = "-".join(parts).lower().replace(".", "-").replace("/", "-")
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 9].rstrip('-')}-{digest(name)}"


def root_volume(vm: str, reinstall: int = 0) -> str:
    """The Volume that Orchestration makes from a VirtualMachine's image; anew for each `spec.reinstallRequest`."""
    return joined(vm, f"root{reinstall}" if reinstall else "root")


def port(vm: str, nic: str) -> str:
    """The Port of a VirtualMachine's NIC of that name, in which there is no dash, lest it be another one's."""
    return joined(vm, nic)


def instance(vm: str) -> str:
    """The Instance of a VirtualMachine, wherever it is placed, so that two who place it at once meet at one name."""
    return joined(vm, "i0")


def instance_moved(vm: str, migration: str) -> str:
    """The Instance at which a guest arrives with the Migration of that uid, and which is its only one from then on."""
    return joined(vm, digest(migration, length=5))


def disk(volume: str) -> str:
    """The first Disk of a Volume, wherever it is placed, so that an Instance can name it before that is decided."""
    return joined(volume, "d0")


def disk_on(volume: str, host: str) -> str:
    """The Disk by which another host than that of the Volume's own Disk reaches the Volume's file on a shared pool."""
    return joined(volume, "d0", digest(host, length=5))


def disk_snapshot(snapshot: str) -> str:
    """The DiskSnapshot of a VolumeSnapshot."""
    return snapshot


def snapshot_path(uid: str) -> str:
    """Where the file of the VolumeSnapshot of that uid is, beneath its pool's folder."""
    return f"snapshots/{uid}.qcow2"


def disk_of_snapshot(snapshot: str, uid: str, attempt: int, number: int) -> str:
    """The VolumeSnapshot of one disk of a VirtualMachineSnapshot; another attempt makes others."""
    return joined(snapshot, f"disk{number}", digest(uid, str(attempt), length=5))


def scheduled_snapshot(schedule: str, rule: str, moment: str) -> str:
    """The VolumeSnapshot that a SnapshotSchedule's rule takes at a moment, given as `20261121t020000z`."""
    return joined(schedule, rule, moment)


def source_image(volume: str) -> str:
    """The Image that Storage makes for a Volume whose source is a url."""
    return joined(volume, "source")


def source_snapshot(volume: str) -> str:
    """The VolumeSnapshot by which Storage copies another Volume that a guest runs on; it goes once that is done."""
    return joined(volume, "source")


def cd(vm: str, image_uid: str) -> str:
    """The Volume by which the API puts a CD into the drive of a VirtualMachine."""
    return joined(vm, "cd", digest(image_uid, length=5))


def disk_moved(volume: str, pool: str) -> str:
    """The Disk by which a Volume moves to another pool."""
    return joined(volume, "to", digest(pool, length=5))


def image_copy(image: str, pool: str) -> str:
    """The ImageCopy of an Image on one pool, in the Image's namespace."""
    return joined(image, digest(pool, length=5))


def port_binding(port_name: str, host: str) -> str:
    """The PortBinding of a Port on one host."""
    return joined(port_name, digest(host, length=5))


def host_network(network: str, host: str) -> str:
    """The HostNetwork of a Network on one host."""
    return joined(network, digest(host, length=5))


def router(network: str) -> str:
    """The Router of a Network; there is one at a time."""
    return joined(network, "router")


def flow(target: str, uid: str, operation: str, generation: int) -> str:
    """The Flow of one operation on one generation of one target, whoever starts it."""
    return joined(target, operation.lower(), digest(uid, length=6), str(generation))


def local_pool(host: str) -> str:
    """The StoragePool that Fabric Admin makes for a host's own directory."""
    return joined("local", host)


SIMULATED = "simulated-"
"""How the names of simulated hosts begin; no node may be called so."""


def simulated_host(number: int) -> str:
    """The simulated Host of a number, from 1 on."""
    return f"{SIMULATED}{number:03d}"


def user_secret(user: str) -> str:
    """The Secret of a User, in the namespace that holds those alone (environment `IDENTITY_NAMESPACE`)."""
    return joined("user", user)


def key_pair_secret(pair: str, uid: str) -> str:
    """The Secret with the private key of an SSHKeyPair that was made here."""
    return joined(pair, "ssh", digest(uid, length=6))


def password_secret(vm: str, uid: str, request: int) -> str:
    """The Secret with the password that was made for one request of a VirtualMachine."""
    return joined(vm, "password", digest(uid, length=6), str(request))


def console_channel(console: str, uid: str) -> str:
    """The ConsoleChannel of one very Console."""
    return joined(console, digest(uid, length=6))


def heartbeat(agent: str, node: str) -> str:
    """The coordination Lease that one agent on one node renews, in the system namespace."""
    return f"agent-{agent}-{node}"


# Names on the host. Linux limits an interface name to 15 bytes.


def bridge(segment: int) -> str:
    """The Linux bridge of a network segment."""
    return f"csbr{segment}"


def vxlan(segment: int) -> str:
    """The VXLAN device of a network segment."""
    return f"csvx{segment}"


def tap(port_uid: str) -> str:
    """The tap device of a Port, the same on every host."""
    return f"cst{digest(port_uid, length=10)}"


def router_netns(segment: int) -> str:
    """The network namespace of a segment's router."""
    return f"csr{segment}"


def domain(namespace: str, vm: str, uid: str) -> str:
    """The libvirt domain's name: readable for an operator, unique by the VirtualMachine's uid."""
    return joined(namespace, vm, uid[:8])
