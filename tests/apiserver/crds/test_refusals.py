"""Bad input is refused at the door, with a sentence that helps; good input is let in."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.kinds import ALL, HOST_SIDE
from tests.apiserver.client import Client, Refused
from tests.apiserver.crds.objects import CHECKSUM, SPECS, bent, good

NIC = {"network": "backplane"}
LONG = "x" * 11_000
MADE: dict[str, Any] = {"spec.url": None, "spec.checksum": None, "spec.source": {"volume": "data"}}
"""What makes of an Image one of a disk."""
BOTH = {"volume": "data", "snapshot": "then"}
FILE = {"pool": "local-a", "path": "volumes/uid.qcow2"}

BAD: list[tuple[str, dict[str, Any], str]] = [
    # A console.
    ("Console", {"spec.virtualMachine": None}, "spec.virtualMachine: Required value"),
    ("Console", {"spec.tokenSha256": "token"}, "spec.tokenSha256 in body should be at least 64 chars long"),
    ("Console", {"spec.tokenSha256": "A" * 64}, "spec.tokenSha256 in body should match"),
    ("Console", {"spec.type": "SPICE"}, 'supported values: "Serial", "VNC"'),
    ("ConsoleChannel", {"spec.address": "console.example.org:443"}, "spec.address in body should match"),
    # An upload.
    ("ImageUpload", {"spec.size": 0}, "spec.size in body should be greater than or equal to 1"),
    ("ImageUpload", {"spec.size": None}, "spec.size: Required value"),
    ("ImageUpload", {"spec.sha256": None}, "only one that comes as a form may do without"),
    ("ImageUpload", {"spec.sha256": "sha256:" + "0" * 64}, "spec.sha256: Too long"),
    ("ImageUpload", {"spec.tokenSha256": "token"}, "spec.tokenSha256 in body should be at least 64 chars long"),
    # A virtual machine: what it is made of.
    (
        "VirtualMachine",
        {"spec.rootVolume": "old"},
        "give exactly one of image (a new root disk is made from it) and rootVolume",
    ),
    ("VirtualMachine", {"spec.image": None, "spec.rootDiskSize": None}, "give exactly one of image"),
    (
        "VirtualMachine",
        {"spec.image": None, "spec.rootVolume": "old"},
        "rootDiskSize and rootDiskOffering belong to a root disk made from image",
    ),
    (
        "VirtualMachine",
        {"spec.image": None, "spec.rootDiskSize": None, "spec.rootVolume": "ledger"},
        "volumes must not list the rootVolume again",
    ),
    ("VirtualMachine", {"spec.offering": None}, "spec.offering: Required value"),
    ("VirtualMachine", {"spec.reinstallRequest": 1000}, "should be less than or equal to 999"),
    (
        "VirtualMachine",
        {"spec.image": None, "spec.rootDiskSize": None, "spec.rootVolume": "old", "spec.reinstallRequest": 1},
        "reinstallRequest makes a root disk anew from image, and a rootVolume has none",
    ),
    ("VirtualMachine", {"spec.passwordUser": "root:"}, "spec.passwordUser in body should match"),
    (
        "VirtualMachineSnapshot",
        {"spec.memory": True, "spec.quiesce": "Required"},
        "leave out either memory or quiesce: Required",
    ),
    ("VirtualMachine", {"spec.offering": ""}, "spec.offering in body should be at least 1 chars long"),
    ("VirtualMachine", {"spec.image": "a/b/c"}, "spec.image in body should match"),
    ("VirtualMachine", {"spec.runPolicy": "Maybe"}, 'supported values: "Running", "RerunOnFailure", "Stopped"'),
    ("VirtualMachine", {"spec.rootDiskSize": "20 GB"}, "spec.rootDiskSize in body should match"),
    ("VirtualMachine", {"spec.rootDiskSize": "5K"}, "spec.rootDiskSize in body should match"),
    ("VirtualMachine", {"spec.rootDiskSize": "1k"}, "rootDiskSize must be between 1Mi and 64Ti"),
    ("VirtualMachine", {"spec.volumes": ["a", "b", "a"]}, "volumes must not list a Volume twice"),
    (
        "VirtualMachine",
        {"spec.volumes": [f"v{n}" for n in range(17)]},
        "spec.volumes: Too many: 17: must have at most 16 items",
    ),
    ("VirtualMachine", {"spec.nics": [NIC] * 9}, "spec.nics: Too many: 9: must have at most 8 items"),
    ("VirtualMachine", {"spec.nics.0.name": "Eth0"}, "spec.nics[0].name"),
    ("VirtualMachine", {"spec.nics.0.name": "a-b"}, "spec.nics[0].name"),
    ("VirtualMachine", {"spec.nics": [NIC | {"name": "nic1"}, NIC]}, "two NICs have the same name"),
    ("VirtualMachine", {"spec.nics.0.network": None}, "spec.nics[0].network: Required value"),
    (
        "VirtualMachine",
        {"spec.nics.0.ip": "10.1.1"},
        "must be an IPv4 address such as 10.1.1.5; leave it out to have one chosen",
    ),
    ("VirtualMachine", {"spec.nics.0.ip": "fd00::5"}, "must be an IPv4 address such as 10.1.1.5"),
    ("VirtualMachine", {"spec.nics.0.ip": ""}, "must be an IPv4 address such as 10.1.1.5"),
    ("VirtualMachine", {"spec.nics.0.mac": "02-00-0a-01-01-05"}, "must be a unicast MAC address in lower case"),
    ("VirtualMachine", {"spec.nics.0.mac": "03:00:0a:01:01:05"}, "must be a unicast MAC address in lower case"),
    ("VirtualMachine", {"spec.nics.0.mac": "02:00:0A:01:01:05"}, "must be a unicast MAC address in lower case"),
    ("VirtualMachine", {"spec.stopDeadline": "soon"}, "spec.stopDeadline in body should match"),
    (
        "VirtualMachine",
        {"spec.deleteProtection": True, "spec.destroyed": True},
        "deleteProtection forbids to destroy it: set deleteProtection to false first",
    ),
    ("VirtualMachine", {"spec.cpus": 300}, "spec.cpus in body should be less than or equal to 256"),
    ("ComputeOffering", {"spec.custom.minCpus": 5}, "minCpus must not be greater than maxCpus"),
    ("ComputeOffering", {"spec.custom.minMemory": "5Gi"}, "minMemory must not be greater than maxMemory"),
    ("SSHKeyPair", {"spec.publicKey": "mine"}, "must be one public key in authorized_keys form"),
    # What its guest gets.
    ("VirtualMachine", {"spec.userData.secret": "boot"}, "give one of inline, base64 and secret"),
    (
        "VirtualMachine",
        {"spec.userDataSources": [{"inline": "a", "base64": "Yg=="}]},
        "give one of inline, base64 and secret",
    ),
    ("VirtualMachine", {"spec.userData": {"base64": "not base64"}}, "spec.userData.base64 in body should match"),
    (
        "VirtualMachine",
        {"spec.userData.inline": LONG},
        "spec.userData.inline: Too long: may not be more than 8192 bytes",
    ),
    ("VirtualMachine", {"spec.userData.inline": "ä" * 5000}, "may be at most 8192 bytes long in UTF-8"),
    ("VirtualMachine", {"spec.sshKeys": ["not a key"]}, "must be one public key in authorized_keys form"),
    (
        "VirtualMachine",
        {"spec.sshKeys": ["ssh-rsa AAAA a\nssh-rsa BBBB b"]},
        "must be one public key in authorized_keys form",
    ),
    (
        "VirtualMachine",
        {"spec.sshKeys": ["ssh-rsa " + "A" * 1100]},
        "spec.sshKeys[0]: Too long: may not be more than 1024 bytes",
    ),
    ("VirtualMachine", {"spec.sshKeys": ["ssh-rsa AAAA"] * 9}, "spec.sshKeys: Too many: 9: must have at most 8 items"),
    ("VirtualMachine", {"spec.hostname": "Web Server"}, "spec.hostname in body should match"),
    ("VirtualMachine", {"spec.rebootRequest": -1}, "spec.rebootRequest in body should be greater than or equal to 0"),
    # Its name.
    ("VirtualMachine", {"metadata.name": "web.example"}, "metadata.name must be a DNS label: at most 50"),
    ("VirtualMachine", {"metadata.name": "x" * 51}, "metadata.name must be a DNS label: at most 50"),
    ("Volume", {"metadata.name": "a.b"}, "metadata.name must be a DNS label: at most 63"),
    ("Network", {"metadata.name": "x" * 64}, "metadata.name must be a DNS label: at most 63"),
    ("Image", {"metadata.name": "debian-12.5"}, "metadata.name must be a DNS label: at most 63"),
    ("Port", {"metadata.name": "a.b"}, "metadata.name must be a DNS label: at most 63"),
    # Offerings.
    ("VirtualMachine", {"spec.affinityGroups": ["a", "a"]}, "affinityGroups must not list a group twice"),
    ("Webhook", {"spec.url": "ftp://example.org"}, "spec.url in body should match"),
    ("Webhook", {"spec.types": ["vm create"]}, "spec.types[0] in body should match"),
    ("AffinityGroup", {"spec.type": "Near"}, 'supported values: "Affinity", "AntiAffinity"'),
    ("AffinityGroup", {"spec.policy": "Maybe"}, 'supported values: "Strict", "Preferred"'),
    ("PlacementPlan", {"spec.virtualMachine": "web"}, "give exactly one of virtualMachine"),
    (
        "PlacementPlan",
        {"spec.virtualMachine": "web", "spec.offering": None},
        "with virtualMachine, everything else is taken from that VirtualMachine",
    ),
    ("PlacementPlan", {"spec.timeToLive": "soon"}, "spec.timeToLive in body should match"),
    ("Zone", {"spec.scheduling": "Random"}, 'supported values: "Spread", "Pack"'),
    ("ComputeOffering", {"spec.cpus": 0}, "spec.cpus in body should be greater than or equal to 1"),
    ("ComputeOffering", {"spec.memory": "16Mi"}, "memory must be at least 32Mi"),
    ("ComputeOffering", {"spec.cpuWeight": 20000}, "spec.cpuWeight in body should be less than or equal to 10000"),
    ("ComputeOffering", {"spec.hostTags": ["a", "a"]}, "Duplicate value"),
    ("DiskOffering", {"spec.size": "100Ti"}, "size must be between 1Mi and 64Ti"),
    ("NetworkOffering", {"spec.guestType": "l2"}, 'supported values: "isolated"'),
    ("NetworkOffering", {"spec.services": ["vpn"]}, 'supported values: "dhcp", "dns", "sourceNat"'),
    # Volumes and images.
    ("Volume", {"spec.size": None}, "a blank Volume needs a size, such as 10Gi"),
    ("Volume", {"spec.size": None, "spec.source": {}}, "a blank Volume needs a size, such as 10Gi"),
    ("Volume", {"spec.size": "-1Gi"}, "spec.size in body should match"),
    ("Volume", {"spec.size": -1}, "spec.size in body should be greater than or equal to 0"),
    ("Volume", {"spec.size": 0}, "size must be between 1Mi and 64Ti"),
    ("Volume", {"spec.size": "65Ti"}, "size must be between 1Mi and 64Ti"),
    ("Volume", {"spec.reclaimPolicy": "Keep"}, 'supported values: "Delete", "Retain"'),
    ("Image", {"spec.url": "ftp://example.org/a.qcow2"}, "must be a URL that starts with http:// or https://"),
    ("Image", {"spec.url": "tiny.qcow2"}, "must be a URL that starts with http:// or https://"),
    ("Image", {"spec.url": "file:///etc/passwd"}, "must be a URL that starts with http:// or https://"),
    ("Image", {"spec.url": "http:///a"}, "must be a URL that starts with http:// or https://"),
    ("Image", {"spec.url": "http://" + "x" * 3000}, "spec.url: Too long: may not be more than 2048 bytes"),
    ("Image", {"spec.checksum": "md5:0123"}, "must be sha256: followed by 64 lower-case hexadecimal digits"),
    ("Image", {"spec.checksum": "sha256:0123"}, "must be sha256: followed by 64 lower-case hexadecimal digits"),
    ("Image", {"spec.url": None}, "say what it is made of: either url or source"),
    ("Image", {"spec.source": {"volume": "data"}}, "say what it is made of: either url or source"),
    ("Image", MADE | {"spec.checksum": CHECKSUM}, "checksum is of the file behind url: with source, leave it out"),
    ("Image", MADE | {"spec.source": {}}, "say what it is copied from: either volume or snapshot"),
    ("Image", MADE | {"spec.source": BOTH}, "say what it is copied from: either volume or snapshot"),
    ("Image", MADE | {"spec.format": "raw"}, "what is made of a source is qcow2: leave format out"),
    ("Image", {"spec.format": "vhd"}, 'supported values: "qcow2", "raw", "vmdk", "vdi"'),
    ("Disk", {"spec.path": "/etc/passwd"}, "path must stay beneath the pool's folder"),
    ("Disk", {"spec.path": "volumes/../../etc/passwd"}, "path must stay beneath the pool's folder"),
    ("ImageCopy", {"spec.path": "images/./x"}, "path must stay beneath the pool's folder"),
    ("ImageCopy", {"spec.url": "ftp://example.org"}, "spec.url in body should match"),
    ("ImageCopy", {"spec.url": None}, "it is fetched from one place: either url or source"),
    ("ImageCopy", {"spec.source": FILE}, "it is fetched from one place: either url or source"),
    (
        "ImageCopy",
        {"spec.url": None, "spec.source": FILE | {"path": "a/../b"}},
        "path must stay beneath the pool's folder",
    ),
    # Networks.
    ("Network", {"spec.cidr": None}, "spec.cidr: Required value"),
    ("Network", {"spec.cidr": "10.1.1.0"}, "must be an IPv4 network such as 10.1.1.0/24"),
    ("Network", {"spec.cidr": "10.1.1.0/33"}, "must be an IPv4 network such as 10.1.1.0/24"),
    ("Network", {"spec.cidr": "fd00::/64"}, "must be an IPv4 network such as 10.1.1.0/24"),
    ("Network", {"spec.cidr": "10.1.1.7/24"}, "must be the address of the network itself, such as 10.1.1.0/24"),
    ("Network", {"spec.cidr": "10.0.0.0/7"}, "the prefix length must be between /8 and /29"),
    ("Network", {"spec.cidr": "10.1.1.0/30"}, "the prefix length must be between /8 and /29"),
    ("Network", {"spec.gateway": "10.1.2.1"}, "gateway 10.1.2.1 is not an address of a host within cidr 10.1.1.0/24"),
    ("Network", {"spec.gateway": "10.1.1.0"}, "gateway 10.1.1.0 is not an address of a host within cidr 10.1.1.0/24"),
    ("Network", {"spec.gateway": "first"}, "must be an IPv4 address such as 10.1.1.5"),
    ("Network", {"spec.dhcpRange.end": "10.1.2.9"}, "dhcpRange 10.1.1.10 to 10.1.2.9 is not within cidr 10.1.1.0/24"),
    ("Network", {"spec.dhcpRange.start": "10.1.1.201"}, "start must not lie after end"),
    ("Network", {"spec.dhcpRange.end": None}, "spec.dhcpRange.end: Required value"),
    ("Network", {"spec.dns": ["dns.example"]}, "must be an IPv4 address such as 10.1.1.5"),
    ("Network", {"spec.domain": "Example.org"}, "spec.domain in body should match"),
    ("Port", {"spec.mac": "zz"}, "must be a unicast MAC address in lower case"),
    ("Port", {"spec.ip": "10.1.1.256"}, "must be an IPv4 address such as 10.1.1.5"),
    ("PortBinding", {"spec.ip": "10.1.1.256"}, "spec.ip in body should match"),
    ("HostNetwork", {"spec.bridge": "a-name-of-sixteen"}, "Too long: may not be more than 15 bytes"),
    ("HostNetwork", {"spec.bridge": "a/b"}, "spec.bridge in body should match"),
    ("Router", {"spec.gateway": "10.1.1.1"}, "spec.gateway in body should match"),
    ("Claim", {"spec.pool": "name"}, 'supported values: "segment", "public-address"'),
    # The fabric.
    ("Zone", {"spec.dns": ["::1"]}, "must be an IPv4 address such as 10.1.1.5"),
    ("Host", {"metadata.name": "other"}, "metadata.name must equal spec.node"),
    ("Host", {"spec.overcommit.cpu": "much"}, "must be a decimal number above 0 in quotes, such as '1.5'"),
    ("Host", {"spec.overcommit.memory": "0"}, "must be a decimal number above 0 in quotes, such as '1.5'"),
    ("Host", {"spec.overcommit.cpu": 4}, "spec.overcommit.cpu in body must be of type string"),
    (
        "StoragePool",
        {"spec.hostName": None},
        "a Directory belongs to one host: give hostName (or choose SharedDirectory)",
    ),
    ("StoragePool", {"spec.type": "SharedDirectory"}, "a SharedDirectory is reached by many hosts: leave hostName out"),
    ("StoragePool", {"spec.path": "pools/local"}, "must be an absolute path without '.' and '..'"),
    ("StoragePool", {"spec.path": "/var/../etc"}, "must be an absolute path without '.' and '..'"),
    ("IPRange", {"spec.start": "10.97.0.10"}, "start 10.97.0.10 is not within cidr 10.98.0.0/24"),
    ("IPRange", {"spec.end": "10.99.0.10"}, "end 10.99.0.10 is not within cidr 10.98.0.0/24"),
    ("IPRange", {"spec.gateway": "10.99.0.1"}, "gateway 10.99.0.1 is not within cidr 10.98.0.0/24"),
    ("IPRange", {"spec.start": "10.98.0.201"}, "start must not lie after end"),
    ("IPRange", {"spec.cidr": "10.98.0.7/24"}, "must be the address of the network itself"),
    # Flows.
    (
        "Flow",
        {"spec.operation": "Paint"},
        'supported values: "Deploy", "Start", "Stop", "Reboot", "Reinstall", "Destroy"',
    ),
    ("Flow", {"spec.target.uid": None}, "spec.target.uid: Required value"),
    ("Flow", {"spec.deadline": "soon"}, "spec.deadline in body should match"),
    ("Flow", {"spec.inputs": {"k" * 64: ""}}, "a key may be at most 63 characters long"),
    # Identity.
    ("Domain", {"spec.parent": None}, "every Domain but root needs spec.parent, and root has none"),
    ("Domain", {"metadata.name": "root"}, "every Domain but root needs spec.parent, and root has none"),
    ("Domain", {"spec.parent": "domain"}, "a Domain cannot be its own parent"),
    ("Account", {"metadata.name": "project-x"}, "the account's namespace would be one of a Project"),
    ("Account", {"spec.limits": {"gpus": 1}}, "a limit is one of virtualMachines"),
    ("Account", {"spec.limits": {"cpus": -2}}, "should be greater than or equal to 0"),
    ("Project", {"metadata.name": "apollo"}, "metadata.name must begin with project-"),
    ("AccessRole", {"spec.rules": [{"command": "list Zones", "permission": "Allow"}]}, "should match"),
    ("UserData", {"spec.data": ""}, "should be at least 1 chars long"),
    ("Account", {"metadata.name": "kube-system"}, "the account's namespace would be one of Kubernetes' own"),
    (
        "Account",
        {"spec.domain": "sales", "spec.role": "Admin"},
        "only an account of domain root may have the role Admin",
    ),
    ("Account", {"spec.role": "King"}, 'supported values: "Admin", "DomainAdmin", "ResourceAdmin", "User"'),
    ("User", {"spec.apiKeys": ["password-hash"]}, "should be at least 16 chars long"),
    ("User", {"spec.apiKeys": ["a key with blanks in it"]}, "spec.apiKeys[0] in body should match"),
]

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("VirtualMachine", {"spec": {"offering": "tiny", "image": "tiny"}}),
    ("VirtualMachine", {"spec": {"offering": "tiny", "rootVolume": "old", "runPolicy": "Stopped"}}),
    ("VirtualMachine", {"spec.image": "team-b/debian"}),
    ("VirtualMachine", {"spec.userData.inline": "x" * 8192, "spec.nics": [NIC] * 8}),
    ("VirtualMachine", {"spec.sshKeys": ["ecdsa-sha2-nistp256 AAAA", "sk-ssh-ed25519@openssh.com AAAA a b c"]}),
    ("VirtualMachine", {"spec.placement": {"host": "ip-10-0-0-1.example.internal"}}),
    ("VirtualMachine", {"metadata.name": "x" * 50}),
    ("VirtualMachine", {"spec.rootDiskSize": 1073741824}),
    ("VirtualMachine", {"spec.rootDiskSize": "1.5G"}),
    ("Volume", {"spec": {"source": {"image": "tiny"}}}),
    ("Volume", {"spec.size": 10737418240}),
    ("Image", {"spec.checksum": None}),
    ("Image", {"spec.checksum": "sha512:" + "f" * 128}),
    ("Image", {"spec.checksum": "md5:" + "0" * 32}),
    ("ImageCopy", {"spec.checksum": None}),
    ("Volume", {"spec": {"source": {"url": "http://example.org/a.qcow2"}}}),
    ("Image", MADE),
    ("Image", MADE | {"spec.source": {"snapshot": "then"}}),
    ("ImageCopy", {"spec.url": None, "spec.checksum": None, "spec.source": FILE}),
    ("ImageCopy", {"spec.url": None, "spec.source": FILE}),
    ("Volume", {"spec.size": "64Ti"}),
    ("Network", {"spec": {"cidr": "10.0.0.0/8"}}),
    ("Network", {"spec": {"cidr": "192.168.7.8/29", "gateway": "192.168.7.14"}}),
    ("Network", {"spec.dhcpRange": {"start": "10.1.1.9", "end": "10.1.1.9"}}),
    ("StoragePool", {"spec": {"type": "SharedDirectory", "path": "/srv/shared"}}),
    ("Zone", {"spec": None}),
    ("Rack", {"spec": None}),
    ("HostGroup", {"spec": None}),
    ("NetworkOffering", {"spec": None}),
    ("DiskOffering", {"spec": None}),
    ("Flow", {"spec.deadline": "1h30m"}),
    ("Flow", {"spec.deadline": 30}),
    ("Domain", {"metadata.name": "root", "spec": None}),
    ("Account", {"spec.role": "Admin"}),
    ("Claim", {"metadata.name": "public-address.10.98.0.10"}),
]


def test_every_kind_has_a_good_example() -> None:
    assert {kind.kind for kind in ALL} == set(SPECS)


@pytest.mark.parametrize("kind", SPECS)
def test_good_objects_are_accepted(admin: Client, kind: str) -> None:
    admin.create(good(kind), dryRun="All", fieldValidation="Strict")


@pytest.mark.parametrize(("kind", "changes"), GOOD)
def test_bent_but_good_objects_are_accepted(admin: Client, kind: str, changes: dict[str, Any]) -> None:
    admin.create(bent(good(kind), changes), dryRun="All", fieldValidation="Strict")


@pytest.mark.parametrize(("kind", "changes", "sentence"), BAD)
def test_bad_objects_are_refused_with_a_sentence(
    admin: Client, kind: str, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refused) as refusal:
        admin.create(bent(good(kind), changes), dryRun="All", fieldValidation="Strict")

    assert refusal.value.code == 422
    assert sentence in refusal.value.message
    assert "evaluation error" not in refusal.value.message


@pytest.mark.parametrize("kind", [kind.kind for kind in HOST_SIDE])
def test_host_side_kinds_need_a_host(admin: Client, kind: str) -> None:
    with pytest.raises(Refused, match=r"spec\.hostName: Required value"):
        admin.create(bent(good(kind), {"spec.hostName": None}), dryRun="All")


def test_unknown_fields_are_named(admin: Client) -> None:
    with pytest.raises(Refused, match=r'unknown field "spec\.offerring"'):
        admin.create(bent(good("VirtualMachine"), {"spec.offerring": "tiny"}), dryRun="All", fieldValidation="Strict")
