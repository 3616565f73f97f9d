"""A whole component: it labels every VirtualMachine that has no owner with its namespace's name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.meta import Key, Kind, Meta
from operators.kernel import Done, Outcome, Report, Watch, logs, shell
from operators.kernel.component import Component
from operators.kernel.manager import Context

OWNER = "example.org/owner"


@dataclass(frozen=True)
class Label:
    """Put the owner's label onto one machine."""

    machine: Meta
    owner: str


class Labeller:
    """One controller: observe, plan, act, report. The kernel calls them, one run a machine at a time."""

    name = "labeller"
    kind: Kind[Any, Any] = VIRTUAL_MACHINE
    workers = 4

    def __init__(self, context: Context) -> None:
        self._cache, self._store = context.cache, context.store

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A machine that changes is a machine to look at."""
        return {VIRTUAL_MACHINE: lambda machine: [machine.key]}

    async def observe(self, key: Key) -> tuple[Meta, str] | None:
        """What is there: the machine's metadata, and who should own it."""
        machine = self._cache.get(VIRTUAL_MACHINE, key)
        return (machine.meta, key.namespace) if machine else None

    def plan(self, machine: Meta, owner: str) -> tuple[Sequence[Label], Outcome]:
        """What to do about it. Pure: this is the function to test."""
        if machine.deleting or OWNER in machine.labels:
            return [], Done()
        return [Label(machine, owner)], Done()

    async def act(self, action: Label) -> None:
        """Do it; a server-side apply done twice is done once, and the uid keeps it off a later machine of that name."""
        body = VIRTUAL_MACHINE.body(action.machine.key, uid=action.machine.uid, labels={OWNER: action.owner})
        await self._store.apply(VIRTUAL_MACHINE, body)

    def report(self, machine: Meta, owner: str, outcome: Outcome) -> Sequence[Report]:
        """Nothing: the status of a machine is Compute's to write."""
        return []


COMPONENT = Component("labeller", lambda env: [Watch(VIRTUAL_MACHINE)], lambda context: [Labeller(context)])

if __name__ == "__main__":
    import os
    import sys

    logs.configure(COMPONENT.name, os.environ)
    sys.exit(shell.run(COMPONENT))
