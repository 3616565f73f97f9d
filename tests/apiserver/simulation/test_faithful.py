"""The simulated API server answers as the real one: the same operations, drawn at random, put to both."""

from __future__ import annotations

import itertools
import warnings

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.apiserver.client import Client
from tests.apiserver.simulation import operations
from tests.apiserver.simulation.both import Both
from tests.apiserver.simulation.operations import INSTANCE, NETWORK, ROUTER, VM, VOLUME

NUMBERS = itertools.count()
HISTORY = settings(
    max_examples=8, stateful_step_count=30, deadline=None, database=None, derandomize=True, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def machine(client: Client, kinds: tuple[tuple[str, str], ...]) -> type[RuleBasedStateMachine]:
    """A state machine that compares every answer, and at its end what watches told."""

    class Compare(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.both = Both(client, f"faithful-{next(NUMBERS)}")
            self.starts = {kind: self.both.version(kind) for kind in kinds}

        @rule(operation=operations.operations(kinds))
        def ask(self, operation: operations.Operation) -> None:
            mine, theirs = self.both.ask(operation)
            assert mine == theirs, f"{operation}: simulated {mine}, real {theirs}"

        def teardown(self) -> None:
            for kind in kinds:
                fields = "spec.hostName=host1" if kind == INSTANCE else ""
                mine, theirs = self.both.events(kind, self.starts[kind], fields)
                for one, other in itertools.zip_longest(mine, theirs):
                    assert one == other, f"simulated {one}, real {other}"

    return Compare


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kinds",
    [(VM,), (INSTANCE, VOLUME), (NETWORK, ROUTER)],
    ids=lambda kinds: "+".join(each[1] for each in kinds),
)
def test_both_servers_give_the_same_answers_and_events(admin: Client, kinds: tuple[tuple[str, str], ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_state_machine_as_test(machine(admin, kinds), settings=HISTORY)
