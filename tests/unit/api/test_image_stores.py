"""Stores of backups, the ends of ranges of addresses, and volumes that begin as what an address leads to."""

from __future__ import annotations

import pytest

from operators.contract.fabric import IMAGE_STORE, IP_RANGE
from operators.contract.meta import Key
from operators.contract.networking import NETWORK
from operators.contract.storage import DISK_OFFERING, VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World

SUM = "5" * 64


async def test_the_life_of_a_folder(world: World) -> None:
    made = (await world.call("admin", "addImageStore", provider="NFS", name="Tapes", url="file:/srv/tapes/"))[
        "imagestore"
    ]
    assert (made["name"], made["url"], made["providername"]) == ("Tapes", "file:/srv/tapes", "NFS")
    body = world.server.read(IMAGE_STORE, Key("", "tapes"))
    assert body is not None and body["spec"] == {"path": "/srv/tapes"} | {"type": "Directory"} | _rest(body["spec"])
    named = await world.call("admin", "updateImageStore", id=made["id"], name="Vault")
    assert named["imagestore"]["name"] == "Vault"
    (listed,) = (await world.call("admin", "listImageStores", name="Vault"))["imagestore"]
    assert listed["id"] == made["id"]
    status, again = await world.ask("admin", "addImageStore", provider="NFS", name="tapes", url="file:/srv/other")
    assert status == 431 and "already" in again["addimagestoreresponse"]["errortext"]
    await world.call("admin", "deleteImageStore", id=made["id"])
    assert await world.call("admin", "listImageStores") == {}


def _rest(spec: dict[str, object]) -> dict[str, object]:
    """What else the spec says, which must be nothing but defaults."""
    return {name: value for name, value in spec.items() if name in ("region",) and value == "us-east-1"}


async def test_a_bucket(world: World) -> None:
    details = {
        "details[0].key": "bucket",
        "details[0].value": "backups",
        "details[1].endpoint": "s3.example.org",
        "details[1].region": "eu-1",
    }
    made = (await world.call("admin", "addImageStore", provider="s3", name="Far", **details))["imagestore"]
    assert (made["url"], made["protocol"], made["providername"]) == ("https://s3.example.org/backups", "https", "S3")
    body = world.server.read(IMAGE_STORE, Key("", "far"))
    assert body is not None and (body["spec"]["bucket"], body["spec"]["region"]) == ("backups", "eu-1")


@pytest.mark.parametrize(
    ("user", "params", "code", "says"),
    [
        ("admin", {"provider": "Swift"}, 431, "NFS or S3"),
        ("admin", {"provider": "NFS", "url": "nfs://filer/export"}, 431, "mount"),
        ("admin", {"provider": "NFS", "url": "file://filer/export"}, 431, "mount"),
        ("admin", {"provider": "NFS", "url": "file:/a", "details[0].bucket": "b"}, 431, "S3"),
        ("admin", {"provider": "S3", "url": "https://s3.example.org"}, 431, "bucket"),
        ("admin", {"provider": "S3", "details[0].bucket": "b", "details[0].secretkey": "k"}, 432, "imageStoreKeys"),
        ("admin", {"provider": "S3", "details[0].bucket": "b", "details[0].colour": "k"}, 431, "colour"),
        ("alice", {"provider": "NFS", "url": "file:/a"}, 432, "not available"),
    ],
)
async def test_stores_that_cannot_be(world: World, user: str, params: dict[str, str], code: int, says: str) -> None:
    status, body = await world.ask(user, "addImageStore", name="x", **params)
    assert (status, says in body["addimagestoreresponse"]["errortext"]) == (code, True), body
    assert not list(world.server.all(IMAGE_STORE))


async def _range(world: World, name: str, start: str, end: str) -> str:
    spec = {"cidr": "10.98.0.0/24", "gateway": "10.98.0.1", "bridge": "br0", "zone": "default"}
    store = MemoryStore(world.server, "operator")
    made = await store.create(IP_RANGE, IP_RANGE.body(Key("", name), spec=spec | {"start": start, "end": end}))
    return str(made["metadata"]["uid"])


async def test_the_ends_of_a_range(world: World) -> None:
    first = await _range(world, "first", "10.98.0.10", "10.98.0.20")
    await _range(world, "second", "10.98.0.40", "10.98.0.50")
    grown = (await world.call("admin", "updateVlanIpRange", id=first, endip="10.98.0.30"))["vlan"]
    assert (grown["startip"], grown["endip"]) == ("10.98.0.10", "10.98.0.30")
    await world.network("alice")
    network = next(each for each in world.server.all(NETWORK))["metadata"]["name"]
    status = {"sourceNatAddress": "10.98.0.25/24"}
    await MemoryStore(world.server, "networking").apply_status(
        NETWORK, Key("alice", network), status, resource_version=""
    )
    for params, code, says in (
        ({"endip": "10.98.0.45"}, 431, "overlap"),
        ({"startip": "10.99.0.1"}, 431, "10.98.0.0/24"),
        ({"startip": "10.98.0.1"}, 431, "gateway"),
        ({"endip": "10.98.0.24"}, 536, "10.98.0.25"),
        ({"netmask": "255.0.0.0"}, 432, "netmask"),
    ):
        answered, body = await world.ask("admin", "updateVlanIpRange", id=first, **params)
        assert (answered, says in body["updatevlaniprangeresponse"]["errortext"]) == (code, True), body


async def test_a_volume_of_an_address(world: World) -> None:
    zone = (await world.ids("alice"))["zoneid"]
    about = {"name": "ledger", "zoneid": zone, "url": "https://example.org/ledger.img", "checksum": f"{{SHA-256}}{SUM}"}
    begun = await world.call("alice", "uploadVolume", format="RAW", **about)
    done = await world.job("alice", begun["jobid"])
    assert (done["jobstatus"], done["jobresult"]["volume"]["id"]) == (1, begun["id"])
    body = world.server.read(VOLUME, Key("alice", "ledger"))
    assert body is not None
    assert body["spec"]["source"] == {
        "url": "https://example.org/ledger.img",
        "checksum": f"sha256:{SUM}",
        "format": "raw",
    }
    offering = world.uid(DISK_OFFERING, "standard")
    for params, says in (
        ({"format": "VHD"}, "QCOW2, RAW, VMDK or VDI"),
        ({"format": "RAW", "url": "ftp://example.org/a"}, "http"),
        ({"format": "RAW", "checksum": "{SHA-256}0123"}, "checksum must be"),
    ):
        status, told = await world.ask("alice", "uploadVolume", **(about | {"diskofferingid": offering} | params))
        assert (status, says in told["uploadvolumeresponse"]["errortext"]) == (431, True), told
    assert len(list(world.server.all(VOLUME))) == 1
