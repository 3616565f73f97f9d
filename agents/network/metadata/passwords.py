"""CloudStack's password server: a guest asks for the password that was made for it, and says that it has it.

The protocol is that of CloudStack's virtual router (`systemvm/debian/opt/cloud/bin/passwd_server_ip.py`), which
cloud-init's CloudStack source and the scripts in its templates speak: a header `DomU_Request`, and one word or the
password as the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from operators.contract.instances import INSTANCE, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Kind, Obj
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome

HEADER = "DomU_Request"
SEND, SAVED = "send_my_password", "saved_password"
BAD = "bad_request"


class Passwords:
    """Keyed by Instance: says in its status which password the guest has taken."""

    name = "passwords"
    kind = INSTANCE
    workers = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._taken: dict[str, int] = {}
        """By uid of the Instance, what no status says yet."""

    def answer(self, instance: Obj[InstanceSpec, InstanceStatus], asked: str) -> str:
        """What a guest gets to hear."""
        password, taken = instance.spec.password, self._last(instance)
        if asked == SEND:
            return password.text if password is not None and password.request > taken else SAVED
        if asked != SAVED:
            return BAD
        if password is not None and password.request > taken:
            self._taken[instance.meta.uid] = password.request
            self._context.poke(self.name, instance.key)
        return SAVED

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        return {INSTANCE: lambda instance: [instance.key] if instance.meta.uid in self._taken else []}

    async def observe(self, key: Key) -> tuple[Obj[InstanceSpec, InstanceStatus], int] | None:
        instance = self._context.cache.get(INSTANCE, key)
        return None if instance is None else (instance, self._last(instance))

    def plan(self, instance: Obj[InstanceSpec, InstanceStatus], last: int) -> tuple[Sequence[None], Outcome]:
        return [], Done()

    async def act(self, action: None) -> None:
        """Nothing is ever changed for it."""

    def report(self, instance: Obj[InstanceSpec, InstanceStatus], last: int, outcome: Outcome) -> Sequence[Report]:
        if not last or instance.status.password_observed == last:
            self._taken.pop(instance.meta.uid, None)
            return []
        return [Report(instance, {"passwordObserved": last}, verdict="", observed_generation=False)]

    def _last(self, instance: Obj[InstanceSpec, InstanceStatus]) -> int:
        return max(self._taken.get(instance.meta.uid, 0), instance.status.password_observed or 0)
