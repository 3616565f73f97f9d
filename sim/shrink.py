"""Makes a failing scenario shorter: leaves out deeds and troubles as long as it still fails in the same way."""

from __future__ import annotations

import sys

from sim.run import Run, Scenario, without

SAME = 24
"""Characters of the first problem that must stay the same, names and times aside."""


def shrunk(plan: Scenario, *, say: bool = True) -> Scenario:
    """The shortest scenario found; the given one when it does not fail."""
    wanted = symptom(plan)
    if not wanted:
        return plan

    def fails(candidate: Scenario) -> bool:
        return symptom(candidate) == wanted

    size = 0
    while size != len(plan.deeds) + len(plan.troubles):
        size = len(plan.deeds) + len(plan.troubles)
        plan = _less(plan, "troubles", fails)
        plan = _less(plan, "deeds", fails)
        if say:
            print(f"shrunk to {len(plan.deeds)} deeds and {len(plan.troubles)} troubles", file=sys.stderr)
    return plan


def symptom(plan: Scenario) -> str:
    """What fails, without names, numbers and times; "" when nothing does."""
    verdict = Run(plan).go()
    if verdict.ok:
        return ""
    text = verdict.problems[0]
    text = text.partition(": ")[2] if text.startswith("after ") else text
    return "".join(each for each in text if each.isalpha() or each == " ")[:SAME]


def _less(plan: Scenario, part: str, fails: object) -> Scenario:
    """Delta debugging over one of the two lists: halves, quarters, …, single ones."""
    entries: list[object] = list(getattr(plan, part))
    chunk = max(1, len(entries) // 2)
    while entries:
        at, cut = 0, False
        while at < len(entries):
            rest = entries[:at] + entries[at + chunk :]
            candidate = without(plan, **{part: rest})  # type: ignore[arg-type]
            if fails(candidate):  # type: ignore[operator]
                entries, plan, cut = rest, candidate, True
            else:
                at += chunk
        if chunk == 1 and not cut:
            break
        chunk = max(1, chunk // 2)
    return plan
