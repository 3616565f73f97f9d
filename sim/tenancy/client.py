"""A program that calls the CloudStack API: it signs, asks again when it hears nothing, and polls its jobs.

What is between it and the API loses requests and answers, and its requests may reach either replica.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import orjson

from operators.api import signing
from sim.loop import Actor, VirtualLoop
from sim.process import Process
from sim.store.schema import Json

PATIENCE = 12.0
"""Seconds that it waits for an answer."""
ATTEMPTS = 8
POLL = 4.0
PORT = 8000

Then = Callable[[int, Json], None]


@dataclass
class Job:
    """An asynchronous job that the API told of."""

    user: str
    id: str
    what: str
    begun: float
    state: int = 0
    """0 while it goes on, 1 and 2 once it has succeeded or failed."""


@dataclass(eq=False)
class Client:
    """All people of a world who call the API."""

    loop: VirtualLoop
    replicas: list[Process]
    rng: random.Random
    say: Callable[[str, str], None]
    lossy: float = 0.0
    """How often a request or its answer is lost."""
    jobs: list[Job] = field(default_factory=list)
    asked: int = 0
    unanswered: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Answers that no caller may get."""

    def __post_init__(self) -> None:
        self.actor = Actor("client")

    def call(self, user: str, command: str, params: dict[str, str], then: Then, attempts: int = ATTEMPTS) -> None:
        """Ask, and ask the very same again while there is no answer."""
        if attempts == 0:
            self.unanswered.append(command)
            return
        self.asked += 1
        heard = [False]

        def answered(status: int, body: Json) -> None:
            if heard[0]:
                return
            heard[0] = True
            if status in (429, 503):  # it is starting, or cannot ask its own server now
                self._later(2.0, lambda: self.call(user, command, params, then, attempts - 1))
            else:
                then(status, body)

        def give_up() -> None:
            if not heard[0]:
                heard[0] = True
                self.call(user, command, params, then, attempts - 1)

        self._later(PATIENCE, give_up)
        self._send(self._signed(user, command, params), answered)

    def _signed(self, user: str, command: str, params: dict[str, str]) -> str:
        query = {"command": command, "apiKey": key_of(user), "response": "json", **params}
        return urlencode(query | {"signature": signing.sign(query, secret_of(user))})

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self.loop.at(self.loop.now + seconds, self.actor, do)

    def _send(self, query: str, answered: Then) -> None:
        if self.rng.random() < self.lossy:
            return
        replica = self.rng.choice(self.replicas)
        self._later(self.rng.uniform(0.001, 0.02), lambda: self._arrive(replica, query, answered))

    def _arrive(self, replica: Process, query: str, answered: Then) -> None:
        actor = replica.actor
        app = actor.__dict__.get("served", {}).get(PORT) if actor is not None and actor.alive else None
        if app is None or actor is None:
            return  # the connection is refused, and the client asks again by and by
        handler = next(route.handler for route in app.router.routes() if route.method == "GET")
        request = SimpleNamespace(
            raw_path=f"/client/api?{query}", method="GET", content_type="", cookies={}, headers={}, url=None
        )

        async def handle() -> None:
            response = await handler(request)
            if self.rng.random() >= self.lossy:
                self._later(self.rng.uniform(0.001, 0.02), lambda: self._hear(response, query, answered))

        self.loop.spawn(actor, handle(), f"{replica.name}-request")

    def _hear(self, response: Any, query: str, answered: Then) -> None:
        ((_, body),) = orjson.loads(response.body).items()
        if response.status == 530 and "internal" in str(body.get("errortext", "")).lower():
            self.broken.append(f"{query.split('&')[0]} was answered {body}")
        answered(response.status, body)

    # Jobs.

    def follow(self, user: str, what: str) -> Then:
        """Look after the job that an answer tells of."""

        def then(status: int, body: Json) -> None:
            self.say(what, f"→ {status} {body.get('jobid') or body.get('errortext', '')}")
            if status == 200 and "jobid" in body and all(job.id != body["jobid"] for job in self.jobs):
                job = Job(user, body["jobid"], what, self.loop.now)
                self.jobs.append(job)
                self._later(POLL, lambda: self._poll(job))

        return then

    def _poll(self, job: Job) -> None:
        def told(status: int, body: Json) -> None:
            if status == 200 and body.get("jobstatus"):
                job.state = body["jobstatus"]
                self.say(job.what, f"job {job.id} ended as {job.state}")
            elif status == 200:
                self._later(POLL, lambda: self._poll(job))
            else:
                job.state = 2  # its owner is gone, and nobody may ask any more

        self.call(job.user, "queryAsyncJobResult", {"jobid": job.id}, told, 1000)


def key_of(user: str) -> str:
    """A user's API key."""
    return f"{user}-0123456789abcdef"


def secret_of(user: str) -> str:
    """What signs with it."""
    return f"secret of {user}"
