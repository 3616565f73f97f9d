"""The CRDs and the dataclasses say the same."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, TypeAlias

import pytest

from operators.contract.codec import camel, to_wire
from operators.contract.kinds import ALL
from operators.contract.meta import Kind
from operators.contract.quantity import Duration, Quantity
from tests.unit.contract.schemas import Schema, default, definitions, part, root, version, walk

AnyKind: TypeAlias = Kind[Any, Any]
QUANTITY = r"^[0-9]+(\.[0-9]+)?(k|Ki|[MGTPE]i?)?$"
DURATION = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"

NARROWER = {"Instance.spec.power": {"Running", "Stopped"}}
"""Fields that may state less than their type can say."""

each_kind = pytest.mark.parametrize("kind", ALL, ids=repr)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A dataclass and the schema that must say the same."""

    path: str
    cls: type
    schema: Schema

    def fields(self) -> Iterator[tuple[str, Any, dataclasses.Field[Any], Schema]]:
        """Each field with its path, type and schema."""
        hints = typing.get_type_hints(self.cls)
        for field in dataclasses.fields(self.cls):
            wire = camel(field.name)
            yield f"{self.path}.{wire}", bare(hints[field.name]), field, self.schema["properties"][wire]


def bare(hint: Any) -> Any:
    """The type without `| None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def optional(field: dataclasses.Field[Any]) -> bool:
    """Whether the dataclass has a default for it."""
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def pairs(kind: AnyKind) -> Iterator[Pair]:
    """All dataclasses of a kind beside their schemas."""
    todo = [
        Pair(f"{kind.kind}.{name}", cls, part(kind, name))
        for name, cls in (("spec", kind.spec), ("status", kind.status))
    ]
    while todo:
        pair = todo.pop()
        yield pair
        for path, hint, _, schema in pair.fields():
            if typing.get_origin(hint) is tuple:
                hint, schema = typing.get_args(hint)[0], schema["items"]
            if dataclasses.is_dataclass(hint) and isinstance(hint, type):
                todo.append(Pair(path, hint, schema))


def test_one_file_for_each_kind() -> None:
    assert set(definitions()) == {kind.crd for kind in ALL}


@each_kind
def test_head(kind: AnyKind) -> None:
    definition = definitions()[kind.crd]
    spec = definition["spec"]

    assert definition["metadata"] == {"name": kind.crd}
    assert spec["group"] == kind.group
    assert spec["scope"] == ("Namespaced" if kind.namespaced else "Cluster")
    assert spec["names"]["kind"] == kind.kind
    assert spec["names"]["listKind"] == f"{kind.kind}List"
    assert spec["names"]["plural"] == kind.plural
    assert spec["names"]["categories"] == [kind.category]
    assert version(kind)["name"] == kind.version
    assert version(kind)["subresources"] == {"status": {}}


@each_kind
def test_agents_can_select_their_own(kind: AnyKind) -> None:
    expected = [{"jsonPath": ".spec.hostName"}] if kind.host_side else None

    assert version(kind).get("selectableFields") == expected


def test_short_names_are_unique() -> None:
    taken = [name for each in definitions().values() for name in each["spec"]["names"].get("shortNames", ())]
    known = {
        "po",
        "svc",
        "deploy",
        "ds",
        "rs",
        "sts",
        "cm",
        "ns",
        "no",
        "pv",
        "pvc",
        "sa",
        "sc",
        "ep",
        "ev",
        "ing",
        "netpol",
        "cj",
    }

    assert len(taken) == len(set(taken))
    assert not set(taken) & known
    assert {"vm", "vms"} <= set(taken)


@each_kind
def test_fields_are_those_of_the_dataclasses(kind: AnyKind) -> None:
    for pair in pairs(kind):
        assert set(pair.schema["properties"]) == {camel(field.name) for field in dataclasses.fields(pair.cls)}, (
            pair.path
        )


@each_kind
def test_required_is_what_has_no_default(kind: AnyKind) -> None:
    for pair in pairs(kind):
        required = {camel(field.name) for field in dataclasses.fields(pair.cls) if not optional(field)}
        assert set(pair.schema.get("required", ())) == required, pair.path
    assert ("spec" in root(kind).get("required", ())) != ("default" in part(kind, "spec"))


@each_kind
def test_types(kind: AnyKind) -> None:
    for pair in pairs(kind):
        for path, hint, _, schema in pair.fields():
            check_type(path, hint, schema)


def check_type(path: str, hint: Any, schema: Schema) -> None:
    """The schema lets in what the codec can read, and no other type."""
    origin = typing.get_origin(hint)
    if hint in (Quantity, Duration):
        assert schema["x-kubernetes-int-or-string"] is True, path
        assert schema["pattern"] == {Quantity: QUANTITY, Duration: DURATION}[hint], path
    elif origin is Mapping:
        assert schema["type"] == "object", path
        check_type(path, typing.get_args(hint)[1], schema["additionalProperties"])
    elif origin in (tuple, frozenset):
        keyed = schema["items"].get("properties", {}).keys() >= {"type", "status", "reason"}
        expected = "set" if origin is frozenset else "map" if keyed else "atomic"
        assert (schema["type"], schema["x-kubernetes-list-type"]) == ("array", expected), path
        check_type(path, typing.get_args(hint)[0], schema["items"])
    elif isinstance(hint, type) and issubclass(hint, Enum):
        values = {str(each.value) for each in hint}
        assert set(schema["enum"]) == NARROWER.get(path, values), path
        assert set(schema["enum"]) <= values, path
    else:
        names = {str: "string", int: "integer", bool: "boolean"}
        assert schema["type"] == names.get(hint, "object"), path


@each_kind
def test_defaults(kind: AnyKind) -> None:
    """A user sees the defaults that say something; what operators and agents write is written whole."""
    for pair in pairs(kind):
        for path, _, field, schema in pair.fields():
            expected = None
            if ".spec" in path and not kind.host_side and optional(field):
                value = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc]
                expected = to_wire(value) or None
            assert default(schema) == expected, path


@each_kind
def test_everything_is_described(kind: AnyKind) -> None:
    for path, schema in walk(root(kind), kind.kind):
        if path != f"{kind.kind}.metadata":
            assert schema["description"].rstrip().endswith("."), path


@each_kind
def test_every_field_names_its_writer(kind: AnyKind) -> None:
    for name in ("spec", "status"):
        for field, schema in part(kind, name)["properties"].items():
            assert re.search(r"\b[Ww]ritten by (the |whoever |[A-Z])", schema["description"]), (
                f"{kind.kind}.{name}.{field}"
            )


@each_kind
def test_everything_has_a_limit(kind: AnyKind) -> None:
    """Without limits the API server cannot bound the cost of a rule, nor anybody the size of an object."""
    for path, schema in walk(root(kind), kind.kind):
        if path in {f"{kind.kind}.{name}" for name in ("apiVersion", "kind", "metadata")}:
            continue
        limit = {"string": "maxLength", "array": "maxItems"}.get(schema.get("type", ""))
        if limit and "enum" not in schema and schema.get("format") != "date-time":
            assert limit in schema, path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path


@each_kind
def test_every_rule_has_a_sentence(kind: AnyKind) -> None:
    for path, schema in walk(root(kind), kind.kind):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert len(rule["message"].split()) > 3, path
            assert "\n" not in rule["rule"], path


@each_kind
def test_columns(kind: AnyKind) -> None:
    columns = version(kind)["additionalPrinterColumns"]
    narrow = [column["name"] for column in columns if not column.get("priority")]

    assert len(narrow) <= 7, "fits a terminal"
    assert narrow[-1] == "Age"
    assert len({column["name"] for column in columns}) == len(columns)
    if kind.host_side and kind.namespaced:
        assert ".spec.hostName" in {column["jsonPath"] for column in columns}
    for column in columns:
        fields = re.sub(r"\[[^]]*\]", "", column["jsonPath"]).strip(".").split(".")
        schema = root(kind)
        if fields[0] == "metadata":
            continue
        for field in fields:
            schema = schema.get("items", schema)["properties"][field]
