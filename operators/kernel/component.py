"""What a process is made of: its name, what it watches, its controllers and what else runs beside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from operators.kernel.controller import Watch
from operators.kernel.manager import AnyController, Context

Env: TypeAlias = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Component:
    """One process of the cloud, as its `handlers.py` declares it under the name COMPONENT."""

    name: str
    """Also its server-side-apply field manager and, with `cloudstack.dev/` before it, its finalizer."""
    watches: Callable[[Env], Sequence[Watch]]
    build: Callable[[Context], Sequence[AnyController]]
    background: Callable[[Context], Sequence[Awaitable[None]]] = lambda context: ()
    """Coroutines to run beside the controllers, for wake-ups from outside the API server."""
    leads: bool = True
    """Whether one replica works while the others stand by. Agents do not lead: each has its host."""
    beats: bool = False
    """Whether it renews the heartbeat Lease of its node (agents do)."""


def shared(make: Callable[[Context], T]) -> Callable[[Context], T]:
    """Of a process, the one thing that `make` makes: its controllers and its background are asked for apart.

    The Context keeps it, and so both go together, though what was made most often knows its Context."""

    def get(context: Context) -> T:
        if make not in context.made:
            context.made[make] = make(context)
        made: T = context.made[make]
        return made

    return get
