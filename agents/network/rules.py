"""Sets of nftables rules as values, in the form in which nft lists them, so that what is there can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from operators.contract.codec import Json

Expression: TypeAlias = Mapping[str, Any]
Element: TypeAlias = tuple[str, ...]
"""One element of a set, with its parts in the order of the set's types."""

ACCEPT: Expression = {"accept": None}
DROP: Expression = {"drop": None}
NOTRACK: Expression = {"notrack": None}


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain and its rules."""

    name: str
    hook: str
    priority: int
    rules: Sequence[Sequence[Expression]] = ()
    policy: str = "accept"
    type: str = "filter"
    device: str = ""
    """Whose frames pass it, in the family netdev."""


@dataclass(frozen=True, slots=True)
class ElementSet:
    """A named set and what is in it."""

    name: str
    types: tuple[str, ...]
    elements: frozenset[Element] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """One table of ours, whole. Rules of others are in other tables, and none of our business."""

    family: str
    name: str
    chains: Sequence[Chain] = ()
    sets: Sequence[ElementSet] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """One transaction of nftables, on the host or inside a namespace: all of it is done, or nothing."""

    commands: tuple[Json, ...]
    netns: str = ""

    def __str__(self) -> str:
        where = f"{self.netns}, " if self.netns else ""
        return f"Rules({where}{len(self.commands)} commands)"


@dataclass(frozen=True, slots=True)
class Listed:
    """A table as it was found: its structure as JSON, and its sets' elements by set name."""

    structure: Sequence[Json] = ()
    elements: Mapping[str, frozenset[Element]] = field(default_factory=dict)


def match(left: Expression, op: str, right: object) -> Expression:
    """Compare a field of the packet."""
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str) -> Expression:
    """A fact about the packet such as `iifname`."""
    return {"meta": {"key": key}}


def payload(protocol: str, name: str) -> Expression:
    """A field of a header, which also asks for that protocol."""
    return {"payload": {"protocol": protocol, "field": name}}


def concat(*parts: Expression) -> Expression:
    """Several fields together, to look up in a set."""
    return {"concat": list(parts)}


def any_of(*values: object) -> Json:
    """An anonymous set."""
    return {"set": list(values)}


def ct_state(*states: str) -> Expression:
    """What connection tracking says of the packet."""
    right = list(states) if len(states) > 1 else states[0]
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": right}}


def listed(entries: Sequence[Json]) -> Listed:
    """Read what `nft -j list table` printed, leaving out handles, which differ each time."""
    structure: list[Json] = []
    elements: dict[str, frozenset[Element]] = {}
    for entry in entries:
        ((what, body),) = entry.items()
        plain = {key: value for key, value in body.items() if key not in ("handle", "elem", "dev")}
        structure.append({what: plain})
        if what == "set":
            elements[body["name"]] = frozenset(_element(each) for each in body.get("elem", ()))
    return Listed(structure, elements)


def as_listed(table: Table) -> Listed:
    """A table as it will be listed."""
    return Listed(_structure(table, devices=False), {each.name: each.elements for each in table.sets})


def difference(want: Table, seen: Listed) -> list[Json]:
    """The commands of one transaction that make what is seen what is wanted; none when it already is."""
    if list(seen.structure) != _structure(want, devices=False):
        return _anew(want)
    commands: list[Json] = []
    for each in want.sets:
        there = seen.elements.get(each.name, frozenset())
        commands += _elements("delete", want, each.name, there - each.elements)
        commands += _elements("add", want, each.name, each.elements - there)
    return commands


def remove(family: str, name: str) -> list[Json]:
    """The commands that remove a table, if it is there."""
    table = {"family": family, "name": name}
    return [{"add": {"table": table}}, {"delete": {"table": table}}]


def _anew(want: Table) -> list[Json]:
    """Replace the whole table; in one transaction, so that no packet meets a moment without rules."""
    commands = remove(want.family, want.name)
    commands += [{"add": entry} for entry in _structure(want)]
    for each in want.sets:
        commands += _elements("add", want, each.name, each.elements)
    return commands


def _structure(want: Table, *, devices: bool = True) -> list[Json]:
    """The table without its elements, as nft lists it: sets first, then each chain with its rules.

    Some releases list a chain without the device that it has to be made with.
    """
    where = {"family": want.family, "table": want.name}
    out: list[Json] = [{"table": {"family": want.family, "name": want.name}}]
    out += [{"set": where | {"name": each.name, "type": list(each.types)}} for each in want.sets]
    for chain in want.chains:
        hook = {"type": chain.type, "hook": chain.hook, "prio": chain.priority, "policy": chain.policy}
        device = {"dev": chain.device} if chain.device and devices else {}
        out.append({"chain": where | {"name": chain.name} | device | hook})
    for chain in want.chains:
        out += [{"rule": where | {"chain": chain.name, "expr": [dict(e) for e in rule]}} for rule in chain.rules]
    return out


def _elements(verb: str, want: Table, name: str, elements: frozenset[Element]) -> list[Json]:
    if not elements:
        return []
    entries = [{"concat": list(element)} if len(element) > 1 else element[0] for element in sorted(elements)]
    return [{verb: {"element": {"family": want.family, "table": want.name, "name": name, "elem": entries}}}]


def _element(entry: Any) -> Element:
    if isinstance(entry, dict) and "concat" in entry:
        return tuple(str(part) for part in entry["concat"])
    return (str(entry),)
