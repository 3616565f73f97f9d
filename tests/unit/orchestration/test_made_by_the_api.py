"""A Flow that the API made is the one the engine would have made, and may be seen before what it is about."""

from __future__ import annotations

import asyncio

import pytest

from operators.contract import flows, names
from operators.contract.compute import VIRTUAL_MACHINE, RunPolicy
from operators.contract.orchestration import FLOW, FlowState, Operation
from operators.kernel.manager import Manager
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.orchestration.handlers import COMPONENT
from operators.orchestration.intents.act import take
from operators.orchestration.intents.model import Begin, Take
from operators.orchestration.making import Making
from operators.orchestration.record import genuine
from tests.support.virtual_time import VirtualClock, virtual
from tests.unit.orchestration.world import SPEC, WEB

DEPLOY = {names.ANNOTATION_DEPLOY_DEADLINE: "10m", names.ANNOTATION_DEPLOY_ON_FAILURE: "Compensate"}


@pytest.mark.parametrize("operation", list(Operation))
async def test_the_same_flow(operation: Operation) -> None:
    server = MemoryServer()
    body = VIRTUAL_MACHINE.body(WEB, spec=SPEC | {"rebootRequest": 2}, annotations=DEPLOY)
    vm = VIRTUAL_MACHINE.parse(await MemoryStore(server, "user").create(VIRTUAL_MACHINE, body))

    store = MemoryStore(server, "orchestration")
    await take(store, Making(store), Take(None, Begin(vm, operation)))
    (made,) = server.all(FLOW)

    ours = flows.flow_of(vm, operation)
    assert ours["spec"] == made["spec"]
    assert ours["metadata"] == {name: made["metadata"][name] for name in ("name", "namespace", "labels")}
    assert genuine(FLOW.parse(made))


@virtual
async def test_a_flow_seen_before_its_virtual_machine_is_not_given_up() -> None:
    server = MemoryServer(VirtualClock())
    manager = Manager(MemoryStore(server, "orchestration"), server.clock, COMPONENT.watches({}), COMPONENT.build)
    server.subscribe(FLOW, lambda type_, body: manager.event(FLOW, type_, body))  # and no other watch says a word
    engine = asyncio.create_task(manager.run())
    await manager.synced.wait()

    user = MemoryStore(server, "api")
    vm = VIRTUAL_MACHINE.parse(await user.create(VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(WEB, spec=SPEC)))
    await user.create(FLOW, flows.flow_of(vm, Operation.DEPLOY))
    await asyncio.sleep(30)
    (flow,) = (FLOW.parse(body) for body in server.all(FLOW))
    assert flow.status.state == FlowState.RUNNING

    stopped = {"runPolicy": RunPolicy.STOPPED.value, "rebootRequest": 0}
    vm = VIRTUAL_MACHINE.parse(
        await user.apply(VIRTUAL_MACHINE, VIRTUAL_MACHINE.body(WEB, spec=stopped, uid=vm.meta.uid))
    )
    await user.create(FLOW, flows.flow_of(vm, Operation.STOP))
    await asyncio.sleep(30)
    assert sorted(body["spec"]["operation"] for body in server.all(FLOW)) == ["Deploy", "Stop"]
    engine.cancel()
    await asyncio.wait([engine])
