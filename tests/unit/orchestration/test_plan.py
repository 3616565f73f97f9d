"""What is due, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import VIRTUAL_MACHINE, RunPolicy
from operators.contract.instances import INSTANCE
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW, OnFailure, Operation
from operators.contract.storage import VOLUME
from operators.kernel.cache import Cache
from operators.kernel.outcome import Blocked, Done, Rejected, Retry
from operators.orchestration.flows import plan as flows
from operators.orchestration.flows.judge import judge
from operators.orchestration.flows.model import Forget, Instance, LetGo, Make, Port, Seen, Unmake, Volume, Wanted
from operators.orchestration.flows.observe import observe
from operators.orchestration.handlers import indexes
from operators.orchestration.intents.model import Last, Take
from operators.orchestration.intents.model import Seen as Done_
from operators.orchestration.intents.model import Wanted as Asked
from operators.orchestration.intents.plan import due, plan
from operators.orchestration.record import FINALIZER, VM, Flow, Intent

ON, OFF = RunPolicy.RUNNING, RunPolicy.STOPPED
DEPLOY, START, STOP, REBOOT, REINSTALL, DESTROY, _MIGRATE = Operation
NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
UID = "11111111-0000-4000-8000-000000000000"


def asked(policy: RunPolicy = ON, reboot: int = 0, generation: int = 2, held: bool = True, **meta: object) -> Asked:
    body = {
        "metadata": {"name": "web", "namespace": "team-a", "uid": UID, "generation": generation, "resourceVersion": "7"}
        | {"finalizers": [FINALIZER] if held else []}
        | meta,
        "spec": {"offering": "tiny", "image": "tiny", "runPolicy": policy.value, "rebootRequest": reboot},
    }
    return Asked(VIRTUAL_MACHINE.parse(body))


def last(operation: Operation, policy: RunPolicy = ON, reboot: int = 0, state: str = "Succeeded") -> Last:
    return Last(
        operation,
        Intent(policy, reboot),
        ended=state in ("Succeeded", "Failed", "Cancelled"),
        succeeded=state == "Succeeded",
        ended_at=2,
    )


@pytest.mark.parametrize(
    ("want", "before", "operation"),
    [
        (asked(), None, DEPLOY),
        (asked(OFF), None, DEPLOY),
        (asked(), last(DEPLOY), None),
        (asked(OFF), last(DEPLOY), STOP),
        (asked(ON), last(DEPLOY, OFF), START),
        (asked(ON, 1), last(DEPLOY), REBOOT),
        (asked(ON, 1), last(REBOOT, ON, 1), None),
        (asked(ON, 2), last(REBOOT, ON, 1, "Running"), REBOOT),
        (asked(OFF), last(START, ON, 0, "Running"), STOP),
        (asked(OFF, 1), last(STOP, OFF, 0), None),  # nothing runs that could be rebooted
        (asked(ON, 1), last(STOP, OFF, 0), START),  # a start does for a reboot
        (asked(OFF), last(DEPLOY, ON, 0, "Running"), None),  # it follows by itself
        (asked(generation=2), last(DEPLOY, state="Cancelled"), None),
        (asked(generation=3), last(DEPLOY, state="Cancelled"), DEPLOY),
        (asked(generation=3), last(DEPLOY, state="Failed"), DEPLOY),
        (asked(OFF), last(START, ON, 0, "Cancelled"), STOP),
    ],
)
def test_the_operation_that_is_due(want: Asked, before: Last | None, operation: Operation | None) -> None:
    assert due(want, before) is operation


def test_a_new_root_disk_comes_before_all_else_and_once() -> None:
    want = asked(OFF)
    spec = replace(want.vm.spec, reinstall_request=1)
    anew = replace(want, vm=replace(want.vm, spec=spec))
    assert due(anew, last(DEPLOY)) is REINSTALL
    assert due(anew, replace(last(DEPLOY), intent=Intent(OFF, 0, 1))) is None
    assert due(anew, last(DEPLOY, state="Running")) is None


intents = st.builds(Intent, st.sampled_from((RunPolicy.RUNNING, RunPolicy.STOPPED)), st.integers(0, 5))


@given(
    intents, st.lists(st.tuples(st.sampled_from((RunPolicy.RUNNING, RunPolicy.STOPPED)), st.integers(0, 2)), max_size=6)
)
def test_once_begun_nothing_more_is_due(first: Intent, changes: list[tuple[RunPolicy, int]]) -> None:
    record = Last(DEPLOY, first, ended=True, succeeded=True)
    intent = first
    for policy, more in changes:
        intent = Intent(policy, intent.reboot_request + more)
        want = asked(intent.run_policy, intent.reboot_request)
        operation = due(want, record)
        if operation is not None:
            record = Last(operation, intent, ended=True, succeeded=True)
        assert due(want, record) is None


def test_a_machine_is_held_and_begun_in_one_go_and_ended_once() -> None:
    fresh = asked(held=False)
    ([take], outcome) = plan(fresh, Done_(None))
    assert isinstance(take, Take)
    assert take.hold is fresh.vm.meta
    assert take.begin is not None
    assert take.begin.operation is DEPLOY
    assert outcome == Done()
    going = asked(deletionTimestamp="2026-11-21T12:00:00Z")
    ([end], _) = plan(going, Done_(last(DEPLOY)))
    assert end.begin is not None
    assert end.begin.operation is DESTROY
    assert plan(going, Done_(last(DESTROY)))[0] == []
    assert plan(asked(held=False, deletionTimestamp="2026-11-21T12:00:00Z"), Done_(None))[0] == []


# Flows.


def vm(ready: str = "", reason: str = "", stalled: bool = False, **spec: object) -> VM:
    conditions = [
        {"type": "Ready", "status": ready, "reason": reason, "message": f"{reason}!", "observedGeneration": 1}
    ]
    if stalled:
        conditions.append({"type": "Stalled", "status": "True", "reason": reason})
    body = {
        "metadata": {"name": "web", "namespace": "team-a", "uid": UID, "generation": 1, "finalizers": [FINALIZER]},
        "spec": {"offering": "tiny", "image": "tiny", "nics": [{"network": "front"}]} | spec,
        "status": {"observedGeneration": 1, "conditions": conditions if ready else []},
    }
    return VIRTUAL_MACHINE.parse(body)


def flow(operation: Operation = DEPLOY, age: float = 10, state: str = "", **spec: object) -> Flow:
    created = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = names.flow("web", UID, operation.value, 1)
    body = {
        "metadata": {"name": name, "namespace": "team-a", "uid": "f", "creationTimestamp": created},
        "spec": {
            "operation": operation.value,
            "target": {"name": "web", "uid": UID, "kind": "VirtualMachine"},
            "targetGeneration": 1,
            "inputs": {"runPolicy": "Running", "rebootRequest": "0"},
        }
        | spec,
        "status": {"state": state, "finishedAt": created} if state else {},
    }
    return FLOW.parse(body)


def owned(labels: dict[str, str] | None = None, **metadata: object) -> dict[str, object]:
    return {"namespace": "team-a", "labels": labels or {}, "creationTimestamp": "2026-11-21T12:00:25Z"} | metadata


def port(**metadata: object) -> Port:
    return PORT.parse({"metadata": owned(**metadata) | {"name": "web-nic0"}, "spec": {"network": "front"}})  # type: ignore[arg-type]


def root(**metadata: object) -> Volume:
    return VOLUME.parse({"metadata": owned(**metadata) | {"name": "web-root"}, "spec": {}})  # type: ignore[arg-type]


def seen(target: VM | None, of: Flow, *things: Port | Volume, **more: object) -> Seen:
    return Seen(
        now=NOW,
        vm=target,
        ports={each.meta.name: each for each in things if each.kind is PORT},
        roots={each.meta.name: each for each in things if each.kind is VOLUME},
        volumes={},
        instances=more.pop("instances", ()),  # type: ignore[arg-type]
        newest=str(more.pop("newest", of.meta.name)),
        **more,  # type: ignore[arg-type]
    )


def made(actions: list[object]) -> list[str]:
    (make,) = actions
    assert isinstance(make, Make)
    return [str(draft) for draft in make.drafts]


def test_all_that_is_missing_is_made_at_once() -> None:
    deploy = flow()
    assert made([*flows.plan(Wanted(deploy, 60), seen(vm(), deploy))[0]]) == ["Port/web-nic0", "Volume/web-root"]
    assert made([*flows.plan(Wanted(deploy, 60), seen(vm(), deploy, port()))[0]]) == ["Volume/web-root"]
    assert flows.plan(Wanted(deploy, 60), seen(vm(), deploy, port(), root()))[0] == []


def test_nothing_is_made_before_the_machine_is_held_or_while_suspended() -> None:
    loose = VIRTUAL_MACHINE.parse({"metadata": {"name": "web", "uid": UID}, "spec": {"offering": "tiny", "image": "x"}})
    for each, target in ((flow(), loose), (flow(suspend=True), vm()), (flow(START), loose)):
        assert flows.plan(Wanted(each, 60), seen(target, each))[0] == []


MINE = {names.LABEL_VM_UID: UID}
DB = {"network": "back", "name": "db"}
FRONT = {"network": "front"}


def guest(listed: list[str], has: list[str]) -> Instance:
    nics = [{"port": each, "portBinding": f"{each}-x"} for each in listed]
    spec = {"hostName": "h", "virtualMachine": {"name": "web", "uid": UID}, "domain": "d", "cpus": 1, "memory": "1"}
    status = {"nics": [{"port": each, "mac": "02:00:00:00:00:01", "device": "t"} for each in has]}
    return INSTANCE.parse({"metadata": {"name": "web-1"}, "spec": spec | {"nics": nics}, "status": status})


@pytest.mark.parametrize(
    ("operation", "state"), [(DEPLOY, ""), (START, ""), (DEPLOY, "Succeeded"), (START, "Failed"), (STOP, "Succeeded")]
)
def test_ports_come_and_go_with_the_nics_of_a_machine_that_is_there(operation: Operation, state: str) -> None:
    own = flow(operation, state=state)
    (come,) = flows.plan(Wanted(own, 60), seen(vm(nics=[FRONT, DB]), own, port(), root()))[0]
    assert isinstance(come, Make) and [draft.key.name for draft in come.drafts] == ["web-db"]
    (gone,) = flows.plan(Wanted(own, 60), seen(vm(nics=[]), own, port(labels=MINE), root()))[0]
    assert isinstance(gone, Unmake) and [each.ref.name for each in gone.objects] == ["web-nic0"]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("an Instance lists it", {"instances": (guest(["web-nic0"], []),)}),
        ("the guest has it yet", {"instances": (guest([], ["web-nic0"]),)}),
        ("a newer Flow sees to it", {"newest": "other"}),
    ],
)
def test_a_port_stays_while_somebody_has_it(name: str, left: dict[str, object]) -> None:
    own = flow(START)
    assert flows.plan(Wanted(own, 60), seen(vm(nics=[]), own, port(labels=MINE), root(), **left))[0] == []


def test_a_port_of_the_users_own_and_one_that_goes_are_left_alone_and_one_that_was_taken_back_stays_gone() -> None:
    own = flow(START)
    assert flows.plan(Wanted(own, 60), seen(vm(nics=[]), own, port(), root()))[0] == []
    going = port(labels=MINE, deletionTimestamp="2026-11-21T12:00:26Z")
    assert flows.plan(Wanted(own, 60), seen(vm(nics=[]), own, going, root()))[0] == []
    assert flows.plan(Wanted(own, 60), seen(vm(), own, going, root()))[0] == []
    undone = flow(DEPLOY, state="Cancelled")
    assert flows.plan(Wanted(undone, 60), seen(vm(), undone))[0] == []


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("NoHostFits", 533),
        ("NoAddressLeft", 533),
        ("OfferingNotFound", 431),
        ("HostDown", 534),
        ("StillInUse", 536),
        ("SomethingNew", 530),
        ("Starting", 530),
    ],
)
def test_a_failure_has_the_code_that_the_api_gives_for_what_held_it_up(reason: str, code: int) -> None:
    late = flow(deadline="5s")
    verdict = judge(Wanted(late, 60), seen(vm("False", reason), late))
    assert isinstance(verdict.outcome, Rejected)
    assert verdict.error is not None
    assert (verdict.state, verdict.error.code) == ("Failed", code)


def test_what_cannot_succeed_fails_at_once_only_if_it_is_to_be_taken_back() -> None:
    stalled = vm("False", "Invalid", stalled=True)
    patient, hasty = flow(), flow(onFailure=OnFailure.COMPENSATE.value)
    assert judge(Wanted(patient, 60), seen(stalled, patient)).state == "Running"
    assert judge(Wanted(hasty, 60), seen(stalled, hasty)).state == "Failed"


def test_a_destroy_waits_for_guests_and_other_flows_then_removes_then_lets_go() -> None:
    destroy = flow(DESTROY)
    guest = INSTANCE.parse(
        {
            "metadata": {"name": "web-1", "namespace": "team-a"},
            "spec": {
                "hostName": "h",
                "virtualMachine": {"name": "web", "uid": UID},
                "domain": "d",
                "cpus": 1,
                "memory": "1",
            },
        }
    )
    want = Wanted(destroy, 60)
    assert flows.plan(want, seen(vm(), destroy, port(), instances=(guest,)))[0] == []
    busy, why = flows.plan(want, seen(vm(), destroy, port(), unfinished=("web-deploy",)))
    assert busy == []
    assert isinstance(why, Blocked)
    assert why.reason == "WaitingForFlow"
    (remove,) = flows.plan(want, seen(vm(), destroy, port(), root()))[0]
    assert isinstance(remove, Unmake)
    assert len(remove.objects) == 2
    going = port(deletionTimestamp="2026-11-21T12:00:26Z")
    assert flows.plan(want, seen(vm(), destroy, going))[0] == []
    (last_,) = flows.plan(want, seen(vm(), destroy))[0]
    assert isinstance(last_, LetGo)
    assert judge(want, seen(None, destroy)).state == "Succeeded"


def test_a_young_flow_comes_back_to_show_its_steps_and_a_limited_one_when_its_time_is_up() -> None:
    def again(of: Flow) -> float | None:
        outcome = flows.plan(Wanted(of, 60), seen(vm("False", "Starting"), of, port(), root()))[1]
        return outcome.after if isinstance(outcome, Retry) else None

    assert again(flow(age=1)) == 2.0
    assert again(flow(age=10)) is None
    assert again(flow(age=10, deadline="1m")) == 50.0
    assert again(flow(age=1, deadline="1m")) == 2.0


def test_a_cancelled_deployment_takes_back_what_it_made_and_nothing_older() -> None:
    cancelled = flow(age=10, state="Cancelled")
    mine = {"labels": {"cloudstack.dev/flow": cancelled.meta.name}}
    old = root(**mine, creationTimestamp="2026-11-20T12:00:00Z")
    (remove,) = flows.plan(Wanted(cancelled, 60), seen(vm(), cancelled, port(**mine), old))[0]
    assert isinstance(remove, Unmake)
    assert [each.ref.name for each in remove.objects] == ["web-nic0"]
    assert flows.plan(Wanted(cancelled, 60), seen(vm(), cancelled, old))[0] == []
    # One that something newer took over from leaves it all to that.
    assert flows.plan(Wanted(cancelled, 600), seen(vm(), cancelled, port(**mine), newest="other"))[0] == []


def test_an_ended_flow_is_forgotten_in_time_but_for_the_newest_of_a_living_machine() -> None:
    over = flow(age=100, state="Succeeded")
    assert flows.plan(Wanted(over, 60), seen(vm(), over, port())) == ([], Done())
    assert flows.plan(Wanted(over, 60), seen(vm(), over, newest="other"))[0] == [Forget(over.meta)]
    assert flows.plan(Wanted(over, 60), seen(None, over))[0] == [Forget(over.meta)]
    assert flows.plan(Wanted(over, 160), seen(None, over))[1].after == 60.0  # type: ignore[union-attr]


def test_two_deletions_of_one_target_do_not_wait_for_each_other() -> None:
    """Two engines that both led for a while made one each, for two generations of what was being deleted."""
    one = flow(Operation.DESTROY)
    two = replace(one, meta=replace(one.meta, name="web-destroy-2"))
    deploy = flow(Operation.DEPLOY)
    cache = Cache([FLOW, VIRTUAL_MACHINE, INSTANCE, PORT, VOLUME])
    indexes(cache)
    for each in (one, two, deploy):
        cache.put(FLOW, FLOW.body(each.key, spec=to_wire(each.spec), uid=each.meta.name, resourceVersion="1"))
    observed = observe(cache, one.key, NOW, 60)
    assert observed is not None
    assert observed[1].unfinished == (deploy.meta.name,)
