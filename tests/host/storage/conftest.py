"""Fixtures: a source of images and an agent on a pool of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.host.storage.harness import Agent, Source, agent, image, source


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Agent]:
    """A running storage agent."""
    async with agent(tmp_path / "pools") as made:
        yield made


@pytest.fixture
async def web_source(tmp_path: Path) -> AsyncIterator[Source]:
    """A server that serves a sound image of 4 MiB."""
    async with source(image(tmp_path)) as made:
        yield made
