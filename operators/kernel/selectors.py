"""Label and field selectors, as the API server understands them, for the store in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from operators.contract.codec import Json

_SET = re.compile(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)")


def selects(body: Json, field_selector: str, label_selector: str) -> bool:
    """Whether both selectors take the object; an empty one takes every object."""
    labels = body["metadata"].get("labels") or {}
    return all(_holds(term, _field_of(body)) for term in _terms(field_selector)) and all(
        _holds(term, labels.get) for term in _terms(label_selector)
    )


def _terms(selector: str) -> list[str]:
    return [term.strip() for term in re.split(r",(?![^()]*\))", selector) if term.strip()]


def _holds(term: str, value: Callable[[str], str | None]) -> bool:
    if match := _SET.fullmatch(term):
        key, how, words = match.groups()
        among = value(key) in {word.strip() for word in words.split(",")}
        return among if how == "in" else not among
    if "!=" in term:
        key, _, word = term.partition("!=")
        return value(key.strip()) != word.strip()
    if "=" in term:
        key, _, word = term.replace("==", "=").partition("=")
        return value(key.strip()) == word.strip()
    return value(term[1:].strip()) is None if term.startswith("!") else value(term) is not None


def _field_of(body: Json) -> Callable[[str], str]:
    """The fields of an object by dotted path, as text; one that is missing is the empty string, as on the server."""

    def value(path: str) -> str:
        found: Any = body
        for step in path.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        return "" if found is None else str(found)

    return value
