"""The simulation bites: each of a list of mistakes in our own code is found within a stated number of seeds."""

from __future__ import annotations

import pytest

from sim.mutations import MUTATIONS, Mutation, found


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_is_found(mutation: Mutation) -> None:
    seed, verdict = found(mutation)
    assert verdict is not None, f"{mutation.says}: not found within {mutation.seeds} seeds from {mutation.first}"
    assert seed
