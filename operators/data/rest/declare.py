"""What an endpoint is made of: parsing and the OpenAPI description read only this."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

Values: TypeAlias = Mapping[str, Any]


class BadRequest(Exception):
    """A parameter makes no sense; its text says which and why."""


class NoSuchThing(Exception):
    """There is nothing under that address."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a query."""

    name: str
    about: str
    type: str = "string"
    """`string`, `integer`, `boolean`, `date-time` or `list` (of texts, with commas between)."""
    required: bool = False
    default: Any = None
    minimum: int = 0
    maximum: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address that answers."""

    path: str
    about: str
    run: Callable[[Values], Awaitable[Any]]
    params: tuple[Param, ...] = ()
    answer: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    """The answer's JSON schema."""
    method: str = "GET"


LIST = {
    "type": "object",
    "required": ["total", "items"],
    "properties": {
        "total": {"type": "integer", "minimum": 0},
        "items": {"type": "array", "items": {"type": "object"}},
    },
}


def parsed(params: tuple[Param, ...], given: Mapping[str, str]) -> Values:
    """The values of a query, each with its default. Raises BadRequest, for a parameter that nobody knows, too."""
    if unknown := sorted(given.keys() - {param.name for param in params}):
        raise BadRequest(f"unknown parameter {unknown[0]}")
    return {param.name: _value(param, given.get(param.name, "")) for param in params}


def _value(param: Param, text: str) -> Any:
    if not text:
        if param.required:
            raise BadRequest(f"parameter {param.name} is needed")
        return () if param.type == "list" else "" if param.type == "string" else param.default
    if "\x00" in text:
        raise BadRequest(f"{param.name} may not contain NUL")
    match param.type:
        case "integer":
            return _integer(param, text)
        case "boolean":
            if text not in ("true", "false"):
                raise BadRequest(f"{param.name} must be true or false")
            return text == "true"
        case "date-time":
            return _moment(param, text)
        case "list":
            return tuple(each for each in text.split(",") if each)
    return text


def _integer(param: Param, text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= 20):
        raise BadRequest(f"{param.name} must be a whole number")
    if not param.minimum <= int(text) <= param.maximum:
        raise BadRequest(f"{param.name} must be between {param.minimum} and {param.maximum}")
    return int(text)


def _moment(param: Param, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequest(f"{param.name} must be a moment such as 2026-11-21T12:00:00Z") from None


def described(endpoints: tuple[Endpoint, ...], version: str) -> Mapping[str, Any]:
    """The OpenAPI description of endpoints."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        own = re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_")
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = {
            "summary": endpoint.about,
            "operationId": own,
            "parameters": [*_in_path(endpoint.path), *(_in_query(param) for param in endpoint.params)],
            "responses": {
                "200": {"description": "The answer", "content": {"application/json": {"schema": endpoint.answer}}},
                **{code: _error(text) for code, text in _ERRORS.items()},
            },
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "CloudStack's Data service", "version": version},
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }


_ERRORS = {
    "400": "A parameter makes no sense",
    "401": "The bearer token is missing or none of this cluster's",
    "403": "The bearer may not read here: it needs `get` on the path in a ClusterRole's nonResourceURLs",
    "404": "There is no such thing",
    "503": "The database cannot be asked now, or the first lists are not complete",
}


def _error(text: str) -> Mapping[str, Any]:
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _in_path(path: str) -> list[Mapping[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(param: Param) -> Mapping[str, Any]:
    return {
        "name": param.name,
        "in": "query",
        "description": param.about,
        "required": param.required,
        "schema": _schema(param),
    }


def _schema(param: Param) -> Mapping[str, Any]:
    match param.type:
        case "integer":
            return {"type": "integer", "minimum": param.minimum, "maximum": param.maximum}
        case "boolean":
            return {"type": "boolean"}
        case "date-time":
            return {"type": "string", "format": "date-time"}
    return {"type": "string"}
