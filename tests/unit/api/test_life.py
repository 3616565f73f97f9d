"""The life of a virtual machine through the API: the very objects that kubectl shows, and jobs that are Flows."""

from __future__ import annotations

import base64

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import NETWORK, PORT, VOLUME, World


async def test_the_whole_life(world: World) -> None:
    network = await world.network("alice")
    ids = await world.ids("alice")
    data = base64.b64encode(b"#!/bin/sh\n").decode()
    begun = await world.call("alice", "deployVirtualMachine", name="web", networkids=network, userdata=data, **ids)
    vm, job = begun["id"], begun["jobid"]

    assert vm == world.uid(VIRTUAL_MACHINE, "web", "alice")
    listed = await world.call("alice", "listVirtualMachines")  # read your writes: before anything else happened
    assert [each["id"] for each in listed["virtualmachine"]] == [vm]
    assert listed["virtualmachine"][0]["state"] in ("Starting", "Running")

    done = await world.job("alice", job)
    assert done["jobstatus"] == 1, done
    machine = done["jobresult"]["virtualmachine"]
    assert (machine["state"], machine["ipaddress"]) == ("Running", "10.1.1.5")
    assert (machine["serviceofferingname"], machine["templatename"]) == ("Tiny Instance", "tiny")
    assert machine["nic"][0]["networkid"] == network
    assert (machine["account"], machine["domainpath"]) == ("alice", "ROOT/sales/east")
    assert job in {body["metadata"]["uid"] for body in world.server.all(FLOW)}
    spec = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert spec is not None
    assert spec["spec"]["userData"] == {"inline": "#!/bin/sh\n"}

    for command, state in (
        ("stopVirtualMachine", "Stopped"),
        ("startVirtualMachine", "Running"),
        ("rebootVirtualMachine", "Running"),
    ):
        begun = await world.call("alice", command, id=vm)
        done = await world.job("alice", begun["jobid"])
        assert done["jobresult"]["virtualmachine"]["state"] == state
        assert done["cmd"] == command
    operations = [body["spec"]["operation"] for body in world.server.all(FLOW)]
    assert sorted(operations) == ["Deploy", "Reboot", "Start", "Stop"], "one Flow an operation, whoever made it"

    begun = await world.call("alice", "destroyVirtualMachine", id=vm)
    done = await world.job("alice", begun["jobid"])
    assert done["jobresult"]["virtualmachine"]["state"] == "Destroyed"
    status, refused = await world.ask("alice", "startVirtualMachine", id=vm)
    assert status == 431
    assert "recover it first" in refused["startvirtualmachineresponse"]["errortext"]
    recovered = await world.call("alice", "recoverVirtualMachine", id=vm)
    assert recovered["virtualmachine"]["id"] == vm
    begun = await world.call("alice", "destroyVirtualMachine", id=vm)
    await world.job("alice", begun["jobid"])
    begun = await world.call("alice", "expungeVirtualMachine", id=vm)
    done = await world.job("alice", begun["jobid"])
    assert done["jobstatus"] == 1
    assert await world.call("alice", "listVirtualMachines") == {}
    assert not list(world.server.all(PORT))
    assert not list(world.server.all(VOLUME))

    begun = await world.call("alice", "deleteNetwork", id=network)
    assert (await world.job("alice", begun["jobid"]))["jobresult"] == {"success": True}
    assert not list(world.server.all(NETWORK))


async def test_what_is_so_already_is_a_job_that_succeeds(world: World) -> None:
    await world.network("alice")
    ids = await world.ids("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", startvm="false", **ids)
    await world.job("alice", begun["jobid"])

    first = await world.call("alice", "stopVirtualMachine", id=begun["id"])
    again = await world.call("alice", "stopVirtualMachine", id=begun["id"])

    assert first == again
    assert (await world.job("alice", first["jobid"]))["jobresult"]["virtualmachine"]["state"] == "Stopped"


async def test_a_machine_of_kubectl_is_one_of_the_api(world: World) -> None:
    network = await world.network("alice")
    name = next(world.server.all(NETWORK))["metadata"]["name"]
    spec = {"offering": "tiny", "image": "tiny", "nics": [{"network": name}]}
    await MemoryStore(world.server, "kubectl").apply(
        VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(Key("alice", "db"), spec=spec)
    )

    (machine,) = (await world.call("alice", "listVirtualMachines", networkid=network))["virtualmachine"]
    assert machine["name"] == "db"
    jobs = (await world.call("alice", "listAsyncJobs"))["asyncjobs"]
    await world.job("alice", jobs[0]["jobid"])
    begun = await world.call("alice", "stopVirtualMachine", id=machine["id"])
    await world.job("alice", begun["jobid"])
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "db"))
    assert body is not None
    assert body["spec"] == spec | {"runPolicy": "Stopped"}, "its user's spec, with the one change"


async def test_power_waits_for_the_deployment(world: World) -> None:
    await world.still()
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))

    status, body = await world.ask("alice", "stopVirtualMachine", id=begun["id"])

    assert status == 431
    assert begun["jobid"] in body["stopvirtualmachineresponse"]["errortext"]


async def test_names_are_kept_as_they_were_given(world: World) -> None:
    first, second = await world.network("alice", "Größe Nr. 1"), await world.network("alice", "Größe Nr. 1")

    listed = (await world.call("alice", "listNetworks"))["network"]
    assert [each["name"] for each in listed] == ["Größe Nr. 1"] * 2
    assert {each["id"] for each in listed} == {first, second}
    assert len({each["cidr"] for each in listed}) == 2


async def test_volumes(world: World) -> None:
    zone = (await world.call("alice", "listZones"))["zone"][0]["id"]
    offering = (await world.call("alice", "listDiskOfferings"))["diskoffering"][0]
    assert offering["iscustomized"]
    begun = await world.call(
        "alice", "createVolume", name="Ledger", diskofferingid=offering["id"], zoneid=zone, size="2"
    )

    done = await world.job("alice", begun["jobid"])
    assert done["jobresult"]["volume"]["id"] == begun["id"]
    (volume,) = (await world.call("alice", "listVolumes", name="Ledger"))["volume"]
    assert (volume["size"], volume["type"], volume["account"]) == (2 * 2**30, "DATADISK", "alice")

    assert await world.call("alice", "deleteVolume", id=begun["id"]) == {"success": True}
    assert await world.call("alice", "listVolumes") == {}


@pytest.mark.parametrize(
    ("bad", "code", "says"),
    [
        ({"name": "9lives"}, 431, "host name"),
        ({"rootdisksize": "0"}, 431, "positive"),
        ({"userdata": "?"}, 431, "base64"),
        ({"hypervisor": "VMware"}, 431, "KVM"),
        ({"bootmode": "mine"}, 432, "parameter bootmode of deployVirtualMachine is not supported yet"),
        ({"name": "web"}, 431, "already exists"),
    ],
)
async def test_a_deployment_that_cannot_be(world: World, bad: dict[str, str], code: int, says: str) -> None:
    await world.network("alice")
    ids = await world.ids("alice")
    await world.call("alice", "deployVirtualMachine", name="web", **ids)

    status, body = await world.ask("alice", "deployVirtualMachine", **ids, **bad)

    assert status == code
    assert says in body["deployvirtualmachineresponse"]["errortext"]
    assert len(list(world.server.all(VIRTUAL_MACHINE))) == 1


async def test_what_is_in_use_is_not_deleted(world: World) -> None:
    network = await world.network("alice")
    await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))

    status, body = await world.ask("alice", "deleteNetwork", id=network)
    assert (status, "web is on it" in body["deletenetworkresponse"]["errortext"]) == (536, True)
