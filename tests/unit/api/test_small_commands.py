"""What clients ask and keep around virtual machines: groups, details, ranges, keys, and what is plainly so."""

from __future__ import annotations

import pytest

from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.core import SECRET
from operators.contract.fabric import HOST, HOST_REPORT, IMAGE_STORE, IP_RANGE
from operators.contract.meta import Key, ObjectRef
from operators.contract.networking import NETWORK, ROUTER, RouterSpec, Uplink
from operators.contract.passwords import read, secret_key
from operators.contract.storage import IMAGE
from operators.kernel.memory import MemoryStore
from operators.kernel.store import Forbidden
from tests.unit.api.world import CHECKSUM, World, running


async def deployed(world: World, **more: str) -> str:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"), **more)
    await world.job("alice", begun["jobid"])
    return str(begun["id"])


async def test_instance_groups(world: World) -> None:
    made = (await world.call("alice", "createInstanceGroup", name="The Shop"))["instancegroup"]
    status, body = await world.ask("alice", "createInstanceGroup", name="The Shop")
    assert (status, "already exists" in body["createinstancegroupresponse"]["errortext"]) == (431, True)

    vm = await deployed(world, group="The Shop")
    (listed,) = (await world.call("alice", "listVirtualMachines", groupid=made["id"]))["virtualmachine"]
    assert (listed["id"], listed["group"], listed["groupid"]) == (vm, "The Shop", made["id"])
    await world.call("alice", "updateInstanceGroup", id=made["id"], name="The Store")
    (listed,) = (await world.call("alice", "listVirtualMachines", id=vm))["virtualmachine"]
    assert listed["group"] == "The Store"

    moved = (await world.call("alice", "updateVirtualMachine", id=vm, group="elsewhere"))["virtualmachine"]
    assert moved["group"] == "elsewhere"
    assert await world.call("alice", "listVirtualMachines", groupid=made["id"]) == {}
    groups = (await world.call("alice", "listInstanceGroups"))["instancegroup"]
    assert {each["name"] for each in groups} == {"The Store", "elsewhere"}
    assert await world.call("alice", "deleteInstanceGroup", id=made["id"]) == {"success": True}
    status, _ = await world.ask("alice", "listInstanceGroups", id=made["id"])
    assert status == 431


async def test_details(world: World) -> None:
    vm = await deployed(world)
    about = {"resourceid": vm, "resourcetype": "UserVm"}
    for details in (
        {"details[0].key": "color", "details[0].value": "red"},
        {"details[0].color": "blue", "details[0].size": "large"},
    ):
        begun = await world.call("alice", "addResourceDetail", **about, **details)
        assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    told = (await world.call("alice", "listResourceDetails", **about))["resourcedetail"]
    assert {each["key"]: each["value"] for each in told} == {"color": "blue", "size": "large"}
    await world.call("alice", "removeResourceDetail", **about, key="color")
    (left,) = (await world.call("alice", "listResourceDetails", **about))["resourcedetail"]
    assert left["key"] == "size"


async def test_other_keys(world: World) -> None:
    vm = await deployed(world)
    for name in ("one", "two"):
        await world.call("alice", "registerSSHKeyPair", name=name, publickey="ssh-ed25519 AAAA")
    status, body = await world.ask("alice", "resetSSHKeyForVirtualMachine", id=vm, keypair="one")
    assert (status, "must be stopped" in body["resetsshkeyforvirtualmachineresponse"]["errortext"]) == (431, True)
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm))["jobid"])
    begun = await world.call("alice", "resetSSHKeyForVirtualMachine", id=vm, keypairs="two,one")
    assert (await world.job("alice", begun["jobid"]))["jobresult"]["virtualmachine"]["keypairs"] == "two,one"
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    assert body["spec"]["sshKeyPairs"] == ["two", "one"]
    (listed,) = (await world.call("alice", "listVirtualMachines", keypair="two"))["virtualmachine"]
    assert listed["id"] == vm


async def test_new_passwords(world: World) -> None:
    vm = await deployed(world)
    status, body = await world.ask("alice", "resetPasswordForVirtualMachine", id=vm)
    assert (status, "must be stopped" in body["resetpasswordforvirtualmachineresponse"]["errortext"]) == (431, True)
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm))["jobid"])
    told = []
    for asked in ({}, {"password": "of my own"}):
        begun = await world.call("alice", "resetPasswordForVirtualMachine", id=vm, **asked)
        told.append((await world.job("alice", begun["jobid"]))["jobresult"]["virtualmachine"]["password"])
    assert len(told[0]) == 16
    assert told[1] == "of my own"
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    machine = VIRTUAL_MACHINE.parse(body)
    assert machine.spec.password_request == 2
    secret = world.server.read(SECRET, secret_key(machine, 2))
    assert secret is not None
    assert read(secret) == told[1]
    assert secret["metadata"]["ownerReferences"][0]["uid"] == vm
    listed = await world.call("alice", "listVirtualMachines", id=vm)
    assert "password" not in listed["virtualmachine"][0]
    assert not any(password in str(body) for password in told)
    status, body = await world.ask("alice", "resetPasswordForVirtualMachine", id=vm, password="two\nlines")
    assert (status, "one line" in body["resetpasswordforvirtualmachineresponse"]["errortext"]) == (431, True)


