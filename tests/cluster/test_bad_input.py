"""Bad input is refused at the door, or ends as a condition with a sentence that helps, and heals by itself."""

from __future__ import annotations

import hashlib
import json
import re
import secrets

import pytest

from dev.target import CATALOG
from tests.support import leftovers
from tests.support.cluster import Body, Cloud, Refused, manifest, network, vm, volume

OFFERING = {"cpus": 1, "memory": "128Mi"}


def says(cloud: Cloud, kind: str, name: str, reason: str, sentence: str) -> None:
    """Wait for `Ready=False` with the reason, and check that its message holds the sentence (a pattern)."""
    message = cloud.condition(kind, name, "Ready", "False", reason)["message"]
    assert re.search(sentence, message), f"{kind} {name} says: {message}"


def test_unknown_offering(cloud: Cloud) -> None:
    """An offering that does not exist yet."""
    name = f"late-{secrets.token_hex(3)}"
    cloud.apply(network(), vm("web", offering=name))
    says(cloud, "VirtualMachine", "web", "OfferingNotFound", name)
    cloud.create(manifest("ComputeOffering", name, OFFERING))
    cloud.ready("vm/web")


def test_unknown_image(cloud: Cloud) -> None:
    """An image that does not exist yet."""
    cloud.apply(network(), vm("web", image="own"))
    says(cloud, "VirtualMachine", "web", "ImageNotFound", "own")
    cloud.apply(own_image(cloud))
    cloud.ready("vm/web")


def test_unknown_network(cloud: Cloud) -> None:
    """A network that does not exist yet."""
    cloud.apply(vm("web", nets=["later"]))
    says(cloud, "VirtualMachine", "web", "NetworkNotFound", "later")
    cloud.apply(network("later"))
    cloud.ready("vm/web")


def test_unknown_volume(cloud: Cloud) -> None:
    """A volume that does not exist yet."""
    cloud.apply(network(), vm("web", volumes=["ledger"]))
    says(cloud, "VirtualMachine", "web", "VolumeNotFound", "ledger")
    cloud.apply(volume("ledger"))
    cloud.ready("vm/web")


def own_image(cloud: Cloud, **changed: str) -> Body:
    """An Image of the tenant's own, the same file as the catalogue's, with something changed."""
    tiny = json.loads(cloud.where.kubectl("-n", CATALOG, "get", "images", "tiny", "-o", "json"))
    return manifest("Image", "own", {key: tiny["spec"][key] for key in ("url", "checksum", "format")} | changed)


def replace_image(cloud: Cloud) -> None:
    """Do what the message says: delete the wrong Image, and apply a right one of that name."""
    cloud.delete("Image", "own", wait=False)
    cloud.gone("Image", "own")
    cloud.apply(own_image(cloud))


def test_wrong_checksum(cloud: Cloud) -> None:
    """A file that is not what its checksum says never becomes a disk."""
    wrong = "sha256:" + hashlib.sha256(b"something else").hexdigest()
    cloud.apply(network(), own_image(cloud, checksum=wrong), vm("web", image="own"))
    says(cloud, "VirtualMachine", "web", "ChecksumMismatch", "sha256:")
    replace_image(cloud)
    cloud.ready("vm/web")


def test_unreachable_url(cloud: Cloud) -> None:
    """A server that does not answer is named; it is asked again by itself."""
    url = "http://image-server.cloudstack-catalog.svc.cluster.local:81/tiny.qcow2"
    cloud.apply(network(), own_image(cloud, url=url), vm("web", image="own"))
    says(cloud, "VirtualMachine", "web", "SourceUnreachable", "image-server")
    replace_image(cloud)
    cloud.ready("vm/web")


def test_no_host_fits(cloud: Cloud) -> None:
    """Every host is listed with what was in the way; a smaller offering then fits."""
    name = f"huge-{secrets.token_hex(3)}"
    cloud.create(manifest("ComputeOffering", name, {"cpus": 1, "memory": "4Ti"}))
    cloud.apply(network(), vm("web", offering=name))
    message = cloud.condition("VirtualMachine", "web", "Ready", "False", "NoHostFits")["message"]
    for host in leftovers.hosts(cloud):
        assert host in message
    assert "Memory: 4Ti needed" in message
    cloud.patch("VirtualMachine", "web", {"spec": {"offering": "tiny"}})
    cloud.ready("vm/web")


def test_unknown_host(cloud: Cloud) -> None:
    """A host that the user chose and that is not there."""
    cloud.apply(network(), vm("web", placement={"host": "nowhere"}))
    says(cloud, "VirtualMachine", "web", "NoHostFits", "nowhere")
    cloud.patch("VirtualMachine", "web", {"spec": {"placement": None}})
    cloud.ready("vm/web")


