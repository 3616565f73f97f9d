"""Several writes side by side, of which none is left running when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def together(*writes: Awaitable[object]) -> None:
    """Await all of them to their end, then raise the first error, if any."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
