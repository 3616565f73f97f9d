"""A root disk that is made anew, by the API."""

from __future__ import annotations

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.orchestration import FLOW
from operators.contract.storage import IMAGE, VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.test_small_commands import deployed
from tests.unit.api.world import CHECKSUM, World


async def other_template(world: World) -> str:
    spec = {"url": "http://example.org/other.qcow2", "checksum": CHECKSUM}
    made = await MemoryStore(world.server, "kubectl").create(IMAGE, IMAGE.body(Key("alice", "other"), spec=spec))
    return str(made["metadata"]["uid"])


@pytest.mark.parametrize("other", [False, True])
async def test_the_machine_is_the_same_and_its_root_disk_is_new(world: World, other: bool) -> None:
    vm = await deployed(world)
    (before,) = (await world.call("alice", "listVirtualMachines", id=vm))["virtualmachine"]
    (root,) = (await world.call("alice", "listVolumes", virtualmachineid=vm))["volume"]
    about = {"templateid": await other_template(world)} if other else {}
    begun = await world.call("alice", "restoreVirtualMachine", virtualmachineid=vm, **about)
    done = await world.job("alice", begun["jobid"])
    after = done["jobresult"]["virtualmachine"]
    assert (done["jobstatus"], after["id"], after["state"]) == (1, vm, "Running")
    assert [nic["macaddress"] for nic in after["nic"]] == [nic["macaddress"] for nic in before["nic"]]
    body = world.server.read(VIRTUAL_MACHINE, Key("alice", "web"))
    assert body is not None and body["spec"]["reinstallRequest"] == 1
    assert body["spec"]["image"] == ("other" if other else "tiny")
    assert [flow["spec"]["operation"] for flow in world.server.all(FLOW)].count("Reinstall") == 1
    new = world.server.read(VOLUME, Key("alice", "web-root1"))
    assert new is not None and new["metadata"]["uid"] != root["id"]
    assert new["spec"]["source"]["image"] == body["spec"]["image"]


async def test_a_machine_that_boots_from_a_volume_has_no_template(world: World) -> None:
    store = MemoryStore(world.server, "kubectl")
    spec = {"offering": "tiny", "rootVolume": "old", "runPolicy": "Stopped"}
    await store.create(VOLUME, VOLUME.body(Key("alice", "old"), spec={"size": "1Gi"}))
    made = await store.create(VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(Key("alice", "web"), spec=spec))
    await world.settled()
    await world.still()
    status, body = await world.ask("alice", "restoreVirtualMachine", virtualmachineid=made["metadata"]["uid"])
    assert status == 431 and "not from a template" in body["restorevirtualmachineresponse"]["errortext"]
