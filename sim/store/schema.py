"""Structural schemas, compiled: what a value's parts are, defaults, pruning, validation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias

from sim.store.rules import Rule

Json: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any], str]


class Shape(Enum):
    """How a value is merged, and what of it can be owned."""

    STRUCT = "struct"
    MAP = "map"
    LIST_MAP = "list-map"
    SET = "set"
    ATOMIC = "atomic"
    """Owned and replaced as a whole: scalars, atomic lists, and what no schema describes."""


@dataclass
class Node:
    """The schema of one value."""

    shape: Shape
    fields: dict[str, Node] = field(default_factory=dict)
    item: Node | None = None
    keys: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    default: Any = None
    defaults: bool = False
    """Whether a default stands anywhere in here."""
    checks: tuple[Check, ...] = ()
    rules: tuple[Rule, ...] = ()
    type: str = ""
    open: bool = False
    """Whether fields that nobody described are kept."""


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
NOTHING: Any = object()
"""Stands where nothing stood before."""
NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}


def compiled(schema: Json) -> Node:
    """Compile one schema of a CRD."""
    rules = tuple(
        Rule(each["rule"], each.get("message", ""), each.get("messageExpression", ""))
        for each in schema.get("x-kubernetes-validations", ())
    )
    fields = {name: compiled(each) for name, each in schema.get("properties", {}).items()}
    inner = schema.get("items") or schema.get("additionalProperties")
    item = compiled(inner) if isinstance(inner, dict) else None
    node = Node(
        shape=_shape(schema),
        fields=fields,
        item=item,
        keys=tuple(schema.get("x-kubernetes-list-map-keys", ())),
        required=tuple(schema.get("required", ())),
        default=schema.get("default"),
        checks=tuple(_checks(schema)),
        rules=rules,
        type="" if schema.get("x-kubernetes-int-or-string") else schema.get("type", ""),
        open=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
    )
    node.defaults = (
        node.default is not None
        or any(each.defaults for each in fields.values())
        or (item is not None and item.defaults)
    )
    return node


def _shape(schema: Json) -> Shape:
    match schema.get("type"):
        case "object" if schema.get("x-kubernetes-map-type") != "atomic":
            return Shape.MAP if "additionalProperties" in schema else Shape.STRUCT
        case "array":
            return {"map": Shape.LIST_MAP, "set": Shape.SET}.get(schema.get("x-kubernetes-list-type", ""), Shape.ATOMIC)
    return Shape.ATOMIC


def _checks(schema: Json) -> Iterator[Check]:
    if schema.get("x-kubernetes-int-or-string"):
        yield _int_or_string
    elif kind := schema.get("type"):
        yield _of_type(kind)
    for name, make in _LIMITS.items():
        if name in schema:
            yield make(schema[name])
    if schema.get("format") == "date-time":
        yield _date_time
    match schema.get("format"):
        case "int32":
            yield lambda v: "" if not isinstance(v, int) or -(2**31) <= v < 2**31 else "should be of type int32"


def _of_type(kind: str) -> Check:
    wanted = _TYPES[kind]

    def check(value: Any) -> str:
        if type(value) in wanted:
            return ""
        return f'must be of type {kind}: "{NAMES.get(type(value), "null")}"'

    return check


def _int_or_string(value: Any) -> str:
    return "" if type(value) in (int, str) else f"must be of type integer,string: {value!r}"


def _date_time(value: Any) -> str:
    try:
        datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        return "must be of type date-time"
    return ""


def _pattern(pattern: str) -> Check:
    # RE2's `$` is the end of the text, Python's also stands before a last newline.
    found = re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", pattern)).search
    return lambda v: "" if not isinstance(v, str) or found(v) else f"should match '{pattern}'"


_LIMITS: dict[str, Callable[[Any], Check]] = {
    "enum": lambda allowed: lambda v: "" if v in allowed else f"supported values: {', '.join(map(repr, allowed))}",
    "pattern": _pattern,
    "minLength": lambda n: (
        lambda v: "" if not isinstance(v, str) or len(v) >= n else f"should be at least {n} chars long"
    ),
    "maxLength": lambda n: lambda v: "" if not isinstance(v, str) or len(v) <= n else f"may not be more than {n} bytes",
    "minimum": lambda n: (
        lambda v: "" if not isinstance(v, int | float) or v >= n else f"should be greater than or equal to {n}"
    ),
    "maximum": lambda n: (
        lambda v: "" if not isinstance(v, int | float) or v <= n else f"should be less than or equal to {n}"
    ),
    "minItems": lambda n: lambda v: "" if not isinstance(v, list) or len(v) >= n else f"should have at least {n} items",
    "maxItems": lambda n: lambda v: "" if not isinstance(v, list) or len(v) <= n else f"must have at most {n} items",
    "maxProperties": lambda n: (
        lambda v: "" if not isinstance(v, dict) or len(v) <= n else f"must have at most {n} properties"
    ),
}


def shaped(node: Node, value: Any, known: Any = None) -> Any:
    """The value with defaults filled in and what no schema describes pruned; shares what did not change.

    `known` is what stood there before, which has its shape already."""
    if value is known:
        return value
    if isinstance(value, dict) and node.shape is Shape.STRUCT:
        return _struct(node, value, known if isinstance(known, dict) else {})
    if node.item is None or not (node.item.fields or node.item.defaults or node.item.item):
        return value
    if isinstance(value, dict):
        return {name: shaped(node.item, each) for name, each in value.items()}
    if isinstance(value, list):
        return [shaped(node.item, each) for each in value]
    return value


def _struct(node: Node, value: Json, known: Json) -> Json:
    out: Json = {}
    changed = False
    for name, each in value.items():
        inner = node.fields.get(name)
        if inner is None:
            changed = changed or not node.open
            if node.open:
                out[name] = each
            continue
        if each is None and inner.default is not None:
            changed = True
            continue
        out[name] = new = shaped(inner, each, known.get(name))
        changed = changed or new is not each
    if node.defaults:
        for name, inner in node.fields.items():
            if name not in out and inner.default is not None:
                default = inner.default
                out[name] = shaped(inner, dict(default) if isinstance(default, dict) else default)
                changed = True
    return out if changed else value


def untypable(node: Node, value: Any, path: str = "") -> str:
    """Why a configuration cannot be applied at all; "" when it can.

    An apply wants to know whose each field is, so an unknown field, a scalar of another type or an item that stands in
    a list twice is refused before anything else, and (so it is) by the code for an internal error.
    """
    if value is None:
        return ""
    if isinstance(value, dict) and node.shape is Shape.STRUCT and not node.open:
        for name, each in value.items():
            if (inner := node.fields.get(name)) is None:
                return f"{path}.{name}: field not declared in schema"
            if found := untypable(inner, each, f"{path}.{name}"):
                return found
        return ""
    if node.type and type(value) not in _TYPES[node.type]:
        return f"{path}: expected {node.type}, got {value!r}"
    if isinstance(value, list) and (found := next(_duplicates(node, value, path), "")):
        return found
    if node.item is not None and isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            if found := untypable(node.item, each, path):
                return found
    return ""


def complaints(node: Node, value: Any, old: Any, path: str, *, has_old: bool) -> Iterator[str]:
    """Everything that is wrong with a value, the structure first; rules only where the structure is right."""
    errors = list(_structure(node, value, old if has_old else NOTHING, path))
    yield from errors
    if not errors:
        yield from _rules(node, value, old, path, has_old=has_old)


def _structure(node: Node, value: Any, old: Any, path: str) -> Iterator[str]:
    """What is wrong with the structure, but for what stood there before: that was valid."""
    if old is value or (type(old) is type(value) and old == value):
        return
    for check in node.checks:
        if wrong := check(value):
            yield f"{path}: Invalid value: {wrong}"
            if check is node.checks[0]:
                return
    if isinstance(value, dict):
        for name in node.required:
            if name not in value:
                yield f"{path}.{name}: Required value"
        before = old if isinstance(old, dict) else {}
        for name, each in value.items():
            inner = node.fields.get(name) or node.item
            if inner is not None:
                yield from _structure(inner, each, before.get(name, NOTHING), f"{path}.{name}")
    elif isinstance(value, list):
        if node.item is not None:
            was = old if isinstance(old, list) else []
            for index, each in enumerate(value):
                there = was[index] if index < len(was) else NOTHING
                yield from _structure(node.item, each, there, f"{path}[{index}]")
        yield from _duplicates(node, value, path)


def _duplicates(node: Node, value: list[Any], path: str) -> Iterator[str]:
    if node.shape not in (Shape.SET, Shape.LIST_MAP):
        return
    seen = []
    for index, each in enumerate(value):
        mark = each
        if node.shape is Shape.LIST_MAP:
            mark = tuple(each.get(key) for key in node.keys) if isinstance(each, dict) else each
        if mark in seen:
            yield f"{path}[{index}]: Duplicate value: {mark!r}"
        seen.append(mark)


def _rules(node: Node, value: Any, old: Any, path: str, *, has_old: bool) -> Iterator[str]:
    if has_old and old is value:
        return
    for rule in node.rules:
        if rule.transition and not has_old:
            continue
        if has_old and isinstance(value, dict) and isinstance(old, dict) and _untouched(rule, value, old):
            continue
        if wrong := rule.broken(value, old if has_old else None):
            yield f"{path or '<nil>'}: Invalid value: {wrong}"
    if isinstance(value, dict):
        for name, each in value.items():
            inner = node.fields.get(name) or node.item
            if inner is not None:
                there = isinstance(old, dict) and name in old
                yield from _rules(inner, each, old[name] if there else None, f"{path}.{name}", has_old=there)
    elif isinstance(value, list) and node.item is not None:
        before = _items_by_key(node, old)
        for index, each in enumerate(value):
            mark = tuple(each.get(key) for key in node.keys) if node.keys and isinstance(each, dict) else None
            there = mark is not None and mark in before
            yield from _rules(node.item, each, before[mark] if there else None, f"{path}[{index}]", has_old=there)


def _items_by_key(node: Node, old: Any) -> dict[Any, Any]:
    if node.shape is not Shape.LIST_MAP or not isinstance(old, list):
        return {}
    return {tuple(each.get(key) for key in node.keys): each for each in old if isinstance(each, dict)}


def _untouched(rule: Rule, value: Json, old: Json) -> bool:
    """Whether nothing that the rule looks at changed, so that it holds as it held before.

    That is what the API server's validation ratcheting comes to for objects that were valid, and all of ours were; it
    saves most of the work on a status write. A rule that names `self` as a whole is always looked at."""
    if rule.whole:
        return value == old and not rule.transition
    return all(value.get(name) is old.get(name) or value.get(name) == old.get(name) for name in rule.touches) and (
        not rule.transition or "metadata" not in rule.touches
    )
