"""What the Flow of a Migration says, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.flows import key_of_migration
from operators.contract.migrations import MIGRATION
from operators.contract.orchestration import FLOW
from operators.orchestration.migrations.controller import of_a_migration
from operators.orchestration.migrations.plan import Begin, plan, status_of

NOW = "2026-11-21T12:00:00Z"


def migration(status: str = "False", reason: str = "Migrating", **fields: Any) -> Any:
    said = [{"type": "Succeeded", "status": status, "reason": reason, "message": "so"}] if reason else []
    meta = {"name": "move", "namespace": "team", "uid": "m"}
    return MIGRATION.parse(
        {"metadata": meta, "spec": {"virtualMachine": "web"}, "status": {"conditions": said} | fields}
    )


def flow() -> Any:
    spec = {"operation": "Migrate", "target": {"name": "move", "uid": "m", "kind": "Migration"}, "targetGeneration": 1}
    return FLOW.parse(
        {"metadata": {"name": key_of_migration(migration()).name, "namespace": "team", "uid": "f"}, "spec": spec}
    )


CASES = [
    ({"reason": ""}, "Running", ["Running", "Pending", "Pending"]),
    ({"reason": "NoHostFits"}, "Running", ["Blocked", "Pending", "Pending"]),
    ({"reason": "WaitingForHost", "targetHost": "b"}, "Running", ["Done", "Running", "Pending"]),
    ({"targetHost": "b", "storage": "Full"}, "Running", ["Done", "Done", "Running"]),
    (
        {"status": "True", "reason": "Succeeded", "targetHost": "b", "storage": "None", "finishedAt": NOW},
        "Succeeded",
        ["Done", "Done", "Done"],
    ),
    ({"reason": "Cancelled", "targetHost": "b", "finishedAt": NOW}, "Cancelled", ["Done", "Skipped", "Skipped"]),
    (
        {"reason": "Failed", "targetHost": "b", "storage": "Full", "finishedAt": NOW},
        "Failed",
        ["Done", "Done", "Skipped"],
    ),
]


@pytest.mark.parametrize(("how", "state", "steps"), CASES)
def test_it_shows_how_far_the_migration_is(how: dict[str, Any], state: str, steps: list[str]) -> None:
    about = migration(**how)
    actions, outcome = plan(about, flow())
    status = status_of(about, flow(), outcome, NOW)
    assert not actions
    assert (status.state, [step.state for step in status.steps]) == (state, steps)
    assert bool(status.finished_at) == (state != "Running")
    assert (status.error is not None) == (state in ("Cancelled", "Failed"))


def test_there_is_one_for_each_and_none_for_what_has_ended() -> None:
    assert plan(migration(), None)[0] == [Begin(migration())]
    assert plan(migration(status="True", reason="Succeeded", finishedAt=NOW), None)[0] == []
    assert of_a_migration(flow())
