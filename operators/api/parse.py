"""From the strings of a request to a command's arguments, or the error that says what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import structlog

from operators.api import errors
from operators.api.call import MOST
from operators.api.declare import Declared, Param
from operators.contract.meta import Kind, Obj

log = structlog.get_logger()

Find: TypeAlias = Callable[[Kind[Any, Any], str], Obj[Any, Any] | None]
"""Looks up an object that the caller may know of."""

_OWN = "command response apikey signature signatureversion expires sessionkey _ ctxaccountid ctxdomainid"
RESERVED = frozenset(_OWN.split())
"""Parameters about the request itself."""

_INDEXED = re.compile(r"([^\[\]]+)\[(\d+)\]\.?(.*)")
_DATES = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z")
EVERY = "-1"
_INT, _LONG = 2**31, 2**63


def parse(command: Declared, raw: Mapping[str, str], find: Find) -> Any:
    """The arguments, as the command's own dataclass. Raises ApiError."""
    said = {name.lower(): value for name, value in raw.items()}
    given = {name.partition("[")[0] for name, value in said.items() if value}
    for name in sorted(name for name in given & command.refused if _asks(command, said.get(name, ""))):
        raise errors.parameter_not_yet(command.name, name)
    known = {param.name.lower() for param in command.params} | command.ignored | RESERVED
    if unknown := sorted(given - known):
        # As CloudStack does: clients send what some release of it knows.
        log.info("unknown_parameters", command=command.name, names=unknown)
    if any(param.name == "pagesize" for param in command.params):
        _paged(command, said)
    values = {}
    for param in command.params:
        value = _value(command, param, said, find)
        if value is not None:
            values[param.field] = value
        elif param.required and not (param.every and said.get(param.name.lower()) == EVERY):
            raise errors.missing(command.name, param.name)
    return command.args(**values)


def _asks(command: Declared, value: str) -> bool:
    """A switch that is off asks for nothing, except of a list, which it narrows."""
    return command.name.startswith("list") or value.lower() != "false"


def _paged(command: Declared, said: Mapping[str, str]) -> None:
    """The rules of `page` and `pagesize`, which go together."""
    page, size = said.get("page", ""), said.get("pagesize", "")
    for name, value in (("page", page), ("pagesize", size)):
        if value and _number(value) is None:
            raise errors.bad_value(command.name, name, value)
    if page and not size:
        raise errors.ApiError(431, '"pagesize" parameter is required when "page" is specified')
    if size and not page and size != "-1":
        raise errors.ApiError(431, '"page" parameter is required when "pagesize" is specified')
    if size and int(size) > MOST:
        raise errors.invalid(f"Page size can't exceed max allowed page size value: {MOST}")
    if (size and int(size) < 1 and size != "-1") or (page and int(page) < 1):
        raise errors.invalid("page and pagesize count from 1")


def _value(command: Declared, param: Param, said: Mapping[str, str], find: Find) -> Any:
    """The parsed value of one parameter; None when it is not given, or empty."""
    name = param.name.lower()
    if param.type == "map":
        return _maps(name, said) or None
    text = said.get(name, "")
    if not text:
        return None
    if len(text) > param.length and param.type != "list":
        raise errors.invalid(f"Value greater than max allowed length {param.length} for param: {param.name}")
    match param.type:
        case "uuid" if param.every and text == EVERY:
            return None
        case "uuid":
            return text if param.kind is None else _object(command, param, text, find)
        case "list":
            items = [item.strip() for item in text.split(",") if item.strip()]
            return tuple(items if param.kind is None else (_object(command, param, item, find) for item in items))
        case "string":
            return text
    parsed = _scalar(param.type, text)
    if parsed is None:
        raise errors.bad_value(command.name, param.name, text)
    return parsed


def _object(command: Declared, param: Param, uid: str, find: Find) -> Any:
    found = find(param.kind, uid) if param.kind else None
    if found is None:
        raise errors.no_entity(command.name, param.name, uid)
    return found


def _scalar(type_: str, text: str) -> Any:
    match type_:
        case "boolean":
            return {"true": True, "false": False}.get(text.lower())
        case "integer" | "long":
            number, limit = _number(text), _INT if type_ == "integer" else _LONG
            return number if number is not None and -limit <= number < limit else None
        case "date":
            return _date(text)
    raise AssertionError(type_)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None


def _date(text: str) -> datetime | None:
    for form in _DATES:
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _maps(name: str, said: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """`name[0].a=x&name[0].b=y&name[1].a=z` as a tuple of maps, by their numbers."""
    found: dict[int, dict[str, str]] = {}
    for key, value in said.items():
        match = _INDEXED.fullmatch(key)
        if match is not None and match[1] == name and len(match[2]) < 6:
            found.setdefault(int(match[2]), {})[match[3]] = value
    return tuple(found[number] for number in sorted(found))
