"""Answers as bytes: JSON and XML, from the same plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NewType
from xml.sax.saxutils import escape

import orjson

from operators.contract.codec import Json

VERSION = "4.22.0.0"
"""The release of the CloudStack API whose names and shapes these are."""

Long = NewType("Long", int)
"""A number that listApis calls `long`."""
Short = NewType("Short", int)
"""A number that listApis calls `short`."""
Date = NewType("Date", str)
"""A moment, as `2026-11-21T10:23:44+0000`."""

JSON_TYPE = "application/json;charset=utf-8"
XML_TYPE = "text/xml;charset=utf-8"


class Prepared:
    """A response that is written as JSON already, and goes into answers as it is."""

    __slots__ = ("content",)

    def __init__(self, item: Any) -> None:
        self.content = orjson.dumps(plain(item))

    def read(self) -> Any:
        """It as plain data."""
        return orjson.loads(self.content)


def _fragment(item: Any) -> orjson.Fragment:
    if isinstance(item, Prepared):
        return orjson.Fragment(item.content)
    raise TypeError(type(item).__name__)


def date(stamp: str) -> Date | None:
    """A time of the API server as CloudStack writes it; None for none."""
    if not stamp:
        return None
    return Date(datetime.fromisoformat(stamp.replace("Z", "+00:00")).strftime("%Y-%m-%dT%H:%M:%S%z"))


_ATOMS = (str, int, float, bool, type(None), Prepared)


def plain(item: Any) -> Any:
    """A response as plain data. What is None is left out."""
    if isinstance(item, _ATOMS):
        return item
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        values = ((name, getattr(item, name)) for name in _names(type(item)))
        return {name: plain(value) for name, value in values if value is not None}
    if isinstance(item, Mapping):
        return {name: plain(value) for name, value in item.items() if value is not None}
    if isinstance(item, list | tuple):
        return [plain(each) for each in item]
    return item


@cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


def json_body(key: str, content: Json) -> bytes:
    """The answer as JSON."""
    return orjson.dumps({key: content}, default=_fragment)


def xml_body(key: str, content: Json) -> bytes:
    """The answer as XML: lists are repeated elements."""
    inner = "".join(_element(name, value) for name, value in content.items())
    return f'<?xml version="1.0" encoding="UTF-8"?><{key} cloud-stack-version="{VERSION}">{inner}</{key}>'.encode()


def _element(name: str, value: Any) -> str:
    if isinstance(value, Prepared):
        value = value.read()
    if isinstance(value, Mapping):
        inner = "".join(_element(each, item) for each, item in value.items())
        return f"<{name}>{inner}</{name}>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(_element(name, item) for item in value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(_legal(text))}</{name}>"


def _legal(text: str) -> str:
    """Without the characters that no XML document may have, escaped or not."""
    return "".join(char for char in text if char in "\t\n\r" or (char >= " " and not "\ud800" <= char <= "\udfff"))
