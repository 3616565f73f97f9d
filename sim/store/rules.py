"""CEL rules of the CRDs: a packaged interpreter, and those functions of Kubernetes's own that our rules use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import cel
import orjson

_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(m|k|Ki|[MGTPE]i?|[eE][+-]?[0-9]+)?")
_SCALE = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(1000), "Ki": Decimal(1024)} | {
    unit + i: (Decimal(1024) if i else Decimal(1000)) ** power
    for power, unit in enumerate("MGTPE", start=2)
    for i in ("", "i")
}


MOST_VERDICTS = 2000
"""Remembered of each rule."""


class Rule:
    """One compiled rule with the message for people."""

    def __init__(self, text: str, message: str, expression: str) -> None:
        self.text = text
        self.transition = re.search(r"\boldSelf\b", text) is not None
        self.touches = frozenset(re.findall(r"\b(?:self|oldSelf)\.(\w+)\b(?!\()", text))
        self.whole = not self.touches or re.search(r"\b(?:self|oldSelf)\b(?!\.\w+\b(?!\())", text) is not None
        """Whether it looks at `self` as such, and not only at some of its fields."""
        told = set(re.findall(r"\bself\.(\w+)\b(?!\()", expression))
        self._names = tuple(sorted(self.touches | told))
        self._verdicts: dict[bytes, str] = {}
        self._message = message or f"failed rule: {text}"
        self._program = cel.compile(text)
        self._expression = cel.compile(expression) if expression else None

    def broken(self, value: Any, old: Any) -> str:
        """What to tell the user when the rule does not hold; "" when it does."""
        about = value, old if self.transition else None
        # Rules are pure, and the same small values come again and again.
        key = orjson.dumps([self._of_interest(each) for each in about])
        if (known := self._verdicts.get(key)) is None:
            if len(self._verdicts) > MOST_VERDICTS:
                self._verdicts.clear()
            known = self._verdicts[key] = self._evaluated(value, old)
        return known

    def _of_interest(self, value: Any) -> Any:
        if self.whole or not isinstance(value, dict):
            return value
        return {name: value[name] for name in self._names if name in value}

    def _evaluated(self, value: Any, old: Any) -> str:
        context = _context()
        context.add_variable("self", value)
        context.add_variable("oldSelf", old)
        try:
            if self._program.execute(context) is True:
                return ""
        except Exception as error:
            return f"rule {self.text!r} cannot be evaluated: {error}"
        if self._expression is not None:
            return str(self._expression.execute(context))
        return self._message


@cache
def _context() -> Any:
    context = cel.Context()
    for name, function in FUNCTIONS.items():
        context.add_function(name, function)
    return context


def _is_ip(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text and not (address.version == 6 and address.ipv4_mapped)


def _is_cidr(text: str) -> bool:
    head, slash, tail = text.partition("/")
    if not slash or not tail.isdecimal() or not _is_ip(head) or (len(tail) > 1 and tail[0] == "0"):
        return False
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def _cidr(text: str) -> dict[str, Any]:
    return {"cidr": str(ipaddress.ip_interface(text))}


def _interface(value: dict[str, Any]) -> Any:
    return ipaddress.ip_interface(value["cidr"])


def _quantity(text: str) -> Decimal | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    suffix = match[2] or ""
    return Decimal(match[1]) * (
        Decimal(f"1{suffix}") if suffix[:1] in ("e", "E") and suffix not in _SCALE else _SCALE[suffix]
    )


def _compare(left: dict[str, Any], right: dict[str, Any]) -> int:
    mine, other = Decimal(left["quantity"]), Decimal(right["quantity"])
    return (mine > other) - (mine < other)


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme) and (bool(parts.netloc) or parts.path.startswith("/"))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isIP": _is_ip,
    # An address is its text here, so that `string(ip)` is what it should be.
    "ip": lambda value: str(ipaddress.ip_address(value) if isinstance(value, str) else _interface(value).ip),
    "family": lambda value: ipaddress.ip_address(value).version,
    "isCIDR": _is_cidr,
    "cidr": _cidr,
    "containsIP": lambda cidr, ip: ipaddress.ip_address(ip) in _interface(cidr).network,
    "prefixLength": lambda cidr: _interface(cidr).network.prefixlen,
    "masked": lambda cidr: {"cidr": str(_interface(cidr).network)},
    "isQuantity": lambda text: _quantity(text) is not None,
    "quantity": lambda text: {"quantity": str(_quantity(text))},
    "compareTo": _compare,
    "isURL": _is_url,
    "url": lambda text: {"url": text},
    "getScheme": lambda value: urlsplit(value["url"]).scheme,
    "getHost": lambda value: urlsplit(value["url"]).netloc.rpartition("@")[2],
    "split": lambda text, separator: text.split(separator),
}
"""As https://kubernetes.io/docs/reference/using-api/cel/ describes them; one that our rules use and is missing here
fails every object loudly, and the faithfulness test compares verdicts with the real API server's."""
