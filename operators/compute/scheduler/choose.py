"""Chooses among hosts, and says of every host that was refused why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from operators.compute.scheduler.filters import FILTERS
from operators.compute.scheduler.model import HostView, Need, Policy
from operators.compute.scheduler.scores import score

LONGEST = 4000
"""Characters of a message; what does not fit is counted by filter."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host cannot take the virtual machine."""

    host: str
    filter: str
    why: str

    def __str__(self) -> str:
        return f"{self.host}: {self.filter}: {self.why}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The host that was chosen, if any fits, and why the others were not."""

    host: str = ""
    refusals: tuple[Refusal, ...] = ()

    @property
    def message(self) -> str:
        """Every host with the filter that refused it."""
        if not self.refusals:
            return "there is no host yet: a Host appears once the agents run on a node"
        said: list[str] = []
        rest = [str(refusal) for refusal in self.refusals]
        while rest and sum(len(each) for each in said) + len(rest[0]) < LONGEST:
            said.append(rest.pop(0))
        if rest:
            counts = Counter(refusal.filter for refusal in self.refusals[-len(rest) :])
            said.append(
                f"and {len(rest)} more: " + ", ".join(f"{count} by {name}" for name, count in sorted(counts.items()))
            )
        return f"none of {len(self.refusals)} hosts fits: " + "; ".join(said)


def choose(
    need: Need, hosts: Iterable[HostView], policy: Policy = Policy.SPREAD, prefer: str = "", avoid: str = ""
) -> Choice:
    """The host with the best score among those that no filter refuses; `prefer` wins if it fits, `avoid` comes last.

    The same hosts give the same choice in whatever order they come."""
    fitting, refusals = [], []
    for host in sorted(hosts, key=lambda each: each.name):
        refusal = refused(need, host)
        if refusal is None:
            fitting.append(host)
        else:
            refusals.append(refusal)
    if not fitting:
        return Choice("", tuple(refusals))
    # Rounded, since the sum of weighted shares may differ in its last bit; the name then decides.
    best = max(
        fitting,
        key=lambda host: (
            host.name == prefer,
            host.name != avoid,
            round(score(need, host, policy), 9),
            _reversed(host.name),
        ),
    )
    return Choice(best.name, tuple(refusals))


def refused(need: Need, host: HostView) -> Refusal | None:
    """The first filter that refuses a host, or None."""
    for name, filter_ in FILTERS.items():
        if why := filter_(need, host):
            return Refusal(host.name, name, why)
    return None


def _reversed(name: str) -> tuple[int, ...]:
    """An order in which the alphabetically first of equals is the greatest."""
    return (*(-ord(letter) for letter in name), 1)
