"""The controllers of Accounts and Projects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.core import NAMESPACE, QUOTA, ROLE_BINDING
from operators.contract.identity import ACCOUNT, DOMAIN, USER
from operators.contract.meta import Key, Kind, Obj
from operators.data.tenants import act, observe, plan
from operators.data.tenants.model import Action, Seen, Wanted
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Outcome
from operators.kernel.report import Voice


class Tenants:
    """Sees to each tenant of one kind."""

    workers = 2
    voice = Voice(fields=False)

    def __init__(self, context: Context, kind: Kind[Any, Any], reserved: frozenset[str]) -> None:
        self.name = kind.plural
        self.kind = kind
        self._context = context
        self._reserved = reserved

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        kinds = (VIRTUAL_MACHINE, *observe.BELONGINGS)
        inside: dict[Kind[Any, Any], Callable[[Any], Iterable[Key]]] = dict.fromkeys(kinds, self._leaving)
        return inside | {
            self.kind: lambda tenant: (tenant.key,) if self.kind is not ACCOUNT else self._all(tenant),
            NAMESPACE: lambda space: (space.key,),
            ROLE_BINDING: lambda binding: (Key("", binding.meta.namespace),),
            QUOTA: lambda quota: (Key("", quota.meta.namespace),),
            DOMAIN: self._all,
            USER: self._all,
            **({} if self.kind is ACCOUNT else {ACCOUNT: self._all}),
        }

    async def observe(self, key: Key) -> tuple[Wanted, Seen] | None:
        return observe.observe(self._context.cache, self.kind, key, self._reserved)

    def plan(self, wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
        return plan.plan(wanted, seen)

    async def act(self, action: Action) -> None:
        await act.act(self._context.store, action)

    def report(self, wanted: Wanted, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """All but the reservations, which are the API's."""
        space = wanted.tenant.meta.name if seen.namespace is not None else ""
        return (Report(wanted.tenant, {"namespace": space} if space else {}),)

    def _leaving(self, obj: Obj[Any, Any]) -> Iterable[Key]:
        """What is in a namespace concerns us only when its tenant is to go."""
        tenant = self._context.cache.get(self.kind, Key("", obj.meta.namespace))
        return (tenant.key,) if tenant is not None and tenant.meta.deleting else ()

    def _all(self, _: Obj[Any, Any]) -> Iterable[Key]:
        """Who people are is a matter of few objects, and concerns every tenant beneath."""
        return [tenant.key for tenant in self._context.cache.all(self.kind)]
