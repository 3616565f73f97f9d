"""What both controllers of Fabric Admin need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from operators.contract import names
from operators.contract.meta import Key, Kind
from operators.kernel.store import AlreadyExists, Store

COMPONENT = "fabric-admin"
FINALIZER = names.finalizer(COMPONENT)
LISTED = 5
"""How many objects a message names before it only counts the rest."""


def listed(objects: Sequence[str]) -> str:
    """Some objects as part of a sentence."""
    more = len(objects) - LISTED
    return ", ".join(objects[:LISTED]) + (f" and {more} more" if more > 0 else "")


async def make(store: Store, kind: Kind[Any, Any], body: dict[str, Any]) -> None:
    """Create an object. One of that name, whoever made it, is left as it is, and shown to the cache."""
    try:
        await store.create(kind, body)
    except AlreadyExists:
        metadata = body["metadata"]
        await store.get(kind, Key(metadata.get("namespace", ""), metadata["name"]))
