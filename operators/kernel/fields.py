"""Server-side apply's rules in memory: who owns which field, and what an apply adds, changes and removes.

A field is named by its path. Items of a list-map (`conditions` by type, `ownerReferences` by uid) and of a set
(`finalizers`) are fields of their own, whatever their place in the list; any other list is one field as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from operators.contract.codec import Json

Path: TypeAlias = tuple[str, ...]
Owners: TypeAlias = dict[str, frozenset[Path]]

KEYED = {"conditions": "type", "ownerReferences": "uid"}
SETS = frozenset({"finalizers"})
_SET_ITEM = "="


def applied(now: Json, owners: Owners, manager: str, wanted: Json) -> tuple[Json, Owners]:
    """What a forced apply by `manager` makes of an object: its new content and the fields' new owners."""
    tree, mine = _opened(now), dict(_leaves(_opened(wanted)))
    others = {name: paths for name, paths in owners.items() if name != manager}
    for path in sorted(owners.get(manager, frozenset()) - mine.keys(), key=len, reverse=True):
        if not any(path in paths for paths in others.values()):
            _remove(tree, path)
    taken = {path for path, value in mine.items() if _get(tree, path) != value}
    for path, value in mine.items():
        _set(tree, path, value)
    left = {name: kept for name, paths in others.items() if (kept := paths - taken)}
    return _closed(tree), left | {manager: frozenset(mine)}


def updated(before: Json, after: Json, owners: Owners, manager: str) -> Owners:
    """The fields' owners after an update that is no apply: what it changed is its own."""
    old, new = dict(_leaves(_opened(before))), dict(_leaves(_opened(after)))
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    left = {name: kept for name, paths in owners.items() if (kept := paths - changed)}
    mine = left.get(manager, frozenset()) | (changed & new.keys())
    return left | ({manager: mine} if mine else {})


def _opened(value: Any, name: str = "") -> Any:
    """A tree of dictionaries alone, so that every field has a path."""
    if isinstance(value, Mapping):
        return {key: _opened(item, key) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        if name in KEYED:
            return {f"{_SET_ITEM}{item[KEYED[name]]}": _opened(item) for item in value}
        if name in SETS:
            return {f"{_SET_ITEM}{item}": item for item in value}
    return value


def _closed(value: Any, name: str = "") -> Any:
    """The reverse of `_opened`."""
    if not isinstance(value, dict):
        return value
    if name in KEYED or name in SETS:
        return [_closed(item) for item in value.values()]
    return {key: _closed(item, key) for key, item in value.items()}


def _leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(tree, dict) and (tree or not path):
        for key, item in tree.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, tree


def _get(tree: Any, path: Path) -> Any:
    for step in path:
        if not isinstance(tree, dict) or step not in tree:
            return None
        tree = tree[step]
    return tree


def _set(tree: Json, path: Path, value: Any) -> None:
    for step in path[:-1]:
        inner = tree.get(step)
        if not isinstance(inner, dict):
            inner = tree[step] = {}
        tree = inner
    if not (value == {} and isinstance(tree.get(path[-1]), dict)):
        tree[path[-1]] = value


def _remove(tree: Json, path: Path) -> None:
    """Remove a field, and what becomes empty above it."""
    inner = _get(tree, path[:-1])
    if isinstance(inner, dict):
        inner.pop(path[-1], None)
        if not inner and len(path) > 1:
            _remove(tree, path[:-1])


def merged(before: Any, change: Any) -> Any:
    """A JSON merge patch (RFC 7396): what is null is taken away, what is no object replaces."""
    if not isinstance(change, Mapping):
        return change
    old = before if isinstance(before, Mapping) else {}
    new = {name: merged(old.get(name), value) for name, value in change.items() if value is not None}
    return {name: value for name, value in old.items() if name not in change} | new
