"""The network agent in a host of its own, whose API server is at the other end of a pipe.

The test cannot have the agent in its own process: the agent works on the network namespace that it is in.
Each line is a JSON object: events come in, requests go out, answers come in.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from agents.network.handlers import COMPONENT
from operators.contract.codec import Json
from operators.contract.kinds import ALL
from operators.contract.meta import Key, Kind, Meta
from operators.kernel import store as errors
from operators.kernel.clock import SystemClock
from operators.kernel.manager import Manager
from operators.kernel.store import Store

KINDS = {kind.crd: kind for kind in ALL}


class PipeStore(Store):
    """Asks the test. The agent may write statuses, and nothing else."""

    def __init__(self) -> None:
        self._asked: dict[int, asyncio.Future[Any]] = {}

    async def list(self, kind: Kind[Any, Any], *, field_selector: str = "", label_selector: str = "") -> Sequence[Json]:
        found: Sequence[Json] = await self._ask("list", kind=kind.crd, field_selector=field_selector)
        return found

    async def apply_status(
        self, kind: Kind[Any, Any], key: Key, status: Mapping[str, Any], *, resource_version: str, manager: str = ""
    ) -> Json | None:
        said = {"key": [key.namespace, key.name], "status": status, "resource_version": resource_version}
        answer: Json | None = await self._ask("apply_status", kind=kind.crd, manager=manager, **said)
        return answer

    async def get(self, kind: Kind[Any, Any], key: Key) -> Json | None:
        raise errors.Forbidden("get")

    async def create(self, kind: Kind[Any, Any], body: Json) -> Json:
        raise errors.Forbidden("create")

    async def apply(self, kind: Kind[Any, Any], body: Json) -> Json:
        raise errors.Forbidden("apply")

    async def finalize(self, kind: Kind[Any, Any], meta: Meta, finalizers: Sequence[str]) -> Json | None:
        raise errors.Forbidden("finalize")

    async def delete(self, kind: Kind[Any, Any], key: Key, *, uid: str, resource_version: str = "") -> None:
        raise errors.Forbidden("delete")

    async def _ask(self, verb: str, **said: Any) -> Any:
        number = len(self._asked)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        say({"ask": number, "verb": verb} | said)
        return await answer

    def answer(self, line: Json) -> None:
        future = self._asked[line["answer"]]
        if "error" in line:
            future.set_exception(getattr(errors, line["error"])(line["message"]))
        else:
            future.set_result(line["result"])


def say(line: Json) -> None:
    os.write(1, orjson.dumps(line) + b"\n")


async def main() -> None:
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    store = PipeStore()
    manager = Manager(store, SystemClock(), COMPONENT.watches(os.environ), COMPONENT.build, env=os.environ)
    say({"pid": os.getpid()})

    async def listen() -> None:
        while line := await reader.readline():
            read = orjson.loads(line)
            if "answer" in read:
                store.answer(read)
            else:
                manager.event(KINDS[read["kind"]], read["event"], read["body"])

    tasks = [asyncio.ensure_future(each) for each in (listen(), manager.run(), *COMPONENT.background(manager.context))]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


if __name__ == "__main__":
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main())
