"""Who may read: whoever the cluster knows and lets, by TokenReview and SubjectAccessReview.

The addresses begin with /data, since Kubernetes lets everybody whom it knows `get` what is below /api.
"""

from __future__ import annotations

import hashlib

import structlog

from operators.contract.core import SUBJECT_ACCESS_REVIEW, TOKEN_REVIEW
from operators.contract.meta import Key
from operators.kernel.clock import Clock
from operators.kernel.store import Store, StoreError

log = structlog.get_logger()

REMEMBERED = 30.0
"""Seconds for which a verdict is not asked for again."""
MOST = 1000
NOWHERE = Key("", "")
"""Reviews are kept nowhere."""


class Tokens:
    """Judges tokens, and remembers the verdicts for a moment."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._verdicts: dict[tuple[str, str, str], tuple[float, int]] = {}

    async def judge(self, token: str, verb: str, path: str) -> int:
        """200, 401 or 403. A path counts without what is below its third part: `/data/v1/objects`."""
        if not token:
            return 401
        place = "/".join(path.split("/")[:4])
        key = hashlib.sha256(token.encode()).hexdigest(), verb, place
        until, verdict = self._verdicts.get(key, (0.0, 0))
        if until > self._clock.monotonic():
            return verdict
        try:
            verdict = await self._asked(token, verb, place)
        except StoreError as error:
            log.warning("token_not_judged", error=str(error))
            return 401
        if len(self._verdicts) >= MOST:
            self._verdicts.clear()
        self._verdicts[key] = self._clock.monotonic() + REMEMBERED, verdict
        return verdict

    async def _asked(self, token: str, verb: str, path: str) -> int:
        review = await self._store.create(TOKEN_REVIEW, TOKEN_REVIEW.body(NOWHERE, spec={"token": token}))
        told = review.get("status") or {}
        if not told.get("authenticated"):
            return 401
        user = told["user"]
        where = {"path": path, "verb": verb}
        spec = {"user": user["username"], "groups": user.get("groups") or [], "nonResourceAttributes": where}
        asked = await self._store.create(SUBJECT_ACCESS_REVIEW, SUBJECT_ACCESS_REVIEW.body(NOWHERE, spec=spec))
        return 200 if (asked.get("status") or {}).get("allowed") else 403
