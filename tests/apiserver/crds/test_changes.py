"""What may change afterwards and what may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from operators.contract.kinds import HOST_SIDE
from tests.apiserver.client import Client, Json, Refused
from tests.apiserver.conftest import let_go
from tests.apiserver.crds.objects import KINDS, bent, good

MOVED = "hostName cannot change: on another host it is another object"
ANEW = "cannot change: delete the VirtualMachine and apply it anew"
SHRINK = "size may grow but not shrink"
FLOW = "a Flow cannot change but for cancel and suspend"
IMAGE = "an Image cannot change but for displayName, public, sharedWith and preseed"
POOL = "type, hostName and path cannot change, since disks lie there"
RANGE = "only start and end can change"

NIC_STAYS = "the network, ip and mac of a NIC cannot change"
A, B = {"network": "a"}, {"network": "b"}
NIC0 = {"network": "backplane", "ip": "10.1.1.5", "mac": "02:00:0a:01:01:05"}
RAISED = "reinstallRequest can only be raised, by one"
OF_A_DISK: Json = {"spec.url": None, "spec.checksum": None, "spec.source": {"volume": "data"}}

Change = tuple[str, Json, Json, str]
REFUSED: list[Change] = [
    # kind, how the object differs from the good one, the change, the sentence
    ("VirtualMachine", {}, {"image": "other"}, f"image and rootVolume {ANEW}"),
    (
        "VirtualMachine",
        {"spec.reinstallRequest": 1},
        {"image": "other", "reinstallRequest": 1},
        f"image and rootVolume {ANEW}",
    ),
    ("VirtualMachine", {"spec.reinstallRequest": 1}, {"reinstallRequest": None}, RAISED),
    ("VirtualMachine", {"spec.reinstallRequest": 1}, {"reinstallRequest": 3}, RAISED),
    ("VirtualMachine", {}, {"reinstallRequest": 2}, RAISED),
    ("VirtualMachine", {"spec.rootDiskSize": None}, {"image": None, "rootVolume": "a"}, f"image and rootVolume {ANEW}"),
    ("VirtualMachine", {}, {"rootDiskSize": "4Gi"}, f"rootDiskSize and rootDiskOffering {ANEW}"),
    ("VirtualMachine", {}, {"rootDiskOffering": "fast"}, f"rootDiskSize and rootDiskOffering {ANEW}"),
    ("VirtualMachine", {}, {"nics": [{"network": "other"}]}, NIC_STAYS),
    ("VirtualMachine", {}, {"nics": [{"network": "other", "name": "nic0"}]}, NIC_STAYS),
    ("VirtualMachine", {}, {"nics": [{"network": "backplane", "ip": "10.1.1.6"}]}, NIC_STAYS),
    ("VirtualMachine", {}, {"nics": [{"network": "backplane"}]}, NIC_STAYS),
    ("VirtualMachine", {"spec.nics": [A, B]}, {"nics": [B]}, NIC_STAYS),
    ("VirtualMachine", {"spec.nics": [A, B]}, {"nics": [B, A]}, NIC_STAYS),
    ("VirtualMachine", {}, {"nics": [NIC0, {"network": "b", "name": "nic0"}]}, "two NICs have the same name"),
    ("VirtualMachine", {}, {"nics": [{"network": "b", "name": "nic1"}, NIC0]}, "two NICs have the same name"),
    (
        "VirtualMachine",
        {},
        {"nics": [NIC0 | {"default": True}, {"network": "b", "default": True}]},
        "only one NIC can be the default one",
    ),
    (
        "VirtualMachine",
        {},
        {"userData": {"inline": "#!/bin/true"}},
        "hostname, sshKeys and userData are read at first boot",
    ),
    ("VirtualMachine", {}, {"sshKeys": None}, "hostname, sshKeys and userData are read at first boot"),
    ("VirtualMachine", {}, {"hostname": "www"}, "hostname, sshKeys and userData are read at first boot"),
    ("Volume", {"spec.size": "2Gi"}, {"size": "1Gi"}, SHRINK),
    ("Volume", {"spec.size": "1Gi"}, {"size": "1G"}, SHRINK),
    ("Volume", {"spec.source.image": "tiny"}, {"size": None}, SHRINK),
    ("Volume", {}, {"source": {"image": "tiny"}}, "source cannot change"),
    ("Volume", {"spec.source.image": "tiny"}, {"source": None}, "source cannot change"),
    ("Volume", {}, {"diskOffering": "fast"}, "diskOffering cannot change"),
    ("Volume", {}, {"format": "raw"}, "format cannot change"),
    ("ImageUpload", {}, {"size": 2}, "an ImageUpload is for one file and does not change"),
    ("Console", {}, {"virtualMachine": "other"}, "a Console is opened once and does not change"),
    ("Console", {}, {"tokenSha256": "f" * 64}, "a Console is opened once and does not change"),
    ("Image", {}, {"url": "http://example.org/other.qcow2"}, IMAGE),
    ("Image", {}, {"checksum": "sha256:" + "f" * 64}, IMAGE),
    ("Image", {}, {"format": "raw"}, IMAGE),
    ("Image", {}, {"url": None, "checksum": None, "source": {"volume": "data"}}, IMAGE),
    ("Image", OF_A_DISK, {"source": {"volume": "other"}}, IMAGE),
    ("Image", OF_A_DISK, {"source": {"volume": None, "snapshot": "then"}}, IMAGE),
    ("Image", {}, {"bootable": False}, IMAGE),
    ("Image", {}, {"osType": "Debian"}, IMAGE),
    ("Image", {}, {"minimumDisk": "1Gi"}, IMAGE),
    ("Network", {}, {"cidr": "10.1.0.0/16"}, "cidr cannot change"),
    ("Network", {}, {"gateway": "10.1.1.2"}, "gateway cannot change"),
    ("Network", {}, {"gateway": None}, "gateway cannot change"),
    ("Network", {}, {"offering": "shared"}, "offering cannot change"),
    ("Network", {}, {"zone": "other"}, "zone cannot change"),
    ("Network", {}, {"dhcpRange": {"end": "10.1.2.1"}}, "is not within cidr 10.1.1.0/24"),
    ("Port", {}, {"network": "other"}, "network cannot change"),
    ("Port", {}, {"ip": "10.1.1.6"}, "ip and mac cannot change"),
    ("Port", {"spec.mac": None}, {"mac": "02:00:0a:01:01:06"}, "ip and mac cannot change"),
    ("Claim", {}, {"value": "4097"}, "a Claim cannot change"),
    ("Claim", {}, {"owner": {"uid": "other"}}, "a Claim cannot change"),
    ("Host", {}, {"node": "other"}, "node cannot change"),
    ("StoragePool", {}, {"path": "/elsewhere"}, POOL),
    ("StoragePool", {}, {"hostName": "node2"}, POOL),
    ("StoragePool", {}, {"type": "SharedDirectory", "hostName": None}, POOL),
    ("IPRange", {}, {"bridge": "other"}, RANGE),
    ("IPRange", {}, {"zone": "other"}, RANGE),
    ("Domain", {}, {"parent": "other"}, "parent cannot change"),
    ("Account", {}, {"domain": "other"}, "domain cannot change"),
    ("Project", {}, {"domain": "other"}, "domain cannot change"),
    ("AccessRole", {}, {"type": "Admin"}, "type cannot change"),
    ("User", {}, {"account": "other"}, "account cannot change"),
    ("Flow", {}, {"operation": "Destroy"}, FLOW),
    ("Flow", {}, {"target": {"uid": "another"}}, FLOW),
    ("Flow", {}, {"targetGeneration": 7}, FLOW),
    ("Flow", {}, {"inputs": {"more": "x"}}, FLOW),
    ("Flow", {}, {"deadline": "1h"}, FLOW),
    ("Flow", {}, {"onFailure": "Compensate"}, FLOW),
    ("Flow", {"spec.cancel": True}, {"cancel": False}, "a cancelled Flow stays cancelled"),
    ("Flow", {"spec.cancel": True}, {"cancel": None}, "a cancelled Flow stays cancelled"),
    *((kind.kind, {}, {"hostName": "node2"}, MOVED) for kind in HOST_SIDE),
]

ALLOWED: list[tuple[str, Json, Json]] = [
    ("VirtualMachine", {}, {"offering": "small"}),
    ("VirtualMachine", {}, {"runPolicy": "Stopped"}),
    ("VirtualMachine", {}, {"volumes": ["ledger", "more"]}),
    ("VirtualMachine", {}, {"volumes": None}),
    ("VirtualMachine", {}, {"nics": None}),
    ("VirtualMachine", {"spec.nics": None}, {"nics": [A, B]}),
    ("VirtualMachine", {}, {"nics": [NIC0 | {"name": "nic0"}, A | {"name": "db", "default": True}]}),
    ("VirtualMachine", {"spec.nics": [A, B]}, {"nics": [B | {"name": "nic1"}]}),
    ("VirtualMachine", {"spec.nics": [A, B]}, {"nics": [B | {"name": "nic1"}, A | {"name": "nic0"}]}),
    ("VirtualMachine", {}, {"rebootRequest": 1}),
    ("VirtualMachine", {}, {"placement": {"host": "node2"}}),
    ("VirtualMachine", {}, {"haEnabled": True, "deleteProtection": True}),
    ("Volume", {}, {"size": "2Gi"}),
    ("Volume", {}, {"size": 1073741824}),
    ("Volume", {"spec.size": None, "spec.source.image": "tiny"}, {"size": "1Gi"}),
    ("Volume", {}, {"reclaimPolicy": "Retain"}),
    ("Image", {}, {"displayName": "Tiny", "public": True}),
    ("Image", OF_A_DISK, {"displayName": "Tiny", "public": True}),
    ("VirtualMachine", {}, {"reinstallRequest": 1}),
    ("VirtualMachine", {}, {"image": "other", "reinstallRequest": 1}),
    ("VirtualMachine", {"spec.reinstallRequest": 1}, {"image": "other", "reinstallRequest": 2}),
    ("Network", {}, {"dns": ["10.9.9.8"], "dhcpRange": None, "domain": "example.org"}),
    ("Port", {}, {"virtualMachine": "other", "hostname": "other"}),
    ("Host", {}, {"schedulable": False, "maintenance": True, "tags": ["ssd"], "group": "other"}),
    ("StoragePool", {}, {"schedulable": False, "tags": ["ssd"]}),
    ("IPRange", {}, {"end": "10.98.0.250"}),
    ("Flow", {}, {"suspend": True}),
    ("Flow", {}, {"cancel": True}),
    ("Instance", {}, {"power": "Stopped", "startRequest": 1, "rebootRequest": 1}),
    ("HostNetwork", {}, {"peers": ["172.30.0.12", "172.30.0.13"]}),
    ("Router", {}, {"reservations": []}),
]


@pytest.fixture
def made(admin: Client, request: pytest.FixtureRequest) -> Iterator[Json]:
    """An object of the test's kind, gone again after the test."""
    kind, differing = request.node.callspec.params["kind"], request.node.callspec.params["differing"]
    body = admin.create(bent(good(kind), differing), fieldValidation="Strict")
    yield body
    let_go(admin, KINDS[kind], body["metadata"])


