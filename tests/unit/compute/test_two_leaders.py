"""Two Computes that both lead: what one has not heard of yet, it does not do again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operators.compute.claims import PATIENCE, Claims
from operators.compute.model import Put, Restarts
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE, InstanceDisk
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache
from operators.kernel.making import make
from operators.kernel.outcome import Problem
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, World, world

DATA = Key(NS, "data")


@virtual
async def test_an_instance_is_made_once_on_whatever_host() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        first = cloud.instance()
        other = next(name for name in cloud.hosts if name != first.spec.host_name)
        body = cloud.server.read(INSTANCE, first.key)
        assert body
        spec = body["spec"] | {"hostName": other}
        with pytest.raises(Problem, match="was there already"):
            await make(cloud.store, INSTANCE, INSTANCE.body(Key(NS, names.instance("web")), spec=spec))
        assert cloud.instance() == first


async def claimant(cloud: World, name: str) -> Put:
    """The Put by which a virtual machine would get the Volume `data`; nobody runs here who would make it."""
    vm = VIRTUAL_MACHINE.parse(await cloud.admin.apply(VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(Key(NS, name), spec=WISH)))
    spec = INSTANCE.parse(INSTANCE.body(Key(NS, name), spec=instance(name, vm.meta.uid), uid="x")).spec
    return Put(vm, replace(spec, disks=(InstanceDisk("data-d0", "data", "data"),)), Restarts(), "")


WISH: Json = {"offering": "tiny", "image": "tiny", "volumes": ["data"]}


def instance(name: str, uid: str) -> Json:
    return {
        "hostName": "a",
        "virtualMachine": {"name": name, "uid": uid},
        "domain": name,
        "cpus": 1,
        "memory": "1Gi",
        "disks": [{"disk": "data-d0", "volume": "data", "serial": "data"}],
    }


def claimed(cloud: World) -> Any:
    volume = cloud.server.read(VOLUME, DATA)
    assert volume
    return (volume.get("status") or {}).get("claimedBy", {}).get("name")


@virtual
async def test_a_volume_is_claimed_by_one_of_two() -> None:
    async with world() as cloud:
        await cloud.kill("compute")
        await cloud.put(VOLUME, "data", {"size": "1Gi"}, NS)
        web, db = await claimant(cloud, "web"), await claimant(cloud, "db")
        ours, theirs = (Claims(cloud.admin.as_manager("compute"), Cache([INSTANCE]), cloud.clock) for _ in range(2))
        await ours.take(web)
        await ours.take(web)
        with pytest.raises(Problem, match="promised to VirtualMachine web"):
            await theirs.take(db)
        assert claimed(cloud) == "web"

        labels = {names.LABEL_VM_UID: web.vm.meta.uid}
        body = INSTANCE.body(Key(NS, "web-i0"), spec=instance("web", web.vm.meta.uid), labels=labels)
        made = await cloud.admin.apply(INSTANCE, body)
        await cloud.settle(PATIENCE + 1)
        with pytest.raises(Problem, match="attached to VirtualMachine web"):
            await theirs.take(db)

        await cloud.admin.delete(INSTANCE, Key(NS, "web-i0"), uid=made["metadata"]["uid"])
        await theirs.take(db)
        assert claimed(cloud) == "db"


@virtual
async def test_a_claim_is_free_once_its_virtual_machine_is_gone() -> None:
    async with world() as cloud:
        await cloud.kill("compute")
        await cloud.put(VOLUME, "data", {"size": "1Gi"}, NS)
        web, db = await claimant(cloud, "web"), await claimant(cloud, "db")
        claims = Claims(cloud.admin.as_manager("compute"), Cache([INSTANCE]), cloud.clock)
        await claims.take(web)
        cloud.server.delete("user", VIRTUAL_MACHINE, web.vm.key)
        await claims.take(db)
        assert claimed(cloud) == "db"