def test_shrinking_a_volume(cloud: Cloud) -> None:
    """A volume may grow but not shrink."""
    cloud.apply(network(), volume("ledger", "80Mi"), vm("web", volumes=["ledger"]))
    cloud.ready("vm/web", "volume/ledger")
    try:
        cloud.patch("Volume", "ledger", {"spec": {"size": "64Mi"}})
    except Refused as refused:
        assert "shrink" in refused.said
    else:
        says(cloud, "Volume", "ledger", "SizeTooSmall", "shrink")
        cloud.patch("Volume", "ledger", {"spec": {"size": "80Mi"}})
    cloud.ready("volume/ledger")


def test_overlapping_cidr(cloud: Cloud) -> None:
    """Two networks of a tenant may not overlap; when the first is gone, the second works."""
    cloud.apply(network("first", "10.1.0.0/16"))
    cloud.ready("network/first")
    cloud.apply(network("second", "10.1.1.0/24"))
    says(cloud, "Network", "second", "CIDROverlap", "first")
    cloud.delete("Network", "first")
    cloud.ready("network/second")


def test_address_in_use(cloud: Cloud) -> None:
    """An address that another machine has."""
    nic = {"network": "backplane", "ip": "10.1.1.50"}
    cloud.apply(network(), vm("web", nics=[nic]))
    cloud.ready("vm/web")
    cloud.apply(vm("db", nics=[nic]))
    says(cloud, "VirtualMachine", "db", "AddressInUse", "10.1.1.50")
    cloud.delete("VirtualMachine", "web")
    cloud.ready("vm/db")


REFUSED: list[tuple[str, Body, str]] = [
    ("11 kB of user data", {"userData": {"inline": "#" * 11_000}}, "8192"),
    ("neither image nor volume", {"image": None}, "give exactly one of image"),
    ("a volume twice", {"volumes": ["a", "a"]}, "must not list a Volume twice"),
    ("an address that is none", {"nics": [{"network": "a", "ip": "10.1.1"}]}, "must be an IPv4 address"),
    ("a misspelt field", {"runPolcy": "Running"}, "unknown field"),
]


@pytest.mark.parametrize(("spec", "sentence"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_at_the_door(cloud: Cloud, spec: Body, sentence: str) -> None:
    """What can never work is refused by `kubectl apply` itself."""
    with pytest.raises(Refused) as refused:
        cloud.apply(vm("web", **spec))
    assert sentence in refused.value.said


@pytest.mark.parametrize(
    "change",
    [{"image": "other"}, {"userData": {"inline": "#!/bin/sh"}}, {"rootDiskSize": "9Gi"}],
    ids=lambda change: next(iter(change)),
)
def test_immutable(cloud: Cloud, change: Body) -> None:
    """What cannot change says so, and what to do instead."""
    cloud.apply(vm("web", runPolicy="Stopped"))
    with pytest.raises(Refused, match="delete the VirtualMachine and apply it anew"):
        cloud.patch("VirtualMachine", "web", {"spec": change})


def test_placement_cannot_change_once_a_host_was_chosen(cloud: Cloud) -> None:
    """Moving is not a change of the spec."""
    cloud.apply(network(), vm("web"))
    cloud.ready("vm/web")
    with pytest.raises(Refused, match="placement cannot change once a host was chosen"):
        cloud.patch("VirtualMachine", "web", {"spec": {"placement": {"host": "elsewhere"}}})


def test_delete_protection(cloud: Cloud) -> None:
    """A protected machine is not deleted, by whatever verb, until the protection is taken off."""
    cloud.apply(network(), vm("web", deleteProtection=True))
    cloud.ready("vm/web")
    with pytest.raises(Refused, match="deleteProtection"):
        cloud.delete("VirtualMachine", "web")
    assert "deletionTimestamp" not in cloud.need("VirtualMachine", "web")["metadata"]
    cloud.patch("VirtualMachine", "web", {"spec": {"deleteProtection": False}})
    cloud.delete("VirtualMachine", "web")


def test_volume_and_network_in_use_stay(cloud: Cloud) -> None:
    """Deleting what a machine uses waits, and says for whom."""
    cloud.apply(network(), volume(), vm("web", volumes=["ledger"]))
    cloud.ready("vm/web", "volume/ledger")
    cloud.delete("Volume", "ledger", wait=False)
    cloud.delete("Network", "backplane", wait=False)
    says(cloud, "Volume", "ledger", "StillAttached", "web")
    says(cloud, "Network", "backplane", "StillInUse", "web")
    cloud.delete("VirtualMachine", "web")
    cloud.gone("Volume", "ledger")
    cloud.gone("Network", "backplane")
