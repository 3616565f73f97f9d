"""An agent's heartbeat: a Lease per agent and node, renewed as long as the agent's event loop turns."""

from __future__ import annotations

import random

import structlog

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.core import LEASE, LeaseSpec
from operators.contract.meta import Key
from operators.kernel.clock import Clock
from operators.kernel.leader import micro_time
from operators.kernel.store import Store, StoreError

log = structlog.get_logger()

EVERY = 10.0
BEATS_MISSED = 4
"""As the Lease's duration: how many beats are missed before Fabric Monitoring counts the agent as gone."""


class Heartbeat:
    """Renews one Lease for ever; a beat that fails is a beat missed, and said in the log."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        namespace: str,
        agent: str,
        node: str,
        *,
        rng: random.Random | None = None,
        every: float = EVERY,
    ) -> None:
        self._store = store
        self._clock = clock
        self._every = every
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._lease = Key(namespace, names.heartbeat(agent, node))
        self._labels = {names.LABEL_NODE: node, names.LABEL_COMPONENT: agent}
        self._holder = node

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await self._clock.sleep(self._every * self._rng.uniform(0.95, 1.05))

    async def beat(self) -> None:
        """Apply the Lease once: made if it is missing, and nobody else writes it, so no guard is needed."""
        spec = LeaseSpec(
            holder_identity=self._holder,
            lease_duration_seconds=int(BEATS_MISSED * self._every),
            renew_time=micro_time(self._clock.now()),
        )
        try:
            await self._store.apply(LEASE, LEASE.body(self._lease, spec=to_wire(spec), labels=self._labels))
        except StoreError as error:
            log.warning("heartbeat_missed", lease=str(self._lease), error=str(error))
