"""Decide how this host's rules must change for its PortBindings. Pure."""

from __future__ import annotations

from agents.network.check import refusal
from agents.network.ports import guard
from agents.network.ports.model import Binding, Seen, Tables, Verdict, Wanted
from agents.network.rules import Element, Rules, as_listed, difference
from operators.contract.networking import PortBindingSpec
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome


def plan(want: Wanted, seen: Seen) -> tuple[list[Rules], Outcome]:
    """One transaction for all that is missing or too much; nothing when all is as it should be."""
    guests = guard.guests(_live(want), _strangers(want, seen))
    commands = (*difference(guard.host(), seen.tables.host), *difference(guests, seen.tables.guests))
    return ([Rules(commands)] if commands else []), Done()


def made(want: Wanted, seen: Seen) -> Tables:
    """The tables as they are once that is done."""
    return Tables(as_listed(guard.guests(_live(want), _strangers(want, seen))), as_listed(guard.host()))


def _strangers(want: Wanted, seen: Seen) -> dict[str, frozenset[Element]]:
    """What is let through, by set, for taps that are there and that no object stands for.

    A PortBinding ends by being deleted. One that was never seen to go (the API server was restored from a backup, say)
    may have a guest that runs: it is reported (`HostReport`), and left alone as long as its tap is there.
    """
    known = {each.spec.tap for each in want.bindings}
    let = seen.tables.guests.elements
    return {
        name: frozenset(each for each in let.get(name, ()) if each[0] in seen.devices and each[0] not in known)
        for name in (guard.ADDRESSES, guard.METADATA)
    }


def _live(want: Wanted) -> list[PortBindingSpec]:
    return [each.spec for each in want.bindings if not each.meta.deleting and _refusal(each) is None]


def verdicts(want: Wanted, seen: Seen, outcome: Outcome) -> list[Verdict]:
    """How it ended for each, given how it ended for the rules of all."""
    return [Verdict(each, _verdict(each, seen, outcome)) for each in want.bindings]


def _verdict(binding: Binding, seen: Seen, outcome: Outcome) -> Outcome:
    if binding.meta.deleting:
        return Done(Reason.RELEASED) if isinstance(outcome, Done) else outcome
    if problem := _refusal(binding):
        return problem
    if isinstance(outcome, Done) and binding.spec.bridge not in seen.devices:
        return Blocked(
            Reason.WAITING_FOR_NETWORK, f"bridge {binding.spec.bridge} is not there yet; see its HostNetwork"
        )
    return outcome


def _refusal(binding: Binding) -> Outcome | None:
    spec = binding.spec
    return refusal(
        devices=(spec.bridge, spec.tap),
        addresses=(spec.ip, *([spec.gateway] if spec.gateway else [])),
        macs=(spec.mac,),
    )
