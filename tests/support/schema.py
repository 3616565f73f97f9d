"""What a CustomResourceDefinition's schema says to an object: its types, limits and patterns, though not its CEL rules.

So that what components write into the API server in memory is held against the same CRDs as on a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from operators.contract.codec import Json
from operators.contract.meta import Kind

CRDS = Path(__file__).resolve().parents[2] / "crds"
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@cache
def schema(kind: Kind[Any, Any]) -> Json | None:
    """The schema of a kind's objects; None for kinds that are not ours."""
    path = CRDS / f"{kind.crd}.yaml"
    if not path.exists():
        return None
    (version,) = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]["versions"]
    return dict(version["schema"]["openAPIV3Schema"])


def complaints(kind: Kind[Any, Any], body: Json) -> list[str]:
    """Why the API server would refuse the object, field by field."""
    of = schema(kind)
    return [] if of is None else list(_check(of, body, ""))


def _check(schema: Json, value: Any, path: str) -> Iterator[str]:
    if "x-kubernetes-int-or-string" in schema:
        if type(value) not in (int, str):
            yield f"{path}: {value!r} is neither number nor text"
            return
    elif type(value) is not TYPES[schema["type"]]:
        yield f"{path}: {value!r} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    match value:
        case str():
            yield from _check_text(schema, value, path)
        case int() if type(value) is int:
            if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                yield f"{path}: {value} is out of range"
        case list():
            if len(value) > schema.get("maxItems", len(value)):
                yield f"{path}: {len(value)} are too many"
            for number, item in enumerate(value):
                yield from _check(schema["items"], item, f"{path}[{number}]")
        case dict():
            yield from _check_object(schema, value, path)


def _check_text(schema: Json, value: str, path: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{path}: {value!r} is too short or too long"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value!r} does not match {schema['pattern']}"
    if schema.get("format") == "date-time" and not TIME.fullmatch(value):
        yield f"{path}: {value!r} is no time"


def _check_object(schema: Json, value: Json, path: str) -> Iterator[str]:
    yield from (f"{path}.{name}: is missing" for name in schema.get("required", ()) if name not in value)
    inner, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, item in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name in inner:
            yield from _check(inner[name], item, where)
        elif others is not None:
            yield from _check(others, item, where)
        elif path != "metadata":
            yield f"{where}: is unknown"
