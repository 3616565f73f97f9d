"""The engine end to end against a store in memory: what it makes, in how many writes, and what it says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, condition
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW
from operators.contract.storage import VOLUME
from operators.orchestration.record import FINALIZER
from tests.support.virtual_time import virtual
from tests.unit.orchestration.world import NS, SPEC, WEB, World, blocked


@asynccontextmanager
async def world(**env: str) -> AsyncIterator[World]:
    made = World(env)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def steps(flow: Any) -> dict[str, str]:
    return {step.name: step.state.value for step in flow.status.steps}


@virtual
async def test_a_deployment_takes_one_write_for_each_object_and_one_for_its_end() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle()
        flow = cloud.flow("Deploy")
        assert cloud.writes() == {
            "finalize VirtualMachine/web": 1,
            f"create Flow/{flow.meta.name}": 1,
            "create Port/web-nic0": 1,
            "create Port/web-nic1": 1,
            "create Volume/web-root": 1,
            f"apply_status Flow/{flow.meta.name}": 1,
        }
        assert flow.status.state == "Succeeded"
        assert flow.status.progress == "3/3"
        assert steps(flow) == {"network": "Done", "storage": "Done", "compute": "Done"}
        assert flow.status.result == {"hostName": "h1", "addresses": "10.1.1.5"}
        succeeded = condition(flow.status.conditions, "Succeeded")
        assert succeeded is not None
        assert succeeded.true


@virtual
async def test_what_is_held_already_is_made_at_once_and_nothing_is_tried_twice() -> None:
    async with world() as cloud:
        await cloud.apply(finalizers=[FINALIZER])
        await cloud.settle()
        flow = cloud.flow("Deploy")
        assert cloud.axe.creates == 4
        assert cloud.writes() == {
            f"create Flow/{flow.meta.name}": 1,
            "create Port/web-nic0": 1,
            "create Port/web-nic1": 1,
            "create Volume/web-root": 1,
            f"apply_status Flow/{flow.meta.name}": 1,
        }
        port = cloud.server.read(PORT, Key(NS, "web-nic0"))
        assert port is not None
        assert port["metadata"]["labels"][names.LABEL_FLOW] == flow.meta.name


@virtual
async def test_what_is_made_says_whose_it_is() -> None:
    async with world() as cloud:
        await cloud.apply(
            SPEC | {"rootDiskSize": "2Gi", "hostname": "www", "nics": [{"network": "front", "ip": "10.1.1.9"}]}
        )
        await cloud.settle()
        vm, flow = cloud.vm(), cloud.flow("Deploy")
        assert vm is not None
        assert flow.meta.owner_references == ()
        for kind, name, finalizer in ((PORT, "web-nic0", "networking"), (VOLUME, "web-root", "storage")):
            body = cloud.server.read(kind, Key(NS, name))
            assert body is not None
            meta = kind.parse(body).meta
            assert meta.labels == {names.LABEL_VM_UID: vm.meta.uid, names.LABEL_FLOW: flow.meta.name}
            assert [owner.uid for owner in meta.owner_references] == [vm.meta.uid]
            assert meta.finalizers == (names.finalizer(finalizer),)
        port = cloud.server.read(PORT, Key(NS, "web-nic0"))
        assert port is not None
        assert port["spec"] == {"network": "front", "virtualMachine": "web", "hostname": "www", "ip": "10.1.1.9"}
        root = cloud.server.read(VOLUME, Key(NS, "web-root"))
        assert root is not None
        assert root["spec"]["size"] == "2Gi"
        assert root["spec"]["source"] == {"image": "tiny"}


@virtual
async def test_stop_start_and_reboot_are_one_flow_each_and_an_edit_of_something_else_is_none() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle()
        await cloud.apply(SPEC | {"runPolicy": "Stopped"})
        await cloud.settle()
        await cloud.apply(SPEC | {"runPolicy": "Running"})
        await cloud.settle()
        await cloud.apply(SPEC | {"runPolicy": "Running", "rebootRequest": 1})
        await cloud.settle()
        await cloud.apply(SPEC | {"runPolicy": "Running", "rebootRequest": 1, "volumes": []})
        await cloud.settle()
        done = [(flow.spec.operation.value, flow.status.state, flow.status.progress) for flow in cloud.flows()]
        assert done == [
            ("Deploy", "Succeeded", "3/3"),
            ("Stop", "Succeeded", "1/1"),
            ("Start", "Succeeded", "3/3"),
            ("Reboot", "Succeeded", "1/1"),
        ]


@virtual
async def test_a_machine_that_is_to_stay_stopped_is_deployed_and_started_later() -> None:
    async with world() as cloud:
        await cloud.apply(SPEC | {"runPolicy": "Stopped"})
        await cloud.settle()
        flow = cloud.flow("Deploy")
        assert (flow.status.state, steps(flow)["compute"]) == ("Succeeded", "Skipped")
        assert cloud.names_of(PORT) == ["web-nic0", "web-nic1"]
        await cloud.apply()
        await cloud.settle()
        assert cloud.flow("Start").status.state == "Succeeded"


@virtual
async def test_destroying_leaves_nothing_and_ends_with_the_machine() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle()
        await cloud.delete()
        await cloud.settle()
        for kind in (VIRTUAL_MACHINE, INSTANCE, PORT, VOLUME):
            assert cloud.names_of(kind) == []
        flow = cloud.flow("Destroy")
        assert (flow.status.state, flow.status.progress) == ("Succeeded", "3/3")


@virtual
async def test_a_data_volume_stays_when_its_machine_goes() -> None:
    async with world() as cloud:
        await cloud.user.apply(VOLUME, VOLUME.body(Key(NS, "ledger"), spec={"size": "1Gi"}))
        await cloud.apply(SPEC | {"volumes": ["ledger"]})
        await cloud.settle()
        await cloud.delete()
        await cloud.settle()
        assert cloud.names_of(VOLUME) == ["ledger"]


@virtual
async def test_a_flow_that_takes_long_shows_what_holds_it_up_and_heals() -> None:
    async with world() as cloud:
        cloud.blocked["Port/web-nic1"] = blocked("NetworkNotFound", "there is no Network back: make it")
        cloud.blocked["VirtualMachine/web"] = blocked("WaitingForNetwork", "waits for Port web-nic1")
        await cloud.apply()
        await cloud.settle(1.0)
        assert cloud.flow("Deploy").status.state == ""
        await cloud.settle(5.0)
        flow = cloud.flow("Deploy")
        assert (flow.status.state, flow.status.progress) == ("Running", "1/3")
        network, _, compute = flow.status.steps
        assert (network.state, network.object) == ("Blocked", "Port/web-nic1")
        assert network.message == "there is no Network back: make it"
        assert compute.state == "Running"
        told = condition(flow.status.conditions, "Succeeded")
        assert told is not None
        assert (told.status, told.reason) == ("False", "NetworkNotFound")
        cloud.blocked.clear()
        cloud.wake()
        await cloud.settle()
        flow = cloud.flow("Deploy")
        assert flow.status.state == "Succeeded"
        assert flow.status.steps[0].attempts == 2
        assert flow.status.steps[0].started_at == flow.meta.creation_timestamp


@virtual
async def test_a_cancelled_deployment_is_taken_back_and_begun_anew_only_by_an_edit() -> None:
    async with world() as cloud:
        cloud.blocked["Volume/web-root"] = blocked("NoPoolFits", "no pool has 20Gi free")
        await cloud.apply()
        await cloud.settle(10.0)
        flow = cloud.flow("Deploy")
        await cloud.patch_flow(flow.meta.name, cancel=True)
        await cloud.settle()
        flow = cloud.flow("Deploy")
        assert flow.status.state == "Cancelled"
        assert set(steps(flow).values()) == {"Compensated"}
        for kind in (INSTANCE, PORT, VOLUME):
            assert cloud.names_of(kind) == []
        assert cloud.vm() is not None
        cloud.blocked.clear()
        await cloud.apply(SPEC | {"offering": "small"})
        await cloud.settle()
        assert [each.status.state for each in cloud.flows("Deploy")] == ["Cancelled", "Succeeded"]
        assert len(cloud.names_of(PORT)) == 2


@virtual
async def test_a_deadline_fails_with_the_code_and_text_of_what_held_it_up_and_is_compensated() -> None:
    annotations = {names.ANNOTATION_DEPLOY_DEADLINE: "30s", names.ANNOTATION_DEPLOY_ON_FAILURE: "Compensate"}
    async with world() as cloud:
        cloud.blocked["VirtualMachine/web"] = blocked("NoHostFits", "no host fits: h1 has too little memory")
        await cloud.apply(annotations=annotations)
        await cloud.settle(29.0)
        assert cloud.flow("Deploy").status.state == "Running"
        await cloud.settle()
        flow = cloud.flow("Deploy")
        assert flow.status.state == "Failed"
        assert flow.status.error is not None
        assert flow.status.error.code == 533
        assert flow.status.error.text == "not done within 30s: no host fits: h1 has too little memory"
        for kind in (INSTANCE, PORT, VOLUME):
            assert cloud.names_of(kind) == []


@virtual
async def test_without_compensation_a_failed_deployment_leaves_what_it_made() -> None:
    async with world() as cloud:
        cloud.blocked["VirtualMachine/web"] = blocked("NoHostFits", "no host fits")
        await cloud.apply(annotations={names.ANNOTATION_DEPLOY_DEADLINE: "30s"})
        await cloud.settle()
        assert cloud.flow("Deploy").status.state == "Failed"
        assert len(cloud.names_of(PORT)) == 2


@virtual
async def test_a_suspended_flow_begins_nothing_until_it_goes_on() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle()
        cloud.lazy = True
        await cloud.delete()
        await cloud.settle(10.0)
        assert cloud.flow("Destroy").status.state == "Running"
        assert steps(cloud.flow("Destroy")) == {"compute": "Running", "network": "Pending", "storage": "Pending"}
        await cloud.patch_flow(cloud.flow("Destroy").meta.name, suspend=True)
        await cloud.settle(10.0)
        cloud.lazy = False
        cloud.wake()
        await cloud.settle()
        assert cloud.flow("Destroy").status.state == "Suspended"
        assert len(cloud.names_of(PORT)) == 2
        await cloud.patch_flow(cloud.flow("Destroy").meta.name, suspend=False)
        await cloud.settle()
        assert cloud.flow("Destroy").status.state == "Succeeded"
        assert cloud.vm() is None


@virtual
async def test_a_newer_intent_supersedes_an_older_flow() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle()
        cloud.lazy = True
        await cloud.apply(SPEC | {"runPolicy": "Stopped"})
        await cloud.settle(10.0)
        await cloud.apply(SPEC | {"runPolicy": "Running"})
        await cloud.settle(10.0)
        stop, start = cloud.flow("Stop"), cloud.flow("Start")
        assert stop.status.state == "Cancelled"
        assert stop.status.error is not None
        assert stop.status.error.text == f"superseded by Flow {start.meta.name}"
        cloud.lazy = False
        cloud.wake()
        await cloud.settle()
        assert cloud.flow("Start").status.state == "Succeeded"


@virtual
async def test_a_deployment_follows_a_changed_mind_and_is_not_superseded() -> None:
    async with world() as cloud:
        cloud.blocked["Volume/web-root"] = blocked("NoPoolFits", "no pool")
        await cloud.apply()
        await cloud.settle(10.0)
        await cloud.apply(SPEC | {"runPolicy": "Stopped"})
        await cloud.settle(10.0)
        assert [flow.spec.operation for flow in cloud.flows()] == ["Deploy"]
        cloud.blocked.clear()
        cloud.wake()
        await cloud.settle()
        assert [(flow.spec.operation, flow.status.state) for flow in cloud.flows()] == [
            ("Deploy", "Succeeded"),
            ("Stop", "Succeeded"),
        ]


@virtual
async def test_deleting_in_the_middle_of_a_deployment_leaves_nothing() -> None:
    async with world() as cloud:
        cloud.blocked["Volume/web-root"] = blocked("NoPoolFits", "no pool")
        await cloud.apply()
        await cloud.settle(10.0)
        await cloud.delete()
        await cloud.settle()
        assert cloud.flow("Deploy").status.state == "Cancelled"
        assert cloud.flow("Destroy").status.state == "Succeeded"
        for kind in (VIRTUAL_MACHINE, INSTANCE, PORT, VOLUME):
            assert cloud.names_of(kind) == []


@virtual
async def test_a_machine_made_again_under_the_same_name_gets_flows_of_its_own() -> None:
    async with world() as cloud:
        for _ in range(2):
            await cloud.apply()
            await cloud.settle()
            await cloud.delete()
            await cloud.settle()
        assert [flow.status.state for flow in cloud.flows()] == ["Succeeded"] * 4


@virtual
async def test_a_port_of_the_same_name_that_is_a_users_is_left_alone_and_waited_for() -> None:
    async with world() as cloud:
        await cloud.user.apply(PORT, PORT.body(Key(NS, "web-nic0"), spec={"network": "front"}))
        await cloud.apply()
        await cloud.settle(10.0)
        step = cloud.flow("Deploy").status.steps[0]
        assert step.state == "Blocked"
        assert "belongs to somebody else" in step.message
        cloud.server.delete("kubectl", PORT, Key(NS, "web-nic0"))
        await cloud.settle()
        assert cloud.flow("Deploy").status.state == "Succeeded"


@virtual
async def test_a_flow_made_by_hand_ends_with_a_word_on_what_to_do_instead() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle()
        vm = cloud.vm()
        assert vm is not None
        target = {"name": "web", "uid": vm.meta.uid, "kind": "VirtualMachine"}
        spec = {"operation": "Reboot", "target": target}
        await cloud.user.create(FLOW, FLOW.body(Key(NS, "please"), spec=spec))
        await cloud.settle()
        flow = cloud.flow("Reboot")
        assert flow.status.state == "Failed"
        assert flow.status.error is not None
        assert flow.status.error.code == 432
        assert "raise spec.rebootRequest" in flow.status.error.text


@virtual
async def test_ended_flows_are_kept_for_their_time_and_the_newest_for_as_long_as_its_machine() -> None:
    async with world(FLOW_TTL="10m") as cloud:
        await cloud.apply()
        await cloud.settle()
        await cloud.apply(SPEC | {"runPolicy": "Stopped"})
        await cloud.settle(300.0)
        assert [flow.spec.operation for flow in cloud.flows()] == ["Deploy", "Stop"]
        await cloud.settle(3600.0)
        assert [flow.spec.operation for flow in cloud.flows()] == ["Stop"]
        await cloud.apply()
        await cloud.settle(3600.0)
        assert [flow.spec.operation for flow in cloud.flows()] == ["Start"]
        await cloud.delete()
        await cloud.settle(3600.0)
        assert cloud.flows() == []


@virtual
async def test_nothing_is_written_while_nothing_changes() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle()
        before = len(cloud.server.log)
        await cloud.settle(7200.0)
        assert len(cloud.server.log) == before


@virtual
async def test_a_target_that_vanishes_without_us_ends_its_flow() -> None:
    async with world() as cloud:
        cloud.blocked["Volume/web-root"] = blocked("NoPoolFits", "no pool")
        await cloud.apply()
        await cloud.settle(10.0)
        vm = cloud.vm()
        assert vm is not None
        await cloud.user.finalize(VIRTUAL_MACHINE, vm.meta, [])
        cloud.server.delete("kubectl", VIRTUAL_MACHINE, WEB)
        await cloud.settle(10.0)
        flow = cloud.flow("Deploy")
        assert flow.status.state == "Cancelled"
        assert flow.status.error is not None
        assert flow.status.error.text == "its VirtualMachine is gone"