async def test_without_the_right_to_keep_secrets_a_password_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = await deployed(world)
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm))["jobid"])

    async def forbidden(*_: object) -> None:
        raise Forbidden("secrets is forbidden")

    with monkeypatch.context() as patched:
        patched.setattr(MemoryStore, "create", forbidden)
        status, body = await world.ask("alice", "resetPasswordForVirtualMachine", id=vm)
    assert status == 531
    assert (
        "create rolebinding cloudstack-api-guest-passwords"
        in body["resetpasswordforvirtualmachineresponse"]["errortext"]
    )
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None
    assert VIRTUAL_MACHINE.parse(body).spec.password_request == 0


RANGE = {"gateway": "10.98.0.1", "netmask": "255.255.255.0", "startip": "10.98.0.10", "endip": "10.98.0.20"}


async def test_ranges_of_public_addresses(world: World) -> None:
    zone = (await world.call("admin", "listZones"))["zone"][0]["id"]
    status, body = await world.ask("admin", "createVlanIpRange", zoneid=zone, **RANGE)
    assert (status, "which bridge" in body["createvlaniprangeresponse"]["errortext"]) == (431, True)

    store = MemoryStore(world.server, "agent")
    await store.create(HOST_REPORT, HOST_REPORT.body(Key("", "node1"), spec={"hostName": "node1"}))
    network = {"underlayAddress": "10.0.0.1", "bridges": ["public0"]}
    await store.apply_status(HOST_REPORT, Key("", "node1"), {"network": network}, resource_version="")
    made = (await world.call("admin", "createVlanIpRange", zoneid=zone, **RANGE))["vlan"]
    (body,) = world.server.all(IP_RANGE)
    assert body["spec"] | {"zone": "default"} == {
        "cidr": "10.98.0.0/24",
        "gateway": "10.98.0.1",
        "start": "10.98.0.10",
        "end": "10.98.0.20",
        "bridge": "public0",
        "zone": "default",
    }
    (listed,) = (await world.call("admin", "listVlanIpRanges", zoneid=zone))["vlaniprange"]
    assert listed == made
    status, _ = await world.ask("alice", "listVlanIpRanges")
    assert status == 432

    await world.network("alice")
    await store.apply_status(NETWORK, Key("alice", "front"), {"sourceNatAddress": "10.98.0.12"}, resource_version="")
    status, body = await world.ask("admin", "deleteVlanIpRange", id=made["id"])
    assert (status, "front" in body["deletevlaniprangeresponse"]["errortext"]) == (536, True)
    await store.apply_status(NETWORK, Key("alice", "front"), {}, resource_version="")
    assert await world.call("admin", "deleteVlanIpRange", id=made["id"]) == {"success": True}


@pytest.mark.parametrize(
    "bad",
    [
        {"startip": "10.99.0.1"},
        {"startip": "10.98.0.30"},
        {"startip": "10.98.0.1"},
        {"gateway": "nonsense"},
        {"vlan": "100"},
    ],
)
async def test_bad_ranges(world: World, bad: dict[str, str]) -> None:
    status, _ = await world.ask("admin", "createVlanIpRange", **RANGE | bad)
    assert status == (432 if "vlan" in bad else 431)
    assert not list(world.server.all(IP_RANGE))


async def test_routers(world: World) -> None:
    network = await world.network("alice")
    spec = RouterSpec(
        host_name="node1",
        network=ObjectRef("front", network),
        segment_id=5,
        netns="r",
        bridge="b",
        gateway="10.1.1.1/24",
        domain="front.alice.internal",
        uplink=Uplink("public0", "10.98.0.12/24", "10.98.0.1"),
    )
    store = MemoryStore(world.server, "networking")
    await store.create(ROUTER, ROUTER.body(Key("alice", "front"), spec=to_wire(spec)))
    (listed,) = (await world.call("admin", "listRouters", listall="true"))["router"]
    assert (listed["guestnetworkid"], listed["publicip"], listed["account"], listed["state"]) == (
        network,
        "10.98.0.12",
        "alice",
        "Starting",
    )
    (by_network,) = (await world.call("admin", "listRouters", networkid=network, listall="true"))["router"]
    assert by_network["id"] == listed["id"]
    assert (await world.ask("alice", "listRouters"))[0] == 432


