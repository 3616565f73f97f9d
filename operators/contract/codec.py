"""Between the API server's JSON and frozen dataclasses: parse once, then pass on only what is typed.

Field names are `snake_case` here and `camelCase` on the wire. Unknown fields are passed over when reading (a newer
writer may know more); absent and null mean the field's default; fields that are None or empty are left out when
writing, so that a server-side apply owns no more than it says.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar, cast

from operators.contract.quantity import Duration, Quantity

T = TypeVar("T")
Json: TypeAlias = dict[str, Any]
_Read: TypeAlias = Callable[[Any], Any]
_Write: TypeAlias = Callable[[Any], Any]
_PLAIN = frozenset((str, int, bool, float))


class ContractError(ValueError):
    """An object does not have the shape that the contract gives its kind."""


@cache
def camel(name: str) -> str:
    """The wire's spelling of a field: `host_name` becomes `hostName`; a trailing underscore is dropped."""
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)


def from_wire(cls: type[T], data: Mapping[str, Any] | None) -> T:
    """Parse a JSON object into the dataclass `cls`. Raises ContractError that names the field."""
    return cast(T, _reader(cast("type", cls))(data or {}))


def to_wire(value: Any) -> Any:
    """Turn a dataclass, or a tuple or mapping of them, into plain JSON data."""
    cls: type = type(value)
    return _writer(cls)(value)


@cache
def _writer(cls: type) -> _Write:
    """How values of one type are written; found once, since that is most of the work."""
    if issubclass(cls, Quantity | Duration):
        return str
    if dataclasses.is_dataclass(cls):
        return _fields_writer(cls)
    if issubclass(cls, Enum):
        return attrgetter("value")
    if issubclass(cls, frozenset):
        return lambda value: [to_wire(item) for item in sorted(value)]
    if issubclass(cls, tuple | list):
        return lambda value: [to_wire(item) for item in value]
    if issubclass(cls, Mapping):
        return lambda value: {key: to_wire(item) for key, item in value.items()}
    return lambda value: value


def _fields_writer(cls: type) -> _Write:
    fields = tuple((camel(field.name), attrgetter(field.name)) for field in dataclasses.fields(cls))

    def write(value: Any) -> Json:
        out: Json = {}
        for wire, read in fields:
            item = read(value)
            if item is None or item == "" or item == ():
                continue
            # Text, numbers and booleans are what they are.
            plain = item if type(item) in _PLAIN else to_wire(item)
            if plain is None or plain == "" or plain == [] or plain == {}:
                continue
            out[wire] = plain
        return out

    return write


@cache
def _reader(cls: type) -> _Read:
    """Compile the reader of one dataclass; ten thousand objects then cost no reflection."""
    hints = typing.get_type_hints(cls)
    required = tuple(
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    plan = {camel(f.name): (f.name, _converter(hints[f.name]), _plain(hints[f.name])) for f in dataclasses.fields(cls)}

    def read(data: Any) -> Any:
        # By what the object has, since most fields of most objects are not there.
        if type(data) is not dict and not isinstance(data, Mapping):
            raise ContractError(f"{cls.__name__}: expected an object, not {type(data).__name__}")
        values = {}
        for wire, raw in data.items():
            if raw is None or (field := plan.get(wire)) is None:
                continue
            attribute, convert, plain = field
            if type(raw) is plain:
                values[attribute] = raw
                continue
            try:
                values[attribute] = convert(raw)
            except (TypeError, ValueError) as error:
                raise ContractError(f"{cls.__name__}.{wire}: {error}") from error
        for name in required:
            if name not in values:
                raise ContractError(f"{cls.__name__}.{camel(name)}: required")
        return cls(**values)

    return read


def _plain(hint: Any) -> type | None:
    """The type whose values are taken as they are, if there is one."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint if hint in (str, int, bool) else None


def _converter(hint: Any) -> _Read:
    """The function that reads one field of the given type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        return _converter(inner)
    if origin is tuple:
        item = _converter(args[0])
        return lambda raw: tuple([item(each) for each in raw])
    if origin is frozenset:
        return frozenset
    if origin is Mapping:
        value = _converter(args[1])
        return lambda raw: {key: value(each) for key, each in raw.items()}
    if isinstance(hint, type):
        if issubclass(hint, Quantity | Duration):
            return hint.parse
        if issubclass(hint, Enum):
            return hint
        if dataclasses.is_dataclass(hint):
            return _reader(hint)
        if hint is float:
            return float
        if hint in (str, int, bool):
            return _exactly(hint)
    return lambda raw: raw


def _exactly(hint: type) -> _Read:
    def check(raw: Any) -> Any:
        if type(raw) is not hint:
            raise ContractError(f"expected {hint.__name__}, not {type(raw).__name__}")
        return raw

    return check
