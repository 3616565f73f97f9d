"""What commands do to objects of their callers: change them as kubectl would, and delete them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from operators.api import errors
from operators.api.call import Call
from operators.api.cloud import name_of
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.meta import Obj, SpecT, StatusT
from operators.kernel.store import Conflict, NotFound

TRIES = 5


async def change(
    call: Call, obj: Obj[SpecT, StatusT], make: Callable[[Obj[SpecT, StatusT]], Json]
) -> Obj[SpecT, StatusT]:
    """Merge what `make` says of the state it is given, decided anew when somebody else was faster; the object now."""
    for _ in range(TRIES):
        if not (patch := make(obj)):
            return obj
        try:
            return obj.kind.parse(await call.store.merge(obj.kind, obj.meta, patch))
        except (Conflict, NotFound):
            obj = await newest(call, obj)
    raise errors.unavailable(f"{obj.kind.kind} {name_of(obj)} is being changed by others all the time: try again")


async def newest(call: Call, obj: Obj[SpecT, StatusT]) -> Obj[SpecT, StatusT]:
    """The newest state of the very same object."""
    body = await call.store.get(obj.kind, obj.key)
    found = obj.kind.parse(body) if body is not None else None
    if found is None or found.meta.uid != obj.meta.uid:
        raise errors.invalid(f"{obj.kind.kind} {name_of(obj)} does not exist any more")
    return found


async def update(
    call: Call, obj: Obj[SpecT, StatusT], spec: Json, *, name: str = "", display: str = ""
) -> Obj[SpecT, StatusT]:
    """Set fields of a spec, and what the object is called. None takes a field away."""
    notes = renamed(obj, name, display)

    def make(now: Obj[SpecT, StatusT]) -> Json:
        return ({"spec": spec} if spec else {}) | ({"metadata": {"annotations": notes}} if notes else {})

    return await change(call, obj, make)


def renamed(obj: Obj[Any, Any], name: str, display: str) -> Mapping[str, str]:
    """The annotations that give an object another name for people; its own cannot change."""
    said = {names.ANNOTATION_NAME: name, names.ANNOTATION_DISPLAY_NAME: display}
    return {key: value for key, value in said.items() if value}


async def remove(call: Call, obj: Obj[Any, Any]) -> None:
    """Delete an object; when nobody holds it, lists forget it at once."""
    await call.store.delete(obj.kind, obj.key, uid=obj.meta.uid)
    body = await call.store.get(obj.kind, obj.key)
    if body is None or body["metadata"]["uid"] != obj.meta.uid:
        call.cloud.cache.drop(obj.kind, obj.key, obj.meta.uid)


def given(**fields: Any) -> Json:
    """The fields that were given: neither None nor empty."""
    return {name: value for name, value in fields.items() if value is not None and value != "" and value != ()}
