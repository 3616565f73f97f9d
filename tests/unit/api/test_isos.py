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


async def test_a_machine_is_installed_from_a_cd(world: World) -> None:
    await world.network("alice")
    iso, ids = await registered(world), await world.ids("alice")
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
    about = ids | {"templateid": iso, "name": "web"}
    refused = [
        ({}, "requires a disk offering to be specified for the root disk"),
        ({"diskofferingid": offering}, "size is needed"),
        ({"diskofferingid": offering, "size": "2", "rootdisksize": "3"}, "an ISO takes diskofferingid"),
    ]
    for wrong, why in refused:
        status, body = await world.ask("alice", "deployVirtualMachine", **about, **wrong)
        assert status == 431 and why in body["deployvirtualmachineresponse"]["errortext"]
    assert list(world.server.all(VOLUME)) == []

    begun = await world.call("alice", "deployVirtualMachine", **about, diskofferingid=offering, size="2")
    done = await world.job("alice", begun["jobid"])
    vm = done["jobresult"]["virtualmachine"]
    assert (done["jobstatus"], vm["state"], vm["isoid"], vm["isoname"]) == (1, "Running", iso, "setup")
    assert "templateid" not in vm
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None and "image" not in body["spec"]
    root = world.server.read(VOLUME, Key("alice", body["spec"]["rootVolume"]))
    cd = world.server.read(VOLUME, Key("alice", body["spec"]["cdrom"]))
    assert root is not None and cd is not None
    assert (root["spec"]["size"], root["spec"].get("source", {})) == ("2Gi", {})
    assert cd["spec"]["source"] == {"image": "setup"}
    for volume in (root, cd):
        assert [each["uid"] for each in volume["metadata"]["ownerReferences"]] == [vm["id"]]
    (shown,) = (await world.call("alice", "listVolumes", virtualmachineid=vm["id"]))["volume"]
    assert (shown["type"], shown["size"]) == ("ROOT", 2 << 30)
    begun = await world.call("alice", "detachIso", virtualmachineid=vm["id"])
    assert "isoid" not in (await world.job("alice", begun["jobid"]))["jobresult"]["virtualmachine"]


async def test_a_name_that_is_taken_leaves_no_disk_behind(world: World) -> None:
    await deployed(world)
    before = len(list(world.server.all(VOLUME)))
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]["id"]
    about = (await world.ids("alice")) | {"templateid": await registered(world), "name": "web"}
    status, body = await world.ask("alice", "deployVirtualMachine", **about, diskofferingid=offering, size="2")
    assert status == 431 and "already exists" in str(body)
    assert len([each for each in world.server.all(VOLUME) if not each["metadata"].get("deletionTimestamp")]) == before


async def test_an_iso_gets_other_names(world: World) -> None:
    iso = await registered(world)
    now = (await world.call("alice", "updateIso", id=iso, name="Set Up", displaytext="To begin with"))["iso"]
    assert (now["id"], now["name"], now["displaytext"]) == (iso, "Set Up", "To begin with")
    status, body = await world.ask("alice", "updateIso", id=iso, bootable="false")
    assert status == 431 and "said when it is registered" in str(body)
    template = (await world.ids("alice"))["templateid"]
    status, _ = await world.ask("alice", "updateIso", id=template, name="x")
    assert status == 431
    status, _ = await world.ask("bob", "updateIso", id=iso, name="x")
    assert status == 431
