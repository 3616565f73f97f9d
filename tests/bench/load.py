"""A load generator for CloudStack's API: signed GETs over connections that stay open, a thread a client."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from operators.api.signing import sign
from tests.support.measure import percentile

POLL = 0.05
"""Seconds between looks at a job."""
PATIENCE = 60.0
"""Seconds for which a call that nobody answers is tried again."""


@dataclass
class Client:
    """One client of one user."""

    url: str
    key: str
    secret: str
    other: str = ""
    """Another replica's address, for what the first does not answer."""
    retried: int = 0
    _kept: threading.local = field(default_factory=threading.local)
    _all: list[http.client.HTTPConnection] = field(default_factory=list)

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._all:
            connection.close()

    def call(self, command: str, **params: str) -> dict[str, Any]:
        """The content of a good answer."""
        status, body = self.ask(command, **params)
        assert status == 200, body[:500]
        return self.answer(body)

    @staticmethod
    def answer(body: bytes) -> dict[str, Any]:
        """What an answer says."""
        (content,) = json.loads(body).values()
        return dict(content)

    def ask(self, command: str, **params: str) -> tuple[int, bytes]:
        """An answer. What was cut off, or met a replica that is starting, is asked again, of the other one if there is."""
        query = {"command": command, "apiKey": self.key, "response": "json", **params}
        query["signature"] = sign(query, self.secret)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                status, body = self._get(query)
                if status != 503 or not self.other:
                    return status, body
            except (http.client.HTTPException, OSError):
                self._kept.connection = None
                if time.monotonic() > deadline:
                    raise
            self.retried += 1
            self._turn()

    def job(self, jobid: str, patience: float = 120) -> dict[str, Any]:
        """Look at a job until it has ended well."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            told = self.call("queryAsyncJobResult", jobid=jobid)
            if told["jobstatus"]:
                assert told["jobstatus"] == 1, told
                return told
            time.sleep(POLL)
        raise AssertionError(f"job {jobid} is still under way")

    def _turn(self) -> None:
        """Go to the other replica."""
        if self.other:
            self._kept.other = not getattr(self._kept, "other", False)
            self._kept.connection = None
            time.sleep(POLL)

    def _get(self, query: dict[str, str]) -> tuple[int, bytes]:
        connection = getattr(self._kept, "connection", None)
        if connection is None:
            parts = urlsplit(self.other if getattr(self._kept, "other", False) else self.url)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
            self._kept.connection = connection
            self._all.append(connection)
        connection.request("GET", f"/client/api?{urlencode(query)}")
        answer = connection.getresponse()
        return answer.status, answer.read()


@dataclass(frozen=True)
class Figures:
    """What came of one kind of call."""

    took: list[float]
    wall: float

    def row(self, name: str) -> list[str]:
        """For a table: milliseconds at the median, the 95th percentile and the worst; calls a second."""
        figures = (percentile(self.took, 0.5), percentile(self.took, 0.95), max(self.took))
        return [name, *(f"{1000 * each:.1f}" for each in figures), f"{len(self.took) / self.wall:.1f}"]


def measured(client: Client, clients: int, calls: int, command: str, **params: str) -> Figures:
    """So many calls by so many clients at once."""
    took: list[float] = []

    def work() -> None:
        for _ in range(calls // clients):
            began = time.perf_counter()
            client.call(command, **params)
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for each in [pool.submit(work) for _ in range(clients)]:
            each.result()
    return Figures(took, time.perf_counter() - began)