async def test_a_template_is_fetched_by_its_owner_alone(world: World) -> None:
    store = MemoryStore(world.server, "kubectl")
    spec = {"url": "http://user:secret@example.org/own.qcow2", "checksum": CHECKSUM, "public": True}
    made = await store.create(IMAGE, IMAGE.body(Key("alice", "own"), spec=spec))
    uid = made["metadata"]["uid"]
    begun = await world.call("alice", "extractTemplate", id=uid, mode="HTTP_DOWNLOAD")
    assert (await world.job("alice", begun["jobid"]))["jobresult"]["template"]["url"] == spec["url"]
    status, _ = await world.ask("bob", "extractTemplate", id=uid, mode="HTTP_DOWNLOAD")
    assert status == 531
    told = await world.call("bob", "queryAsyncJobResult", jobid=begun["jobid"])
    assert "secret" not in str(told)

    zone = (await world.call("alice", "listZones"))["zone"][0]["id"]
    begun = await world.call("alice", "copyTemplate", id=uid, destzoneids=zone)
    assert (await world.job("alice", begun["jobid"]))["jobresult"]["template"]["id"] == uid


async def test_locked_people_are_out(world: World) -> None:
    user = (await world.call("admin", "listUsers", username="alice", listall="true"))["user"][0]
    assert (await world.call("admin", "lockUser", id=user["id"]))["user"]["state"] == "disabled"
    assert (await world.ask("alice", "listZones"))[0] == 401
    await world.call("admin", "enableUser", id=user["id"])
    assert (await world.ask("alice", "listZones"))[0] == 200
    locked = await world.call("admin", "lockAccount", account="alice", domainid=user["domainid"])
    assert locked["account"]["state"] == "disabled"
    assert (await world.ask("alice", "listZones"))[0] == 401


async def test_alerts_are_what_is_wrong_now(world: World) -> None:
    assert await world.call("admin", "listAlerts") == {}
    store = MemoryStore(world.server, "monitoring")
    lost = {"type": "Reachable", "status": "False", "reason": "Silent", "message": "no agent beats"}
    await store.apply_status(HOST, Key("", "node1"), {"conditions": [lost]}, resource_version="")
    (alert,) = (await world.call("admin", "listAlerts", type="7"))["alert"]
    assert alert["description"] == "Host node1 is not up: no agent beats"
    await store.apply_status(HOST, Key("", "node1"), {"conditions": [lost | {"status": "True"}]}, resource_version="")
    assert await world.call("admin", "listAlerts") == {}


async def test_what_zones_are_made_of(world: World) -> None:
    zone = (await world.call("admin", "listZones"))["zone"][0]["id"]
    (network,) = (await world.call("admin", "listPhysicalNetworks", zoneid=zone))["physicalnetwork"]
    kinds = (await world.call("admin", "listTrafficTypes", physicalnetworkid=network["id"]))["traffictype"]
    assert {each["name"] for each in kinds} == {"Guest", "Public", "Management", "Storage"}
    found = await world.call("admin", "listNetworkServiceProviders", physicalnetworkid=network["id"])
    (provider,) = found["networkserviceprovider"]
    (element,) = (await world.call("admin", "listVirtualRouterElements", nspid=provider["id"]))["virtualrouterelement"]
    assert element["enabled"] is True
    assert await world.call("admin", "listTrafficTypes", physicalnetworkid=zone) == {}


async def test_stores(world: World) -> None:
    store = MemoryStore(world.server, "kubectl")
    spec = {"type": "S3", "endpoint": "https://s3.example.org", "bucket": "backups"}
    await store.create(IMAGE_STORE, IMAGE_STORE.body(Key("", "far"), spec=spec))
    (listed,) = (await world.call("admin", "listImageStores", provider="S3"))["imagestore"]
    assert (listed["name"], listed["url"], listed["protocol"]) == ("far", "https://s3.example.org/backups", "https")
    assert await world.call("admin", "listImageStores", provider="NFS") == {}
    await world.call("admin", "deleteImageStore", id=listed["id"])
    assert not list(world.server.all(IMAGE_STORE))


async def test_how_busy_machines_are(world: World) -> None:
    vm = await deployed(world)
    (listed,) = (await world.call("alice", "listVirtualMachinesMetrics", id=vm))["virtualmachine"]
    assert (listed["id"], listed["memorykbs"], "cpuused" in listed) == (vm, 128 * 1024, False)
    store, key = MemoryStore(world.server, "compute"), Key("alice", "web")
    body = world.server.read(VIRTUAL_MACHINE, key)
    assert body is not None
    usage = {"cpuPercent": 40, "memoryUsed": "64Mi"}
    await world.still()
    await store.apply_status(VIRTUAL_MACHINE, key, body["status"] | {"guest": {"usage": usage}}, resource_version="")
    (listed,) = (await world.call("alice", "listVirtualMachinesMetrics", id=vm))["virtualmachine"]
    assert (listed["cpuused"], listed["memoryintfreekbs"]) == ("40%", 64 * 1024)


