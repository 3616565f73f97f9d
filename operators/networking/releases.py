"""The end of host-side objects: our finalizer comes off once the agent says that nothing is left on its host.

A controller of its own, and no step of the Network's or Port's, so that it happens even when those are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.contract import names
from operators.contract.fabric import HOST
from operators.contract.meta import Key, Kind, holds
from operators.contract.reasons import Reason, Type
from operators.kernel.cache import AnyObj
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Blocked, Done, Outcome, Problem, Retry

FINALIZER = names.finalizer("networking")


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off."""

    obj: AnyObj
    released: bool
    """Whether its agent said so; if not, its host is gone and everything on it."""


def plan(obj: AnyObj, host_known: bool) -> tuple[Sequence[LetGo], Outcome]:
    """Let a deleting object go once its agent has released it, or its host is no more."""
    if not obj.meta.deleting or FINALIZER not in obj.meta.finalizers:
        return (), Done()
    if holds(obj.status.conditions, Type.RELEASED):
        return (LetGo(obj, released=True),), Done(Reason.RELEASED)
    if not host_known:
        return (LetGo(obj, released=False),), Done(Reason.RELEASED)
    return (), Blocked(Reason.DELETING, f"the network agent of host {obj.spec.host_name} has yet to release it")


class Releases:
    """Lets the objects of one host-side kind go."""

    workers = 4

    def __init__(self, context: Context, kind: Kind[Any, Any]) -> None:
        self.name = f"releases-{kind.plural}"
        self.kind = kind
        self._store = context.store
        self._cache = context.cache

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {self.kind: _deleting, HOST: self._on_host}

    async def observe(self, key: Key) -> tuple[AnyObj, bool] | None:
        obj = self._cache.get(self.kind, key)
        return None if obj is None else (obj, self._cache.get(HOST, Key("", obj.spec.host_name)) is not None)

    def plan(self, wanted: AnyObj, seen: bool) -> tuple[Sequence[LetGo], Outcome]:
        return plan(wanted, seen)

    async def act(self, action: LetGo) -> None:
        obj = action.obj
        if not action.released and await self._store.get(HOST, Key("", obj.spec.host_name)) is not None:
            raise Problem(Retry(Reason.DELETING, f"host {obj.spec.host_name} is known after all"))
        await self._store.finalize(self.kind, obj.meta, obj.meta.finalizers_without(FINALIZER))

    def report(self, wanted: AnyObj, seen: bool, outcome: Outcome) -> Sequence[Report]:
        """Its status is the agent's."""
        return ()

    def _on_host(self, host: AnyObj) -> Iterable[Key]:
        return [
            obj.key for obj in self._cache.all(self.kind) if obj.spec.host_name == host.meta.name and obj.meta.deleting
        ]


def _deleting(obj: AnyObj) -> Iterable[Key]:
    return [obj.key] if obj.meta.deleting else []
