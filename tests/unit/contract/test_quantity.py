"""Quantities and durations: what is written can be read, and the CRDs' patterns let in just what can be read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.contract.quantity import Duration, Quantity
from tests.unit.contract.test_crds import DURATION, QUANTITY

sizes = st.integers(0, 2**63)
words = st.text(alphabet="0123456789.kKmMGTPEihs -", max_size=8)


@given(sizes)
def test_quantities_survive_the_wire(size: int) -> None:
    assert Quantity.parse(str(Quantity(size))) == size
    assert Quantity.parse(size) == size


@given(words)
def test_the_pattern_lets_in_what_is_a_quantity(text: str) -> None:
    if re.fullmatch(QUANTITY.strip("^$"), text):
        assert Quantity.parse(text) >= 0
    else:
        with pytest.raises(ValueError, match="is not a quantity"):
            Quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1k", 1000),
        ("1Ki", 1024),
        ("512Mi", 512 << 20),
        ("20Gi", 20 << 30),
        ("1.5G", 1_500_000_000),
        ("0.1", 1),  # a fraction of a byte is rounded up
        ("1.0000000001Gi", (1 << 30) + 1),
        ("2Ei", 2 << 60),
        (7, 7),
    ],
)
def test_quantities(text: str | int, size: int) -> None:
    assert Quantity.parse(text) == size


@pytest.mark.parametrize(("size", "text"), [(0, "0"), (1023, "1023"), (1024, "1Ki"), (1536, "1536"), (3 << 30, "3Gi")])
def test_quantities_are_written_short(size: int, text: str) -> None:
    assert str(Quantity(size)) == text


@given(st.integers(0, 10**9))
def test_durations_survive_the_wire(seconds: int) -> None:
    assert Duration.parse(str(Duration(seconds))) == seconds


@given(words)
def test_the_pattern_lets_in_what_is_a_duration(text: str) -> None:
    if len(text) >= 2 and re.fullmatch(DURATION.strip("^$"), text):
        assert Duration.parse(text) >= 0
    else:
        with pytest.raises(ValueError, match="is not a duration"):
            Duration.parse(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (30, "30s"), (90, "1m30s"), (5400, "1h30m"), (3601, "1h1s")])
def test_durations_are_written_short(seconds: int, text: str) -> None:
    assert str(Duration(seconds)) == text
