"""What these tests share."""

from collections.abc import Iterator

import pytest

from dev.layout import Layout
from dev.target import Target
from tests.support.faults import Breaker
from tests.support.fixtures import cloud, local, where

__all__ = ["breaker", "cloud", "local", "where"]


@pytest.fixture
def breaker(local: Layout, where: Target) -> Iterator[Breaker]:
    """Something that breaks things, and the cluster whole again afterwards."""
    made = Breaker(local, where)
    made.settle()
    yield made
    made.settle()
