"""Maintenance of pools, and the end of volumes."""

from __future__ import annotations

from operators.contract.fabric import STORAGE_POOL
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World


async def test_maintenance_of_a_pool(world: World) -> None:
    pool = world.uid(STORAGE_POOL, "local-node1")
    for command, wanted, state in (
        ("enableStorageMaintenance", True, "Maintenance"),
        ("cancelStorageMaintenance", False, "Down"),
    ):
        done = await world.job("admin", (await world.call("admin", command, id=pool))["jobid"])
        assert done["jobresult"]["storagepool"]["state"] == state
        body = world.server.read(STORAGE_POOL, Key("", "local-node1"))
        assert body is not None
        assert body["spec"]["maintenance"] is wanted
        (listed,) = (await world.call("admin", "listStoragePools", status=state))["storagepool"]
        assert listed["id"] == pool
        status, _ = await world.ask("alice", command, id=pool)
        assert status == 432


async def test_a_volume_is_destroyed_for_good_or_not_at_all(world: World) -> None:
    store = MemoryStore(world.server, "kubectl")
    made = await store.create(VOLUME, VOLUME.body(Key("alice", "ledger"), spec={"size": "1Gi"}))
    uid = made["metadata"]["uid"]
    status, body = await world.ask("alice", "destroyVolume", id=uid)
    assert (status, "expunge=true" in body["destroyvolumeresponse"]["errortext"]) == (432, True)
    begun = await world.call("alice", "destroyVolume", id=uid, expunge="true")
    assert (await world.job("alice", begun["jobid"]))["jobstatus"] == 1
    assert not list(world.server.all(VOLUME))


async def test_a_volume_in_use_is_not_destroyed(world: World) -> None:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    (root,) = (await world.call("alice", "listVolumes", type="ROOT"))["volume"]
    status, body = await world.ask("alice", "destroyVolume", id=root["id"], expunge="true")
    assert (status, "not attached" in body["destroyvolumeresponse"]["errortext"]) == (431, True)
