"""The store on a real API server keeps every expectation that the one in memory keeps."""

from __future__ import annotations

from tests.support.store_expectations import StoreExpectations


class TestRestStore(StoreExpectations):
    """The fixture `stores` is the folder's."""