@pytest.mark.parametrize(
    ("command", "params", "answer"),
    [
        ("listRegions", {}, {"count": 1}),
        ("listRegions", {"name": "Mars"}, {}),
        ("quotaIsEnabled", {}, {"isEnabled": {"isenabled": False}}),
        ("listSystemVms", {}, {}),
        ("listManagementServersMetrics", {}, {"count": 1}),
        ("listStorageProviders", {"type": "primary"}, {"count": 1}),
        ("generateUsageRecords", {}, {"success": True}),
    ],
)
async def test_what_is_plainly_so(
    world: World, command: str, params: dict[str, str], answer: dict[str, object]
) -> None:
    told = await world.call("admin", command, **params)
    assert {name: told[name] for name in answer} == answer
    assert bool(told) == bool(answer)


async def test_a_missing_command_says_why(world: World) -> None:
    status, body = await world.ask("alice", "createVPC")
    assert status == 432
    assert "VPCs are not there yet" in body["createvpcresponse"]["errortext"]


async def test_limits_of_calls(world: World) -> None:
    told = (await world.call("alice", "getApiLimit"))["apilimit"]
    assert (told["account"], told["apiAllowed"]) == ("alice", -1)
    assert (await world.ask("alice", "resetApiLimit"))[0] == 432
    assert await world.call("admin", "resetApiLimit") == {"success": True}


async def test_capabilities_are_what_users_can_do(world: World) -> None:
    told = (await world.call("alice", "listCapabilities"))["capability"]
    assert "apilimitmax" not in told
    vm = await deployed(world)
    await world.call("alice", "createProject", name="ours")
    assert told["allowusercreateprojects"] is True
    await world.job("alice", (await world.call("alice", "stopVirtualMachine", id=vm, forced="true"))["jobid"])
    assert told["allowuserforcestopvm"] is True
    await world.job("alice", (await world.call("alice", "destroyVirtualMachine", id=vm))["jobid"])
    (listed,) = (await world.call("alice", "listVirtualMachines", id=vm))["virtualmachine"]
    assert (told["allowuserviewdestroyedvm"], listed["state"]) == (True, "Destroyed")
    await world.call("alice", "recoverVirtualMachine", id=vm)
    await world.job("alice", (await world.call("alice", "destroyVirtualMachine", id=vm, expunge="true"))["jobid"])
    assert told["allowuserexpungerecovervm"] is True
    about = {"url": "http://example.org/t.qcow2", "checksum": CHECKSUM, "format": "QCOW2", "hypervisor": "KVM"}
    made = (await world.call("alice", "registerTemplate", name="public", ispublic="true", **about))["template"][0]
    assert (told["userpublictemplateenabled"], made["ispublic"]) == (True, True)
    assert (await world.ask("alice", "createSecurityGroup", name="web"))[0] == 432
    assert told["securitygroupsenabled"] is False


async def test_capabilities_tell_the_limit_of_calls() -> None:
    async with running(API_RATE_LIMIT="100", API_RATE_INTERVAL="5s") as world:
        told = (await world.call("alice", "listCapabilities"))["capability"]
        assert (told["apilimitmax"], told["apilimitinterval"]) == (100, 5)
        left = (await world.call("alice", "getApiLimit"))["apilimit"]
        assert left["apiAllowed"] == 100 - left["apiIssued"]


async def test_a_network_is_restarted(world: World) -> None:
    network = await world.network("alice")
    begun = await world.call("alice", "restartNetwork", id=network, cleanup="true")
    body = world.server.read(NETWORK, Key("alice", "front"))
    assert body is not None
    assert body["spec"]["restartRequest"] == 1
    assert (await world.call("alice", "queryAsyncJobResult", jobid=begun["jobid"]))["jobstatus"] == 0
    ready = {"type": "Ready", "status": "True", "reason": "AsSpecified"}
    ready["observedGeneration"] = body["metadata"]["generation"]
    store = MemoryStore(world.server, "networking")
    await store.apply_status(NETWORK, Key("alice", "front"), {"conditions": [ready]}, resource_version="")
    assert (await world.job("alice", begun["jobid"]))["jobresult"] == {"success": True}
    begun = await world.call("alice", "restartNetwork", id=network, cleanup="false")
    assert (await world.job("alice", begun["jobid"]))["jobresult"] == {"success": True}
    body = world.server.read(NETWORK, Key("alice", "front"))
    assert body is not None and body["spec"]["restartRequest"] == 1, "what works is left alone"
    assert (await world.ask("bob", "restartNetwork", id=network))[0] == 431
