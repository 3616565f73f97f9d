"""Making an object that is made once, whoever else may be about to make it."""

from __future__ import annotations

from typing import Any

from operators.contract.codec import Json
from operators.contract.meta import Key, Kind
from operators.contract.reasons import Reason
from operators.kernel.outcome import Problem, Retry
from operators.kernel.store import Conflict, Store

ABSENT = "1"
"""A resourceVersion that no object has: in etcd the first write of all gets version 2.

An apply guarded by it alone makes the object or is a Conflict. That claims the name as atomically as a create, while
what a later apply leaves out is taken away, which after a create it is not. The expectations of every Store
(`tests/support/store_expectations.py`) put it to a real API server."""


async def make(store: Store, kind: Kind[Any, Any], body: Json) -> None:
    """Apply what is not there yet; a Problem if it is, of which the cache then knows.

    Somebody else who leads, too, was first; or we were, and did not hear the answer."""
    name = body["metadata"]["name"]
    guarded = body | {"metadata": body["metadata"] | {"resourceVersion": ABSENT}}
    try:
        await store.apply(kind, guarded)
    except Conflict:
        await store.get(kind, Key(body["metadata"].get("namespace", ""), name))  # which shows it to the cache
        raise Problem(Retry(Reason.PROGRESSING, f"{kind.kind} {name} was there already", 0.1)) from None
