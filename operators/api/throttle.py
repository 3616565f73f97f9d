"""How many calls an account may make in a while; off by default, as in CloudStack. Each replica counts for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from operators.api import errors
from operators.api.directory import Account, Caller
from operators.contract.quantity import Duration
from operators.kernel.clock import Clock

LIMIT = "API_RATE_LIMIT"
"""Environment: calls that an account may make in each interval; any number when empty or 0. Root admins may always."""
INTERVAL = "API_RATE_INTERVAL"
"""Environment: the interval; `1s` by default."""
MANY = 1000
"""Accounts after which those that have been quiet since are forgotten."""


@dataclass(slots=True)
class _Window:
    """What an account has called since its interval began."""

    ends: float
    calls: int = 0


class Throttle:
    """Counts the calls of each account in an interval that begins with its first."""

    def __init__(self, clock: Clock, limit: int = 0, interval: float = 1) -> None:
        self.limit = limit
        self.interval = interval
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    @classmethod
    def of(cls, env: Mapping[str, str], clock: Clock) -> Self:
        """As the environment says."""
        return cls(clock, int(env.get(LIMIT) or "0"), int(Duration.parse(env.get(INTERVAL) or "1s")))

    @property
    def enabled(self) -> bool:
        """Whether anything is limited."""
        return self.limit > 0

    def admit(self, caller: Caller) -> None:
        """Count a call. Raises ApiError when it is one too many."""
        if not self.enabled or caller.root:
            return
        now = self._clock.monotonic()
        window = self._windows.get(caller.account.meta.uid)
        if window is None or window.ends <= now:
            self._forget(now)
            window = self._windows[caller.account.meta.uid] = _Window(now + self.interval)
        window.calls += 1
        if window.calls > self.limit:
            raise errors.too_many(max(1, int((window.ends - now) * 1000)))

    def state(self, account: Account) -> tuple[int, int]:
        """The calls that an account has made in its interval, and the milliseconds until that is over."""
        window, now = self._windows.get(account.meta.uid), self._clock.monotonic()
        return (window.calls, int((window.ends - now) * 1000)) if window is not None and window.ends > now else (0, 0)

    def reset(self, account: Account | None) -> None:
        """Forget the calls of an account, or of all."""
        if account is None:
            self._windows.clear()
        else:
            self._windows.pop(account.meta.uid, None)

    def _forget(self, now: float) -> None:
        if len(self._windows) >= MANY:
            self._windows = {uid: window for uid, window in self._windows.items() if window.ends > now}
