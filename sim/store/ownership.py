"""Server-side apply: which manager owns which fields, how an applied configuration is merged, what is then removed.

After sigs.k8s.io/structured-merge-diff. A path is a tuple: names of fields and keys of maps as they are, an item of a
list-map as `("k", key values…)`, an item of a set as `("v", value)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, TypeAlias

from sim.store.schema import Node, Shape

Path: TypeAlias = tuple[Any, ...]
Fields: TypeAlias = frozenset[Path]
Who: TypeAlias = tuple[str, str, str]
"""Manager, operation (`Apply` or `Update`), subresource."""
Owned: TypeAlias = dict[Who, Fields]

_LEAF = Node(Shape.ATOMIC)
_OPEN = Node(Shape.MAP)
_OPEN.item = _OPEN
GONE: Any = object()


def alone(mine: Fields, who: Who, owned: Owned) -> bool:
    """Whether an apply speaks of the same fields as that manager's last one, in parts where nobody else owns any.

    Then all stays whose it is, and nothing is removed. Most of the writes of a control plane are like that."""
    if mine != owned.get(who):
        return False
    parts = _parts(mine)
    return all(each == who or _apart(parts, _parts(fields)) for each, fields in owned.items())


@lru_cache(10_000)
def _parts(fields: Fields) -> frozenset[Path]:
    """The parts of an object in which fields are, such as `("metadata", "labels")`."""
    return frozenset(path[:2] for path in fields)


@lru_cache(10_000)
def _apart(ones: frozenset[Path], others: frozenset[Path]) -> bool:
    whole = {path[0] for path in ones if len(path) == 1} | {path[0] for path in others if len(path) == 1}
    return not (ones & others) and whole.isdisjoint({path[0] for path in ones} & {path[0] for path in others})


def child(node: Node, name: Any) -> Node:
    """The schema of a field or item; what nobody described is owned as a whole, or by key where it is an open map."""
    return node.fields.get(name) or node.item or _LEAF


def fields_of(node: Node, value: Any) -> Fields:
    """The paths that a configuration speaks of."""
    out: set[Path] = set()
    _collect(node, value, (), out)
    return frozenset(out)


def _collect(node: Node, value: Any, path: Path, out: set[Path]) -> None:
    if node.shape in (Shape.STRUCT, Shape.MAP) and isinstance(value, dict):
        if not value and path:
            out.add(path)
        for name, each in value.items():
            _collect(child(node, name), each, (*path, name), out)
    elif node.shape in (Shape.LIST_MAP, Shape.SET) and isinstance(value, list):
        if not value:
            out.add(path)
        for mark, each in marked(node, value):
            out.add((*path, mark))
            if node.shape is Shape.LIST_MAP and isinstance(each, dict):
                for name, inner in each.items():
                    _collect(child(node.item or _LEAF, name), inner, (*path, mark, name), out)
    else:
        out.add(path)


def marked(node: Node, value: Iterable[Any]) -> Iterator[tuple[Path, Any]]:
    """The items of a list-map or set with their path elements."""
    for each in value:
        if node.shape is Shape.SET:
            yield ("v", each), each
        else:
            yield ("k", *(each.get(key) for key in node.keys)), each


def merged(node: Node, live: Any, config: Any) -> Any:
    """The live value with a configuration laid over it."""
    if node.shape in (Shape.STRUCT, Shape.MAP) and isinstance(config, dict) and isinstance(live, dict):
        out = dict(live)
        for name, each in config.items():
            out[name] = merged(child(node, name), live[name], each) if name in live else each
        return live if out == live else out
    if node.shape in (Shape.LIST_MAP, Shape.SET) and isinstance(config, list) and isinstance(live, list):
        return live if live == config else _merged_lists(node, live, config)
    return live if type(live) is type(config) and live == config else config


def _merged_lists(node: Node, live: list[Any], config: list[Any]) -> list[Any]:
    """Both orders kept as far as they agree; the applied one wins (visitListItems of structured-merge-diff)."""
    left, right = list(marked(node, live)), list(marked(node, config))
    lefts, rights = dict(left), dict(right)
    shared = [mark for mark, _ in right if mark in lefts]
    following = shared.pop(0) if shared else None
    out: list[Any] = []
    done: set[Any] = set()
    i = j = 0

    def both(mark: Any) -> Any:
        if mark in lefts and node.shape is Shape.LIST_MAP:
            return merged(node.item or _LEAF, lefts[mark], rights[mark])
        return rights[mark]

    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            mark = left[i][0]
            if mark == right[j][0]:
                done.add(mark)
                out.append(both(mark))
                i, j = i + 1, j + 1
                following = shared.pop(0) if shared else None
                continue
            if mark in rights and following is not None and following != mark:
                i += 1
                continue
        if i < len(left):
            mark = left[i][0]
            if mark not in rights:
                out.append(left[i][1])
                i += 1
                continue
            if mark in done:
                i += 1
        if j < len(right):
            mark = right[j][0]
            done.add(mark)
            out.append(both(mark))
            j += 1
            if following == mark:
                following = shared.pop(0) if shared else None
    return out


def pruned(node: Node, value: Any, doomed: Fields, kept: Fields) -> Any:
    """The value without what is doomed and not kept; GONE when nothing is left of it."""
    if not doomed:
        return value
    # A field that holds doomed fields goes with them unless something in it is kept.
    above = {path[:length] for path in doomed for length in range(1, len(path)) if _named(node, path[:length])}
    safe = {path[:length] for path in kept for length in range(1, len(path) + 1)}
    away = (doomed | above) - safe - {("metadata",)}
    return _without(node, value, (), set(away), doomed) if away else value


def _named(node: Node, path: Path) -> bool:
    """Whether a path ends in a named field of a struct, rather than a key of a map or an item of a list."""
    for step in path[:-1]:
        node = child(node, step) if not isinstance(step, tuple) else (node.item or _LEAF)
    return node.shape is Shape.STRUCT and path[-1] in node.fields


def _without(node: Node, value: Any, path: Path, away: set[Path], doomed: Fields) -> Any:
    if node.shape in (Shape.STRUCT, Shape.MAP) and isinstance(value, dict):
        out = {}
        for name, each in value.items():
            where = (*path, name)
            if where in away:
                continue
            out[name] = _without(child(node, name), each, where, away, doomed)
        # A container whose last part is taken away, and which itself is kept, becomes null: that is how it is.
        return out if out or not value else None
    if node.shape in (Shape.LIST_MAP, Shape.SET) and isinstance(value, list):
        rest = []
        for mark, each in marked(node, value):
            where = (*path, mark)
            if where in away:
                continue
            rest.append(_without(node.item or _LEAF, each, where, away, doomed) if isinstance(each, dict) else each)
        return rest if rest or not value else None
    return value


def changes(node: Node, old: Any, new: Any) -> tuple[set[Path], set[Path]]:
    """The paths that were set anew, and those that vanished."""
    fresh: set[Path] = set()
    vanished: set[Path] = set()
    _changes(node, old, new, (), fresh, vanished)
    return fresh, vanished


def _changes(node: Node, old: Any, new: Any, path: Path, fresh: set[Path], vanished: set[Path]) -> None:
    """Walks only into what differs: of most writes that is a small part."""
    if old is new or old == new:
        return
    if node.shape in (Shape.STRUCT, Shape.MAP) and isinstance(old, dict) and isinstance(new, dict) and old and new:
        _changes_of_parts(old, new, partial(child, node), path, fresh, vanished)
    elif node.shape in (Shape.LIST_MAP, Shape.SET) and isinstance(old, list) and isinstance(new, list) and old and new:
        before, after = dict(marked(node, old)), dict(marked(node, new))
        vanished.update(*(_paths(node, [each], path) for mark, each in before.items() if mark not in after))
        fresh.update(*(_paths(node, [each], path) for mark, each in after.items() if mark not in before))
        for mark in (before.keys() & after.keys()) if node.shape is Shape.LIST_MAP else ():
            if isinstance(before[mark], dict) and isinstance(after[mark], dict):
                of_item = partial(child, node.item or _LEAF)
                _changes_of_parts(before[mark], after[mark], of_item, (*path, mark), fresh, vanished)
    else:
        was, now = _at(node, old, path), _at(node, new, path)
        fresh.update(each for each, value in now.items() if each not in was or was[each] != value)
        vanished.update(was.keys() - now.keys())


def _changes_of_parts(
    old: dict[str, Any], new: dict[str, Any], node: Callable[[str], Node], path: Path, fresh: set[Path], gone: set[Path]
) -> None:
    for name, each in old.items():
        if name not in new:
            gone.update(_paths(node(name), each, (*path, name)))
    for name, each in new.items():
        if name not in old:
            fresh.update(_paths(node(name), each, (*path, name)))
        else:
            _changes(node(name), old[name], each, (*path, name), fresh, gone)


def _paths(node: Node, value: Any, path: Path) -> Iterable[Path]:
    return _at(node, value, path).keys()


def _at(node: Node, value: Any, path: Path) -> dict[Path, Any]:
    out: dict[Path, Any] = {}
    _values(node, value, path, out)
    return out


def values_of(node: Node, value: Any) -> dict[Path, Any]:
    """Every path of a value with what stands there, items of lists as None."""
    out: dict[Path, Any] = {}
    _values(node, value, (), out)
    return out


def _values(node: Node, value: Any, path: Path, out: dict[Path, Any]) -> None:
    if node.shape in (Shape.STRUCT, Shape.MAP) and isinstance(value, dict):
        if not value and path:
            out[path] = {}
        for name, each in value.items():
            _values(child(node, name), each, (*path, name), out)
    elif node.shape in (Shape.LIST_MAP, Shape.SET) and isinstance(value, list):
        if not value:
            out[path] = []
        for mark, each in marked(node, value):
            out[(*path, mark)] = None
            if node.shape is Shape.LIST_MAP and isinstance(each, dict):
                for name, inner in each.items():
                    _values(child(node.item or _LEAF, name), inner, (*path, mark, name), out)
    else:
        out[path] = value
