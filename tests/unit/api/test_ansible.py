"""What the modules of Ansible's collection ask in one breath, and which fields they read without looking."""

from __future__ import annotations

from typing import Any

import pytest

from operators.api.jobs import FAILED, settled
from operators.contract.fabric import ZONE
from operators.contract.meta import Key
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import IMAGE
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World

ABOUT = {
    "name": "one",
    "displaytext": "one",
    "format": "QCOW2",
    "hypervisor": "KVM",
    "url": "http://example.org/a.qcow2",
    "zoneid": "-1",
}


async def template(world: World, **more: str) -> dict[str, Any]:
    made: dict[str, Any] = (await world.call("alice", "registerTemplate", **(ABOUT | more)))["template"][0]
    return made


async def test_types_of_affinity_groups(world: World) -> None:
    """`cs_affinitygroup` reads this key, in this spelling."""
    assert {"type": "host anti-affinity"} in (await world.call("alice", "listAffinityGroupTypes"))["affinityGroupType"]


@pytest.mark.parametrize("zone", ["default", "north"])
async def test_a_new_volume_is_found_in_its_zone(world: World, zone: str) -> None:
    """`cs_volume` makes another one where it does not find its own, which is on no pool yet."""
    if zone != "default":
        store = MemoryStore(world.server, "operator")
        (former,) = world.server.all(ZONE)
        await store.delete(ZONE, Key("", "default"), uid=former["metadata"]["uid"])
        await store.create(ZONE, ZONE.body(Key("", zone), spec={}))
        await world.call("alice", "listZones")
    here = (await world.call("alice", "listZones", name=zone))["zone"][0]["id"]
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
    asked = {"name": "ledger", "zoneid": here, "diskofferingid": offering, "size": "1"}
    made = await world.call("alice", "createVolume", **asked)
    found = (await world.call("alice", "listVolumes", zoneid=here, type="DATADISK"))["volume"]
    assert [(each["id"], each["zoneid"]) for each in found] == [(made["id"], here)]


async def test_a_template_is_told_what_it_is(world: World) -> None:
    """`cs_template` repeats the format and that it is no router's."""
    uid = (await template(world))["id"]
    named = await world.call("alice", "updateTemplate", id=uid, displaytext="two", format="qcow2", isrouting="false")
    assert named["template"]["displaytext"] == "two"


@pytest.mark.parametrize(
    ("changed", "says"), [({"format": "RAW"}, "is QCOW2"), ({"isrouting": "true"}, "no templates")]
)
async def test_a_template_stays_what_it_is(world: World, changed: dict[str, str], says: str) -> None:
    uid = (await template(world))["id"]
    status, body = await world.ask("alice", "updateTemplate", id=uid, **changed)
    assert (status, says in body["updatetemplateresponse"]["errortext"]) == (431, True)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("", None),
        ("{SHA-256}" + "A" * 64, "sha256:" + "a" * 64),
        ("sha256:" + "0" * 64, "sha256:" + "0" * 64),
        ("{SHA-512}" + "0" * 128, "sha512:" + "0" * 128),
        ("{MD5}" + "0" * 32, "md5:" + "0" * 32),
        ("0" * 32, "md5:" + "0" * 32),
        ("0" * 40, "sha1:" + "0" * 40),
    ],
)
async def test_checksums_as_clients_say_them(world: World, said: str, kept: str | None) -> None:
    """Most leave it out, or say MD5."""
    uid = (await template(world, checksum=said))["id"]
    (body,) = [each for each in world.server.all(IMAGE) if each["metadata"]["uid"] == uid]
    assert body["spec"].get("checksum") == kept


@pytest.mark.parametrize("said", ["{SHA-256}" + "0" * 32, "{CRC}" + "0" * 32, "0" * 33, "nonsense"])
async def test_checksums_that_are_none(world: World, said: str) -> None:
    status, body = await world.ask("alice", "registerTemplate", **(ABOUT | {"checksum": said}))
    assert (status, "checksum must be" in body["registertemplateresponse"]["errortext"]) == (431, True)


async def test_not_only_what_is_ready(world: World) -> None:
    """`cs_iso` says isready=false when it looks whether there is one at all."""
    uid = (await template(world))["id"]
    for ready in ({}, {"isready": "false"}, {"isready": "true"}):
        found = (await world.call("alice", "listTemplates", templatefilter="self", name="one", **ready))["template"]
        assert [each["id"] for each in found] == [uid]


async def test_an_operating_system_is_kept_and_told(world: World) -> None:
    """`cs_template` calls a template changed that does not tell the operating system it was registered with."""
    listed = (await world.call("alice", "listOsTypes", description="Ubuntu 24.04 LTS"))["ostype"]
    (system,) = [each["id"] for each in listed]
    made = await template(world, ostypeid=system)
    assert (made["ostypeid"], made["ostypename"]) == (system, "Ubuntu 24.04 LTS")
    await world.call("alice", "updateTemplate", id=made["id"], ostypeid=system)
    status, _ = await world.ask("alice", "updateTemplate", id=made["id"], ostypeid=(await template(world))["ostypeid"])
    assert status == 431
    status, _ = await world.ask("alice", "registerTemplate", **(ABOUT | {"ostypeid": made["id"]}))
    assert status == 431


async def test_a_switch_that_is_off_asks_for_nothing(world: World) -> None:
    """Modules send every switch that they have; of a list, though, an off one is a filter."""
    uid = (await template(world))["id"]
    await world.call("alice", "updateTemplate", id=uid, cleanupdetails="false", forceupdateostype="False")
    assert (await world.ask("alice", "updateTemplate", id=uid, cleanupdetails="true"))[0] == 432
    assert (await world.ask("alice", "listVolumes", isencrypted="false"))[0] == 432


async def test_a_job_ends_that_only_another_pool_could_do(world: World) -> None:
    """Whoever waits for it would wait for ever."""
    spec: dict[str, Any] = {"volume": "ledger"}
    body = VOLUME_SNAPSHOT.body(Key("alice", "then"), spec=spec)
    said = {
        "type": "Ready",
        "status": "False",
        "reason": "Unsupported",
        "message": "pool p cannot",
        "observedGeneration": 1,
    }
    body |= {"status": {"conditions": [said]}}
    body["metadata"] |= {"generation": 1, "uid": "1"}
    assert settled(VOLUME_SNAPSHOT.parse(body)) == (FAILED, "pool p cannot")


async def test_a_volume_tells_since_when_somebody_has_it(world: World) -> None:
    """`cs_volume` takes a volume without the date for nobody's, and never detaches it."""
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    (root,) = (await world.call("alice", "listVolumes", virtualmachineid=begun["id"]))["volume"]
    assert root["attached"]
    zone = (await world.call("alice", "listZones"))["zone"][0]["id"]
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
    made = await world.call("alice", "createVolume", name="ledger", zoneid=zone, diskofferingid=offering, size="1")
    (free,) = (await world.call("alice", "listVolumes", id=made["id"]))["volume"]
    assert "attached" not in free
