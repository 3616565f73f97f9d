"""One good object of every kind, which the tables bend into bad ones."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from operators.contract.kinds import ALL
from tests.apiserver.client import Json

CHECKSUM = "sha256:" + "0123456789abcdef" * 4
UID = "6f1d0b1a-5c3e-4a57-9d0c-0a1b2c3d4e5f"
REF = {"name": "web", "uid": UID}

SPECS: dict[str, Json] = {
    "VirtualMachine": {
        "offering": "tiny",
        "image": "tiny",
        "rootDiskSize": "2Gi",
        "volumes": ["ledger"],
        "nics": [{"network": "backplane", "ip": "10.1.1.5", "mac": "02:00:0a:01:01:05"}],
        "sshKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample somebody@example"],
        "userData": {"inline": "#!/bin/sh\necho hello\n"},
        "placement": {"zone": "default"},
        "affinityGroups": ["web"],
    },
    "ComputeOffering": {
        "cpus": 1,
        "memory": "128Mi",
        "hostTags": ["ssd"],
        "custom": {"minCpus": 1, "maxCpus": 4, "minMemory": "128Mi", "maxMemory": "4Gi"},
    },
    "AffinityGroup": {"type": "AntiAffinity", "policy": "Preferred"},
    "Webhook": {"url": "https://hooks.example.org/cloud", "secret": "hooks", "types": ["VM.*"]},
    "InstanceGroup": {"description": "the shop"},
    "PlacementPlan": {"offering": "tiny", "image": "tiny", "placement": {"zone": "default"}, "affinityGroups": ["web"]},
    "SSHKeyPair": {"publicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample somebody@example"},
    "UserData": {"data": "#!/bin/sh\n"},
    "Project": {"domain": "root", "members": [{"account": "team-a", "role": "Admin"}], "limits": {"cpus": 8}},
    "AccessRole": {"type": "User", "rules": [{"command": "list*", "permission": "Allow"}]},
    "Instance": {
        "hostName": "node1",
        "virtualMachine": REF,
        "domain": "team-a-web-6f1d0b1a",
        "cpus": 1,
        "memory": "128Mi",
        "cpuWeight": 100,
        "disks": [{"disk": "web-root-d0", "volume": "web-root", "serial": "6f1d0b1a5c3e4a579d0c"}],
        "nics": [{"port": "web-nic0", "portBinding": "web-nic0-1a2b3"}],
        "cloudInit": {"instanceId": UID, "hostname": "web", "userData": "#!/bin/sh\n"},
        "power": "Running",
    },
    "VirtualMachineSnapshot": {"virtualMachine": "web"},
    "Console": {"virtualMachine": "web", "tokenSha256": "0123456789abcdef" * 4, "type": "VNC"},
    "ConsoleChannel": {
        "hostName": "node1",
        "console": REF,
        "virtualMachine": REF,
        "type": "VNC",
        "address": "10.244.0.7:8443",
        "certificateSha256": "0123456789abcdef" * 4,
    },
    "Migration": {"virtualMachine": "web", "targetHost": "node2"},
    "Volume": {"size": "1Gi"},
    "DiskOffering": {"tags": ["ssd"]},
    "Image": {"url": "http://example.org/tiny.qcow2", "checksum": CHECKSUM},
    "ImageUpload": {"size": 1, "sha256": "0123456789abcdef" * 4, "tokenSha256": "fedcba9876543210" * 4},
    "Disk": {"hostName": "node1", "pool": "local-node1", "path": f"volumes/{UID}.qcow2", "volume": REF, "size": "1Gi"},
    "VolumeSnapshot": {"volume": "ledger"},
    "SnapshotSchedule": {"volume": "ledger", "daily": {"at": "02:30", "keep": 3}},
    "VolumeBackup": {"snapshot": "nightly", "imageStore": "attic"},
    "DiskBackup": {
        "hostName": "node1",
        "pool": "local-node1",
        "source": f"snapshots/{UID}.qcow2",
        "imageStore": "attic",
        "backup": REF,
        "volumeUid": UID,
    },
    "ImageStore": {"type": "Directory", "path": "/var/lib/cloudstack/pools/attic"},
    "DiskSnapshot": {
        "hostName": "node1",
        "pool": "local-node1",
        "path": f"snapshots/{UID}.qcow2",
        "snapshot": REF,
        "volume": REF,
        "source": f"volumes/{UID}.qcow2",
    },
    "ImageCopy": {
        "hostName": "node1",
        "pool": "local-node1",
        "path": f"images/{UID}.qcow2",
        "image": REF,
        "url": "http://example.org/tiny.qcow2",
        "checksum": CHECKSUM,
    },
    "NetworkOffering": {"displayName": "Isolated"},
    "Network": {
        "cidr": "10.1.1.0/24",
        "gateway": "10.1.1.1",
        "dhcpRange": {"start": "10.1.1.10", "end": "10.1.1.200"},
        "dns": ["10.9.9.9"],
    },
    "Port": {"network": "backplane", "virtualMachine": "web", "ip": "10.1.1.5", "mac": "02:00:0a:01:01:05"},
    "HostNetwork": {
        "hostName": "node1",
        "network": REF,
        "segmentId": 4096,
        "bridge": "csbr4096",
        "vxlan": "csvx4096",
        "local": "172.30.0.11",
        "peers": ["172.30.0.12"],
        "mtu": 1450,
    },
    "PortBinding": {
        "hostName": "node1",
        "port": REF,
        "network": REF,
        "hostNetwork": "backplane-1a2b3",
        "bridge": "csbr4096",
        "tap": "cst0123456789",
        "mac": "02:00:0a:01:01:05",
        "ip": "10.1.1.5",
    },
    "Router": {
        "hostName": "node1",
        "network": REF,
        "segmentId": 4096,
        "netns": "csr4096",
        "bridge": "csbr4096",
        "gateway": "10.1.1.1/24",
        "domain": "backplane.team-a.internal",
        "uplink": {"bridge": "public", "address": "10.98.0.10/24", "gateway": "10.98.0.1"},
        "reservations": [{"port": REF, "mac": "02:00:0a:01:01:05", "ip": "10.1.1.5", "hostname": "web"}],
    },
    "Claim": {"pool": "segment", "value": "4096", "owner": REF},
    "Zone": {"dns": ["10.9.9.9"]},
    "Rack": {},
    "HostGroup": {},
    "Host": {"node": "host"},
    "HostReport": {"hostName": "node1"},
    "StoragePool": {"hostName": "node1", "path": "/var/lib/cloudstack/pools/local"},
    "IPRange": {
        "cidr": "10.98.0.0/24",
        "gateway": "10.98.0.1",
        "start": "10.98.0.10",
        "end": "10.98.0.200",
        "bridge": "public",
    },
    "Flow": {"operation": "Deploy", "target": REF, "inputs": {"reason": "test"}, "deadline": "5m"},
    "Domain": {"parent": "root"},
    "Account": {"domain": "root"},
    "User": {"account": "team-a", "apiKeys": ["0123456789abcdefghij"]},
}

KINDS = {kind.kind: kind for kind in ALL}


PREFIX = {"Project": "project-"}
"""What a name must begin with."""


def good(kind: str, name: str = "") -> Json:
    """A body of the kind that the API server accepts."""
    spec = deepcopy(SPECS[kind])
    body = {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": {"name": PREFIX.get(kind, "") + (name or kind.lower())},
        "spec": spec,
    }
    if kind == "Host" and name:
        spec["node"] = name
    return body


def bent(body: Json, changes: dict[str, Any]) -> Json:
    """The body with some fields set, by dotted path: `{"spec.nics.0.ip": …}`; None takes a field away."""
    out = deepcopy(body)
    for path, value in changes.items():
        *way, last = path.split(".")
        at: Any = out
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        if value is None:
            at.pop(last, None)
        elif isinstance(at, list):
            at[int(last)] = value
        else:
            at[last] = value
    return out
