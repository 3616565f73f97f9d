"""The moves that this agent has begun. Each takes as long as it takes, beside the runs of the controller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from agents.hypervisor.driver import Hypervisor, HypervisorError
from agents.hypervisor.model import Attempt, Depart, Stay

log = structlog.get_logger()


class Departures:
    """What became of each move, by the domain's uuid; an agent that restarts knows of none and looks at the host."""

    def __init__(self, hypervisor: Hypervisor, over: Callable[[str], None]) -> None:
        self._hypervisor = hypervisor
        self._over = over
        self._known: dict[str, Attempt] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._dropping: dict[str, asyncio.Task[None]] = {}
        self._called_off: dict[str, float] = {}
        """When each move that is to be given up was first asked to end."""

    def of(self, uuid: str) -> Attempt | None:
        """The last move of a domain that this agent began."""
        return self._known.get(uuid)

    def begin(self, action: Depart) -> None:
        """Begin a move, unless it was begun before."""
        known = self._known.get(action.uuid)
        if known is not None and known.migration == action.migration:
            return
        self._known[action.uuid] = Attempt(action.migration)
        task = asyncio.ensure_future(self._move(action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def called_off(self, uuid: str, now: float) -> float:
        """Seconds since the domain's move was first given up."""
        return now - self._called_off.get(uuid, now)

    def give_up(self, action: Stay, now: float) -> None:
        """Note when a move is given up; where it is stuck, have the other host drop its copy, beside all else."""
        uuid = action.uuid
        self._called_off.setdefault(uuid, now)
        if action.stuck_at and uuid not in self._dropping:
            task = self._dropping[uuid] = asyncio.ensure_future(self._drop(uuid, action.stuck_at))
            task.add_done_callback(lambda _: self._dropping.pop(uuid, None))

    async def _drop(self, uuid: str, address: str) -> None:
        log.warning("unfinished_copy_dropped", uuid=uuid, at=address)
        try:
            await self._hypervisor.drop_copy(uuid, address)
        except HypervisorError as error:
            log.warning("unfinished_copy_not_dropped", uuid=uuid, at=address, error=str(error))

    def forget(self, uuid: str) -> None:
        """The domain's Instance is gone, or stays."""
        self._called_off.pop(uuid, None)
        known = self._known.get(uuid)
        if known is not None and known.over:
            del self._known[uuid]

    async def _move(self, action: Depart) -> None:
        try:
            moved = await self._hypervisor.migrate(action.uuid, action.move)
        except HypervisorError as error:
            log.warning("guest_not_moved", uuid=action.uuid, error=str(error))
            self._known[action.uuid] = Attempt(action.migration, over=True, error=str(error) or "it was given up")
        else:
            log.info("guest_moved", uuid=action.uuid, to=action.move.address, downtime=moved.downtime)
            self._known[action.uuid] = Attempt(action.migration, over=True, moved=moved)
        self._over(action.uuid)
