"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
Matches: TypeAlias = Callable[[Json], bool]

_SET = re.compile(r"\s*([^\s!=,]+)\s+(in|notin)\s+\(([^)]*)\)\s*")


class BadSelector(Exception):
    """The selector is not one."""


def matcher(labels: str, fields: str, selectable: tuple[str, ...]) -> Matches:
    """Whether an object is selected. Raises BadSelector for a field that cannot be selected by."""
    tests = [*_labels(labels), *_fields(fields, selectable)]
    if not tests:
        return lambda _: True
    return lambda obj: all(test(obj) for test in tests)


def _labels(text: str) -> list[Matches]:
    out: list[Matches] = []
    while text:
        if found := _SET.match(text):
            name, operator, values = found[1], found[2], {each.strip() for each in found[3].split(",")}
            out.append(_within(name, values, operator == "in"))
            text = text[found.end() :].lstrip(",")
            continue
        part, _, text = text.partition(",")
        out.append(_one(part.strip()))
    return out


def _one(part: str) -> Matches:
    if part.startswith("!"):
        return lambda obj: part[1:] not in _of(obj)
    for operator in ("!=", "==", "="):
        name, found, value = part.partition(operator)
        if found:
            equal = operator != "!="
            return lambda obj: (_of(obj).get(name.strip()) == value.strip()) == equal
    return lambda obj: part in _of(obj)


def _of(obj: Json) -> Json:
    labels: Json = obj["metadata"].get("labels") or {}
    return labels


def _fields(text: str, selectable: tuple[str, ...]) -> list[Matches]:
    out: list[Matches] = []
    for part in filter(None, text.split(",")):
        for operator in ("!=", "==", "="):
            name, found, value = part.partition(operator)
            if found:
                break
        else:
            raise BadSelector(f"invalid selector: {part!r}")
        if name not in ("metadata.name", "metadata.namespace", *selectable):
            raise BadSelector(f"field label not supported: {name}")
        path, equal = tuple(name.split(".")), operator != "!="
        out.append(_equals(path, value, equal))
    return out


def _within(name: str, values: set[str], wanted: bool) -> Matches:
    return lambda obj: (_of(obj).get(name) in values) == wanted


def _equals(path: tuple[str, ...], value: str, wanted: bool) -> Matches:
    return lambda obj: (_at(obj, path) == value) == wanted


def _at(obj: Any, path: tuple[str, ...]) -> str:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return "" if obj is None else str(obj)
