"""Stores and processes of the kernel on the test run's API server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from operators.kernel import access
from operators.kernel.rest import RestStore
from tests.apiserver.control_plane import ControlPlane


@pytest.fixture
async def stores(control_plane: ControlPlane) -> AsyncIterator[Callable[[str], RestStore]]:
    """A store on the real API server for each field manager."""
    reach = access.from_kubeconfig(control_plane.kubeconfig)
    async with reach.session("cloudstack-test") as session:
        yield lambda manager: RestStore(session, reach.server, manager)
