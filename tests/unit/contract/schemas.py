"""The CRDs of `crds/`, as the tests read them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from operators.contract.meta import Kind

CRDS = Path(__file__).resolve().parents[3] / "crds"
Schema = dict[str, Any]


@cache
def definitions() -> dict[str, Schema]:
    """Every CustomResourceDefinition by its name, which is also its file's."""
    return {
        path.name.removesuffix(".yaml"): yaml.load(path.read_text(), yaml.CSafeLoader)
        for path in sorted(CRDS.glob("*.yaml"))
    }


def version(kind: Kind[Any, Any]) -> Schema:
    """The one version of a kind."""
    (only,) = definitions()[kind.crd]["spec"]["versions"]
    return dict(only)


def root(kind: Kind[Any, Any]) -> Schema:
    """The schema of a whole object."""
    return dict(version(kind)["schema"]["openAPIV3Schema"])


def part(kind: Kind[Any, Any], name: str) -> Schema:
    """The schema of `spec` or `status`."""
    return dict(root(kind)["properties"][name])


def walk(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """The schema and everything in it, with dotted paths."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from walk(schema[key], path + mark)


def default(schema: Schema) -> Any:
    """What the API server fills in where the field is absent: the default with the defaults inside it; None without."""
    if "default" not in schema:
        return None
    value = schema["default"]
    if isinstance(value, dict):
        inner = {name: default(each) for name, each in schema.get("properties", {}).items()}
        return {name: each for name, each in inner.items() if each is not None} | value
    return value
