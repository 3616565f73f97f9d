"""Limits of taps: what is done for what is found."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agents.network.netlink import devices
from agents.network.rates.model import Police, Seen, Shape, Wanted
from agents.network.rates.plan import bytes_of, plan, table
from agents.network.rules import Listed, as_listed
from operators.kernel.outcome import Done

A, B = "cst000000000a", "cst000000000b"


def seen(*taps: str, shaped: Mapping[str, int] | None = None) -> Seen:
    """A host that has what a plan for these limits makes."""
    rates = dict(shaped or {})
    there = as_listed(table(rates)) if rates else Listed()
    return Seen(frozenset(taps), {tap: bytes_of(rate) for tap, rate in rates.items()}, there)


@pytest.mark.parametrize(
    ("rates", "there", "lines", "police"),
    [
        ({}, seen(A, B), [], False),
        ({A: 10}, seen(B), [], False),
        ({A: 10}, seen(A, B), [f"qdisc replace dev {A} root tbf rate 10mbit burst 32768b latency 50ms"], True),
        ({A: 10}, seen(A, B, shaped={A: 10}), [], False),
        ({A: 1000}, seen(A, shaped={A: 10}), [f"qdisc replace dev {A} root tbf rate 1000mbit burst 1250000b latency 50ms"], True),
        ({A: 10}, seen(A, B, shaped={A: 10, B: 20}), [f"qdisc del dev {B} root"], True),
        ({}, seen(A, B, shaped={A: 10}), [f"qdisc del dev {A} root"], True),
    ],
)  # fmt: skip
def test_what_is_done_for_what_is_found(rates: dict[str, int], there: Seen, lines: list[str], police: bool) -> None:
    actions, outcome = plan(Wanted(rates), there)
    assert outcome == Done()
    assert [each for each in actions if isinstance(each, Shape)] == ([Shape(tuple(lines))] if lines else [])
    assert any(isinstance(each, Police) for each in actions) == police


def test_one_that_lost_its_rules_gets_them_back() -> None:
    there = Seen(frozenset({A}), {A: bytes_of(10)}, Listed())
    (action,) = plan(Wanted({A: 10}), there)[0]
    assert isinstance(action, Police)
    made = [command["add"]["chain"] for command in action.commands if "chain" in command.get("add", {})]
    assert [(each["dev"], each["hook"]) for each in made] == [(A, "ingress")]


def test_what_the_kernel_says_of_a_new_device() -> None:
    name = A.encode() + b"\0"
    attribute = (4 + len(name)).to_bytes(2, "little") + (3).to_bytes(2, "little") + name + b"\0\0"
    body = bytes(16) + attribute
    head = (16 + len(body)).to_bytes(4, "little") + (16).to_bytes(2, "little") + bytes(10)
    assert list(devices(head + body)) == [A]
