"""What the API asks the Data service for: events, usage and capacity. Nothing that a command writes depends on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import aiohttp
import structlog

from operators.api import errors

log = structlog.get_logger()

TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=2)


class History(Protocol):
    """What commands may ask."""

    async def ask(self, what: str, **params: Any) -> dict[str, Any]:
        """One of its addresses, such as `events`; None and empty parameters are left out. Raises ApiError."""

    async def change(self, what: str, **params: Any) -> dict[str, Any]:
        """One of its addresses that change something: `archive`, `redeliver` or `forget`. Raises ApiError."""


class DataService:
    """The Data service by HTTP, with this process's own token."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, what: str, **params: Any) -> dict[str, Any]:
        """One of its addresses."""
        return await self._send("GET", what, params)

    async def change(self, what: str, **params: Any) -> dict[str, Any]:
        """One of its addresses that change something."""
        return await self._send("POST", what, params)

    async def _send(self, method: str, what: str, params: dict[str, Any]) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        query = {name: _text(value) for name, value in params.items() if value not in (None, "", ())}
        headers = {"Authorization": f"Bearer {self._token()}"}
        try:
            async with self._session.request(
                method, f"{self._url}/data/v1/{what}", params=query, headers=headers
            ) as answer:
                if answer.status == 200:
                    told: dict[str, Any] = await answer.json()
                    return told
                trouble = f"{answer.status} {(await answer.text())[:200]}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            trouble = f"{type(error).__name__}: {error}"
        log.warning("data_service_trouble", what=what, error=trouble)
        raise errors.unavailable("The Data service, which knows this, cannot be asked now: try again in a moment")

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(sorted(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
