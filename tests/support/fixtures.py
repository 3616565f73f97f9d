"""Fixtures of the tests that need a cluster with the chart on it; each folder's conftest takes what it needs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from dev.console import DevError
from dev.layout import Layout
from dev.target import Target, target
from tests.support.cluster import Cloud, tenant


@pytest.fixture(scope="session")
def where() -> Target:
    """The cluster of KUBECONFIG, else the local one; the chart must be on it."""
    try:
        found = target(Layout())
        found.kubectl("get", "crd", "virtualmachines.compute.cloudstack.dev")
    except DevError as error:
        pytest.fail(f"no cluster with the chart on it: `python3 -m dev deploy` makes one ({error})")
    return found


@pytest.fixture
def cloud(where: Target, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """A tenant of its own for each test, so that tests may run side by side."""
    with tenant(where, f"t-{secrets.token_hex(3)}") as made:
        yield made
        if getattr(request.node, "failed", False):
            print(made.story())


@pytest.fixture(scope="session")
def local(where: Target) -> Layout:
    """The local cluster, for tests that cut power or stop the control plane."""
    if not where.local:
        pytest.skip("only the local cluster may be broken like this")
    return Layout()
