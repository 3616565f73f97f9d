"""Templates that are made of volumes and snapshots."""

from __future__ import annotations

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.storage import IMAGE, VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.test_small_commands import deployed
from tests.unit.api.test_volume_creation import snapshot
from tests.unit.api.world import World

SUM = "sha256:" + "5" * 64


async def volume(world: World, *, disk: bool = True) -> str:
    store = MemoryStore(world.server, "storage")
    made = await store.create(VOLUME, VOLUME.body(Key("alice", "ledger"), spec={"size": "2Gi"}))
    if disk:
        await store.apply_status(VOLUME, Key("alice", "ledger"), {"disk": "ledger-d0"}, resource_version="")
    return str(made["metadata"]["uid"])


async def said(world: World, ready: bool, reason: str = "AsSpecified", message: str = "") -> None:
    """Storage tells how the Image stands."""
    condition = {"type": "Ready", "status": str(ready), "reason": reason, "message": message, "observedGeneration": 1}
    status = {"conditions": [condition], "observedGeneration": 1} | ({"checksum": SUM} if ready else {})
    await MemoryStore(world.server, "storage").apply_status(IMAGE, Key("alice", "golden"), status, resource_version="")


async def test_a_template_of_a_volume(world: World) -> None:
    uid = await volume(world)
    begun = await world.call("alice", "createTemplate", name="golden", volumeid=uid, displaytext="Ours")
    body = world.server.read(IMAGE, Key("alice", "golden"))
    assert body is not None
    assert (body["spec"]["source"], "url" in body["spec"], "checksum" in body["spec"]) == (
        {"volume": "ledger"},
        False,
        False,
    )
    assert (await world.call("alice", "queryAsyncJobResult", jobid=begun["jobid"]))["jobstatus"] == 0
    (listed,) = (await world.call("alice", "listTemplates", templatefilter="self"))["template"]
    assert (listed["isready"], listed["displaytext"], listed.get("url")) == (False, "Ours", None)
    await said(world, False, "Importing", "host node1 copies it")
    assert (await world.call("alice", "queryAsyncJobResult", jobid=begun["jobid"]))["jobstatus"] == 0
    await said(world, True)
    done = await world.job("alice", begun["jobid"])
    template = done["jobresult"]["template"]
    assert (done["jobstatus"], template["id"], template["checksum"]) == (
        1,
        begun["id"],
        SUM.replace("sha256:", "{SHA-256}"),
    )
    status, answer = await world.ask("alice", "extractTemplate", id=begun["id"], mode="HTTP_DOWNLOAD")
    assert status == 431 and "no url" in answer["extracttemplateresponse"]["errortext"]


async def test_a_template_of_a_snapshot(world: World) -> None:
    uid = await snapshot(world)
    await world.call("alice", "createTemplate", name="golden", snapshotid=uid, ispublic="true")
    body = world.server.read(IMAGE, Key("alice", "golden"))
    assert body is not None and (body["spec"]["source"], body["spec"]["public"]) == ({"snapshot": "then"}, True)


async def test_a_volume_in_use_must_be_let_go_of_first(world: World) -> None:
    vm = await deployed(world)
    (root,) = (await world.call("alice", "listVolumes", virtualmachineid=vm))["volume"]
    store = MemoryStore(world.server, "storage")
    (found,) = map(VOLUME.parse, world.server.all(VOLUME))
    await store.apply_status(VOLUME, found.key, {"disk": "web-root-d0"}, resource_version="")
    status, body = await world.ask("alice", "createTemplate", name="golden", volumeid=root["id"])
    assert status == 431 and "stop virtual machine web" in body["createtemplateresponse"]["errortext"]
    begun = await world.call("alice", "stopVirtualMachine", id=vm)
    await world.job("alice", begun["jobid"])
    assert world.server.read(VIRTUAL_MACHINE, Key("alice", "web")) is not None
    await world.call("alice", "createTemplate", name="golden", volumeid=root["id"])
    assert world.server.read(IMAGE, Key("alice", "golden")) is not None


@pytest.mark.parametrize(
    ("user", "of", "code", "says"),
    [
        ("alice", "", 431, "volumeid"),
        ("alice", "both", 431, "either volumeid or snapshotid"),
        ("alice", "unready", 431, "is not ready"),
        ("alice", "blank", 431, "has no disk yet"),
        ("bob", "volume", 431, "volumeid"),
    ],
)
async def test_what_cannot_be(world: World, user: str, of: str, code: int, says: str) -> None:
    about: dict[str, str] = {}
    if of in ("volume", "blank"):
        about["volumeid"] = await volume(world, disk=of == "volume")
    elif of:
        about["snapshotid"] = await snapshot(world, ready=of == "both")
    if of == "both":
        about["volumeid"] = world.uid(VOLUME, "ledger", "alice")
    status, body = await world.ask(user, "createTemplate", name="golden", **about)
    assert (status, says in body["createtemplateresponse"]["errortext"]) == (code, True), body
    assert world.server.read(IMAGE, Key("alice", "golden")) is None
