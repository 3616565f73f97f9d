"""What a process owes the API server in each of its requests, whatever else is broken: looked at on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from sim.store.server import APPLY

STATUS = "/status"
LONG_AGO = 0.5
"""Seconds after which a process may be expected to know what it was told: runs side by side may be that far apart."""


@dataclass
class Manners:
    """Of one incarnation of a process: what it was told, and what it asks."""

    known: dict[str, tuple[int, float]] = field(default_factory=dict)
    """By url, the version of each object as the answer to the process's own write told it, and when."""
    asked: dict[str, bytes] = field(default_factory=dict)

    def told(self, url: str, text: bytes, now: float) -> None:
        """The answer to a write has reached the process."""
        version = orjson.loads(text).get("metadata", {}).get("resourceVersion")
        if version:
            self.known[url.removesuffix(STATUS)] = int(version), now

    def faults(self, url: str, content: str, data: bytes | None, now: float) -> Iterator[str]:
        """What is wrong with a request."""
        if content != APPLY or not url.endswith(STATUS) or data is None or self.asked.get(url) is data:
            return  # a retry says the same again, by then perhaps too late
        self.asked[url] = data
        guard = orjson.loads(data)["metadata"].get("resourceVersion")
        if not guard:
            yield f"a status without the version that it is about: {url}"
            return
        version, since = self.known.get(url.removesuffix(STATUS), (0, now))
        if int(guard) < version and now - since > LONG_AGO:
            yield f"a status about version {guard} of {url}, of which its own write had made version {version}"
