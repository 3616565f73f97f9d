"""Orchestration as a process, with its rights and no more, against a real API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Kind
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW
from operators.contract.storage import VOLUME
from tests.apiserver.client import Client, Refused
from tests.apiserver.conftest import clear, every
from tests.apiserver.kernel.processes import until
from tests.apiserver.rooms.conftest import Start

NS = "rooms"
NOW = "2026-11-21T12:00:00Z"


class Cloud:
    """What a user does, and what the other components would."""

    def __init__(self, admin: Client) -> None:
        self.admin = admin

    def apply(self, name: str, **spec: Any) -> None:
        body = {"offering": "tiny", "image": "tiny", "nics": [{"network": "front"}, {"network": "back"}]} | spec
        self.admin.apply(VIRTUAL_MACHINE.body(Key(NS, name), spec=body), "kubectl")

    def get(self, kind: Kind[Any, Any], name: str) -> Any:
        try:
            return kind.parse(self.admin.get(kind, name, NS))
        except Refused:
            return None

    def flow(self, operation: str, vm: str) -> Any:
        flows = [FLOW.parse(body) for body in self.admin.get(FLOW, namespace=NS)["items"]]
        return next((f for f in flows if f.spec.operation == operation and f.spec.target.name == vm), None)

    def say(self, kind: Kind[Any, Any], name: str, **status: Any) -> None:
        body = kind.body(Key(NS, name))
        body["status"] = status
        self.admin.apply(body, "others", "status")

    def ready(self, generation: int = 1) -> list[dict[str, Any]]:
        common = {"lastTransitionTime": NOW, "observedGeneration": generation}
        return [{"type": "Ready", "status": "True", "reason": "AsSpecified"} | common]

    def run(self, name: str) -> None:
        """What compute, storage, networking and the agents would do."""
        for each in (0, 1):
            self.say(PORT, f"{name}-nic{each}", conditions=self.ready())
        self.say(VOLUME, f"{name}-root", conditions=self.ready())
        vm = self.get(VIRTUAL_MACHINE, name)
        spec = {"hostName": "h1", "domain": "d", "cpus": 1, "memory": "128Mi"}
        spec["virtualMachine"] = {"name": name, "uid": vm.meta.uid}
        self.admin.apply(INSTANCE.body(Key(NS, names.instance(name)), spec=spec), "others")
        self.say(INSTANCE, names.instance(name), power="Running", observedGeneration=1)
        self.say(
            VIRTUAL_MACHINE,
            name,
            observedGeneration=1,
            hostName="h1",
            addresses=["10.1.1.5"],
            conditions=self.ready(vm.meta.generation),
        )

    def free(self, name: str) -> None:
        """What the others would do at the end."""
        self.admin.delete(INSTANCE, names.instance(name), NS)
        for kind, dependent in ((PORT, f"{name}-nic0"), (PORT, f"{name}-nic1"), (VOLUME, f"{name}-root")):
            until(self._deleting(kind, dependent), what=f"{dependent} is being deleted")
            self.admin.patch(kind, dependent, {"metadata": {"finalizers": None}}, namespace=NS)

    def _deleting(self, kind: Kind[Any, Any], name: str) -> Callable[[], bool]:
        return lambda: bool(self.get(kind, name).meta.deleting)


@pytest.fixture
def cloud(admin: Client) -> Cloud:
    clear(admin)
    return Cloud(admin)


def test_the_life_of_a_machine_in_few_writes(cloud: Cloud, start: Start) -> None:
    engine = start("orchestration")
    assert every(cloud.admin, VIRTUAL_MACHINE) == []
    before = engine.writes()
    cloud.apply("web")
    until(lambda: all(cloud.get(PORT, f"web-nic{nic}") for nic in (0, 1)) and cloud.get(VOLUME, "web-root"))
    cloud.run("web")
    until(lambda: cloud.flow("Deploy", "web").status.state == "Succeeded")
    spent = {what: count - before.get(what, 0) for what, count in engine.writes().items()}
    # On a slow machine the flow is no longer young, and shows its steps before its end.
    assert 1 <= spent.pop("Flow apply_status") <= 1 + len(cloud.flow("Deploy", "web").status.steps)
    assert spent == {"VirtualMachine finalize": 1, "Flow create": 1, "Port create": 2, "Volume create": 1}
    assert cloud.flow("Deploy", "web").status.result == {"hostName": "h1", "addresses": "10.1.1.5"}
    cloud.admin.delete(VIRTUAL_MACHINE, "web", NS)
    until(lambda: cloud.flow("Destroy", "web"))
    cloud.free("web")
    until(lambda: cloud.get(VIRTUAL_MACHINE, "web") is None)
    until(lambda: cloud.flow("Destroy", "web").status.state == "Succeeded")


def test_a_killed_engine_is_followed_by_one_that_goes_on_and_a_user_cancels_by_patch(
    cloud: Cloud, start: Start
) -> None:
    start("orchestration").kill()
    cloud.apply("db")
    start("orchestration")
    until(lambda: cloud.get(VOLUME, "db-root") and cloud.get(PORT, "db-nic1"))
    flow = cloud.flow("Deploy", "db").meta.name
    until(lambda: cloud.flow("Deploy", "db").status.state == "Running", what="its steps are shown")
    cloud.admin.patch(FLOW, flow, {"spec": {"cancel": True}}, namespace=NS)
    until(lambda: cloud.flow("Deploy", "db").status.state == "Cancelled")
    for kind, name in ((PORT, "db-nic0"), (PORT, "db-nic1"), (VOLUME, "db-root")):
        until(lambda kind=kind, name=name: cloud.get(kind, name).meta.deleting)  # type: ignore[misc]
        cloud.admin.patch(kind, name, {"metadata": {"finalizers": None}}, namespace=NS)
    until(lambda: {step.state for step in cloud.flow("Deploy", "db").status.steps} == {"Compensated"})
    cloud.admin.delete(VIRTUAL_MACHINE, "db", NS)
    until(lambda: cloud.get(VIRTUAL_MACHINE, "db") is None)
