"""Lists tell what is so now, although they do not write each response anew."""

from __future__ import annotations

from typing import Any

import pytest

from operators.api.prepared import MOST, Kept
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.identity import ACCOUNT
from operators.contract.meta import Key, Kind
from operators.contract.networking import NETWORK, PORT
from operators.contract.placement import AFFINITY_GROUP
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import World

SPEC, STATUS = "spec", "status"
CHANGES: list[tuple[Kind[Any, Any], str, str, str, dict[str, Any], str, Any]] = [
    (VIRTUAL_MACHINE, "alice", "web", SPEC, {"haEnabled": True}, "haenable", True),
    (VIRTUAL_MACHINE, "alice", "web", SPEC, {"runPolicy": "Stopped"}, "state", "Stopped"),
    (COMPUTE_OFFERING, "", "tiny", SPEC, {"cpus": 3}, "cpunumber", 3),
    (PORT, "alice", "web-nic0", STATUS, {"ip": "10.1.1.9"}, "ipaddress", "10.1.1.9"),
    (ACCOUNT, "", "alice", SPEC, {"displayName": "The Alices"}, "account", "The Alices"),
]


@pytest.mark.parametrize(("kind", "namespace", "name", "part", "change", "field", "value"), CHANGES)
async def test_a_change_is_shown(
    world: World, kind: Kind[Any, Any], namespace: str, name: str, part: str, change: Any, field: str, value: Any
) -> None:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    await world.settled()
    world.hold = True
    (before,) = (await world.call("alice", "listVirtualMachines"))["virtualmachine"]
    assert before[field] != value
    store, key = MemoryStore(world.server, "somebody"), Key(namespace, name)
    body = world.server.read(kind, key)
    assert body is not None
    if part == SPEC:
        await store.merge(kind, kind.parse(body).meta, {"spec": change})
    else:
        await store.apply_status(kind, key, body["status"] | change, resource_version="")
    (now,) = (await world.call("alice", "listVirtualMachines"))["virtualmachine"]
    assert now[field] == value
    assert now == (await world.call("alice", "listVirtualMachines", id=before["id"]))["virtualmachine"][0]


async def test_a_new_namesake_is_itself(world: World) -> None:
    await world.network("alice")
    seen = []
    for _ in range(2):
        begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
        await world.job("alice", begun["jobid"])
        (listed,) = (await world.call("alice", "listVirtualMachines"))["virtualmachine"]
        seen.append(listed["id"])
        ended = await world.call("alice", "destroyVirtualMachine", id=begun["id"], expunge="true")
        await world.job("alice", ended["jobid"])
    assert len(set(seen)) == 2


async def test_where_it_runs_is_for_root_alone(world: World) -> None:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    for _ in range(2):
        (root,) = (await world.call("admin", "listVirtualMachines", listall="true"))["virtualmachine"]
        (own,) = (await world.call("alice", "listVirtualMachines"))["virtualmachine"]
        assert ("hostname" in root, "hostname" in own) == (True, False)


async def test_an_affinity_group_is_told(world: World) -> None:
    store = MemoryStore(world.server, "kubectl")
    await store.create(AFFINITY_GROUP, AFFINITY_GROUP.body(Key("alice", "apart"), spec={}))
    network = await world.network("alice")
    ids = await world.ids("alice")
    begun = await world.call("alice", "deployVirtualMachine", affinitygroupnames="apart", networkids=network, **ids)
    (listed,) = (await world.call("alice", "listVirtualMachines", id=begun["id"]))["virtualmachine"]
    assert [each["name"] for each in listed["affinitygroup"]] == ["apart"]


async def test_in_xml_too(world: World) -> None:
    await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    text = await world.text("alice", "listVirtualMachines")
    assert f"<virtualmachine><id>{begun['id']}</id>" in text or f"<id>{begun['id']}</id>" in text
    assert "<nic><id>" in text


def test_what_is_kept_is_made_once_and_bounded() -> None:
    kept, made = Kept(), []

    def make() -> dict[str, int]:
        made.append(1)
        return {"a": len(made)}

    assert kept.response("x", 1, make) is kept.response("x", 1, make)
    assert len(made) == 1
    assert kept.response("x", 2, make).read() == {"a": 2}
    for number in range(MOST + 1):
        kept.response(number, 1, dict)
    assert len(kept._written) <= MOST


async def test_networks_are_named(world: World) -> None:
    network = await world.network("alice")
    begun = await world.call("alice", "deployVirtualMachine", name="web", **await world.ids("alice"))
    await world.job("alice", begun["jobid"])
    await world.call("alice", "listVirtualMachines")
    done = await world.call("alice", "updateNetwork", id=network, name="behind")
    await world.job("alice", done["jobid"])
    (listed,) = (await world.call("alice", "listVirtualMachines"))["virtualmachine"]
    assert listed["nic"][0]["networkname"] == "behind"
    assert world.server.read(NETWORK, Key("alice", "front")) is not None
