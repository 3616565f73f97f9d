"""The look at the clock: who was not heard of for too long, and whether that is theirs or ours."""

from __future__ import annotations

import structlog

from operators.contract.core import LEASE
from operators.fabric_monitoring.heartbeats import Heartbeats
from operators.kernel.manager import Context
from operators.kernel.store import StoreError

log = structlog.get_logger()

EVERY = 2.0
"""Seconds between sweeps; each is a walk over a dictionary."""


async def sweep(context: Context, beats: Heartbeats, controller: str) -> None:
    """Sweep for ever."""
    deaf = False
    while True:
        await context.clock.sleep(EVERY)
        deaf = await once(context, beats, controller, deaf=deaf)


async def once(context: Context, beats: Heartbeats, controller: str, *, deaf: bool) -> bool:
    """One sweep; whether the API server could not be asked, so that nothing can be said of anybody."""
    doubtful = [beats.lease(*whose) for whose in beats.doubtful()]
    if not doubtful and not deaf:
        return False
    asked = {lease for lease in (*doubtful, beats.any_lease() if deaf else None) if lease is not None}
    try:
        for lease in sorted(asked):
            # Past the cache; what is news finds its way into `beats` as any event does.
            await context.store.get(LEASE, lease)
    except StoreError as error:
        if not deaf:
            log.warning("cannot_listen", error=str(error))
        return True
    if deaf:
        log.info("listening_again")
        beats.listen_anew()
        return False
    for host in sorted(beats.judge()):
        context.poke(controller, host)
    return False
