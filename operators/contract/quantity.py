"""Kubernetes quantities and durations, as the numbers that code reckons with."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Self

_SUFFIX = {
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(k|Ki|[MGTPE]i?)?")
_READABLE = ((100 << 30, 1 << 30), (1 << 20, 1 << 20))
_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")


class Quantity(int):
    """A whole number of bytes that is written as `20Gi` on the wire."""

    @classmethod
    def parse(cls, text: str | int) -> Self:
        """Read `20Gi`, `1.5G`, `512` or a number; a fraction of a byte is rounded up. Raises ValueError."""
        match = _QUANTITY.fullmatch(str(text))
        if match is None:
            raise ValueError(f"{text!r} is not a quantity such as 20Gi, 512Mi or 1000000")
        exact = Decimal(match[1]) * _SUFFIX[match[2] or ""]
        return cls(exact.to_integral_value(rounding="ROUND_CEILING"))

    def __str__(self) -> str:
        """The shortest exact form with a binary suffix, as kubectl prints it."""
        value = int(self)
        for power, unit in enumerate(("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")):
            size = 1024 ** (6 - power)
            if value >= size and value % size == 0:
                return f"{value // size}{unit}"
        return int.__str__(self)


def factor(text: str) -> Decimal:
    """How many times something is given out; 1 where the text is no such number: nothing may be by mistake."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return Decimal(1)
    return found if found.is_finite() and found > 0 else Decimal(1)


def readable(size: int) -> Quantity:
    """A size rounded down to what people read: whole GiB from 100 of them on, else MiB, else bytes."""
    unit = next((unit for least, unit in _READABLE if size >= least), 1)
    return Quantity(size // unit * unit)


class Duration(int):
    """A whole number of seconds that is written as `1h30m` on the wire."""

    @classmethod
    def parse(cls, text: str | int) -> Self:
        """Read `90s`, `1h30m` or a number of seconds. Raises ValueError."""
        if isinstance(text, int):
            return cls(text)
        match = _DURATION.fullmatch(text)
        if match is None or not text:
            raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 1h30m")
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return cls(hours * 3600 + minutes * 60 + seconds)

    def __str__(self) -> str:
        """The form with hours, minutes and seconds, leaving out what is nought."""
        hours, rest = divmod(int(self), 3600)
        minutes, seconds = divmod(rest, 60)
        parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
        return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