@pytest.mark.parametrize(("kind", "differing", "change", "sentence"), REFUSED)
def test_refused_changes(admin: Client, made: Json, kind: str, differing: Json, change: Json, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        admin.patch(KINDS[kind], made["metadata"]["name"], {"spec": change})

    assert refusal.value.code == 422
    assert sentence in refusal.value.message
    assert "evaluation error" not in refusal.value.message


@pytest.mark.parametrize(("kind", "differing", "change"), ALLOWED)
def test_allowed_changes(admin: Client, made: Json, kind: str, differing: Json, change: Json) -> None:
    changed = admin.patch(KINDS[kind], made["metadata"]["name"], {"spec": change})

    assert changed["metadata"]["generation"] == 2


@pytest.mark.parametrize(("kind", "differing"), [("VirtualMachine", {})])
def test_placement_is_settled_with_the_host(admin: Client, made: Json, kind: str, differing: Json) -> None:
    machine, name = KINDS[kind], made["metadata"]["name"]
    admin.patch(machine, name, {"spec": {"placement": {"host": "node2"}}})
    admin.patch(machine, name, {"status": {"hostName": "node2"}}, "status")

    for placement in ({"host": "node3"}, None):
        with pytest.raises(Refused, match="placement cannot change once a host was chosen"):
            admin.patch(machine, name, {"spec": {"placement": placement}})
    admin.patch(machine, name, {"spec": {"runPolicy": "Stopped"}})


@pytest.mark.parametrize(
    ("kind", "differing"), [(kind, {}) for kind in ("VirtualMachine", "Volume", "Network", "Host")]
)
def test_applying_the_same_again_changes_nothing(admin: Client, made: Json, kind: str, differing: Json) -> None:
    body: dict[str, Any] = good(kind)
    first = admin.apply(body, manager="kubectl")
    again = admin.apply(body, manager="kubectl")

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert again["metadata"]["generation"] == 1
