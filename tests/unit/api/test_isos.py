"""CDs: registered, listed apart from templates, put into drives and taken out."""

from __future__ import annotations

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.storage import IMAGE, VOLUME
from tests.unit.api.test_small_commands import deployed
from tests.unit.api.world import CHECKSUM, World


async def registered(world: World, name: str = "setup") -> str:
    zone = (await world.ids("alice"))["zoneid"]
    url = f"http://images.example/{name}.iso"
    made = await world.call("alice", "registerIso", name=name, url=url, zoneid=zone, checksum=CHECKSUM)
    (iso,) = made["iso"]
    assert (iso["format"], iso["bootable"]) == ("ISO", True)
    return str(iso["id"])


async def test_isos_are_no_templates(world: World) -> None:
    iso = await registered(world)
    (listed,) = (await world.call("alice", "listIsos"))["iso"]
    assert (listed["id"], listed["name"]) == (iso, "setup")
    templates = (await world.call("alice", "listTemplates", templatefilter="executable")).get("template", [])
    assert iso not in {each["id"] for each in templates}
    template = templates[0]["id"]
    status, body = await world.ask("alice", "deleteIso", id=template)
    assert status == 431 and "no ISO" in str(body)
    begun = await world.call("alice", "deleteIso", id=iso)
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    assert await world.call("alice", "listIsos") == {}
    assert world.server.read(IMAGE, Key("alice", "setup")) is None


async def test_a_cd_comes_and_goes(world: World) -> None:
    vm = await deployed(world)
    first, second = await registered(world), await registered(world, "drivers")
    begun = await world.call("alice", "attachIso", id=first, virtualmachineid=vm)
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    inserted = world.server.read(VOLUME, Key("alice", body["spec"]["cdrom"]))
    assert inserted is not None and inserted["spec"]["source"]["image"] == "setup"
    assert inserted["metadata"]["ownerReferences"][0]["uid"] == body["metadata"]["uid"]
    shown = (await world.call("alice", "listVolumes"))["volume"]
    assert [each["type"] for each in shown] == ["ROOT"]
    status, said = await world.ask("alice", "attachIso", id=second, virtualmachineid=vm)
    assert status == 431 and "already" in str(said)
    begun = await world.call("alice", "attachIso", id=second, virtualmachineid=vm, forced="true")
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    now = Key("alice", body["spec"]["cdrom"])
    begun = await world.call("alice", "detachIso", virtualmachineid=vm)
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None and "cdrom" not in body["spec"]
    left = world.server.read(VOLUME, now)
    assert left is None or left["metadata"].get("deletionTimestamp")
    status, _ = await world.ask("alice", "detachIso", virtualmachineid=vm)
    assert status == 431
