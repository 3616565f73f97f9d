"""A failure that no plan foresaw, as an outcome: where it was and what to do, and nothing that may be secret."""

from __future__ import annotations

from types import TracebackType

from operators.contract.codec import ContractError
from operators.contract.reasons import Reason
from operators.kernel.outcome import Outcome, Problem, Retry
from operators.kernel.store import StoreError

OURS = ("operators.", "agents.")


def outcome_of(error: Exception) -> Outcome:
    """What a run came to that this error ended. The same error gives the same message, lest each try be a write."""
    match error:
        case Problem(outcome=outcome):
            return outcome
        case ContractError():
            return Retry(Reason.INTERNAL_ERROR, f"an object is not as this release knows its kind: {error}")
        case StoreError():
            return Retry(Reason.INTERNAL_ERROR, f"the API server refused: {error}")
    # The text of an unknown error may quote anything, a key for one; its kind and place are what a report of it needs.
    return Retry(
        Reason.INTERNAL_ERROR,
        f"{type(error).__name__} at {_place(error.__traceback__)}: a mistake in this component, which tries again by "
        f"itself; its log has the details, for a report to its makers",
    )


def _place(trace: TracebackType | None) -> str:
    """The last line of ours that an error came through."""
    found = "an unknown place"
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(OURS):
            found = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
