"""A store for the tests of components in memory that loses the answer to one of its writes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.store import Unavailable

NEVER = 10**6


class Axe(MemoryStore):
    """One of its writes, counted from 1, is done but never answered: the process dies with it, or the connection breaks."""

    def __init__(self, server: MemoryServer, manager: str, after: int = NEVER, fatal: bool = True) -> None:
        super().__init__(server, manager)
        self.left = after
        self.fatal = fatal
        self.fell = asyncio.Event()
        """Set once the process is dead: nothing it asks for is answered any more."""
        self.creates = 0
        """Those that were tried, refused or not."""

    async def _write(self, write: Coroutine[Any, Any, Any]) -> Any:
        if self.fell.is_set():
            write.close()
            await asyncio.Event().wait()
        answer = await write
        self.left -= 1
        if self.left == 0 and not self.fatal:
            raise Unavailable("the connection broke after the request")
        if self.left == 0:
            self.fell.set()
            await asyncio.Event().wait()
        return answer

    async def create(self, *args: Any, **kwargs: Any) -> Any:
        self.creates += 1
        return await self._write(super().create(*args, **kwargs))

    async def apply(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write(super().apply(*args, **kwargs))

    async def apply_status(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write(super().apply_status(*args, **kwargs))

    async def finalize(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write(super().finalize(*args, **kwargs))

    async def delete(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write(super().delete(*args, **kwargs))
