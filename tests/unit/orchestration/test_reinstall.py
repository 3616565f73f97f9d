"""A root disk that is made anew: one Flow, and the former disk goes only when the new one is there."""

from __future__ import annotations

import pytest

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key
from operators.contract.networking import PORT
from operators.contract.storage import VOLUME
from tests.support.virtual_time import virtual
from tests.unit.orchestration.test_life import world
from tests.unit.orchestration.world import NS, SPEC, World, blocked

ANEW = SPEC | {"image": "other", "reinstallRequest": 1}


async def deployed(cloud: World) -> None:
    await cloud.apply()
    await cloud.settle()
    assert cloud.names_of(VOLUME) == ["web-root"]


@virtual
async def test_the_former_root_disk_goes_when_the_new_one_is_there() -> None:
    async with world() as cloud:
        await deployed(cloud)
        ports = {body["metadata"]["uid"] for body in cloud.server.all(PORT)}
        await cloud.apply(ANEW)
        await cloud.settle()
        flow = cloud.flow("Reinstall")
        assert (flow.status.state, flow.spec.inputs["reinstallRequest"]) == ("Succeeded", "1")
        assert cloud.names_of(VOLUME) == ["web-root1"]
        root = cloud.server.read(VOLUME, Key(NS, "web-root1"))
        assert root is not None and root["spec"]["source"] == {"image": "other"}
        assert {body["metadata"]["uid"] for body in cloud.server.all(PORT)} == ports
        before = len(cloud.server.log)
        await cloud.settle()
        assert cloud.server.log[before:] == []
        await cloud.delete()
        await cloud.settle()
        assert cloud.names_of(VOLUME) == cloud.names_of(VIRTUAL_MACHINE) == []


@virtual
async def test_it_stays_as_long_as_the_new_one_cannot_be_made() -> None:
    async with world() as cloud:
        await deployed(cloud)
        cloud.blocked["Volume/web-root1"] = blocked("ImageNotFound", "Image other does not exist")
        await cloud.apply(ANEW)
        await cloud.settle()
        flow = cloud.flow("Reinstall")
        assert flow.status.state == "Running" and cloud.names_of(VOLUME) == ["web-root", "web-root1"]
        await cloud.apply(SPEC | {"image": "tiny", "reinstallRequest": 2})
        await cloud.settle()
        assert cloud.names_of(VOLUME) == ["web-root2"]
        assert [flow.status.state for flow in cloud.flows("Reinstall")] == ["Cancelled", "Succeeded"]


@virtual
async def test_a_newer_flow_does_not_make_it_forgotten() -> None:
    async with world() as cloud:
        await deployed(cloud)
        cloud.lazy = True
        await cloud.apply(ANEW)
        await cloud.apply(ANEW | {"runPolicy": "Stopped"})
        await cloud.settle(20)
        cloud.lazy = False
        cloud.wake()
        await cloud.settle()
        assert cloud.names_of(VOLUME) == ["web-root1"]


@virtual
async def test_another_disk_of_the_machine_is_not_taken_for_a_former_root() -> None:
    async with world() as cloud:
        await deployed(cloud)
        machine = cloud.vm()
        assert machine is not None
        root = cloud.server.read(VOLUME, Key(NS, "web-root"))
        assert root is not None
        marks = {key: root["metadata"][key] for key in ("labels", "ownerReferences")}
        await cloud.user.create(VOLUME, VOLUME.body(Key(NS, "web-cd"), spec={"source": {"image": "cd"}}, **marks))
        await cloud.apply(ANEW)
        await cloud.settle()
        assert cloud.names_of(VOLUME) == ["web-cd", "web-root1"]


@pytest.mark.parametrize("fatal", [True, False], ids=["killed", "unanswered"])
@pytest.mark.parametrize("axe", range(1, 6))
def test_cut_off_at_every_write_it_is_done_once(axe: int, fatal: bool) -> None:
    @virtual
    async def life() -> None:
        async with world() as cloud:
            await deployed(cloud)
            await cloud.kill()
            await cloud.start(axe, fatal=fatal)
            await cloud.apply(ANEW)
            await cloud.settle()
            await cloud.settle()
            assert cloud.names_of(VOLUME) == ["web-root1"]
            assert cloud.flow("Reinstall").status.state == "Succeeded"
            assert cloud.writes()["create Volume/web-root1"] == 1

    life()
