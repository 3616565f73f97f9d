"""Changes of what counts for more than before: reserved first, as what is made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from operators.api import errors
from operators.api.call import Call
from operators.api.changing import TRIES, newest
from operators.api.cloud import name_of
from operators.api.limits import reserved
from operators.contract.codec import Json
from operators.contract.meta import Obj, SpecT, StatusT
from operators.kernel.store import Conflict, NotFound


async def grown(
    call: Call,
    obj: Obj[SpecT, StatusT],
    make: Callable[[Obj[SpecT, StatusT]], Json],
    more: Callable[[Obj[SpecT, StatusT]], Mapping[str, int]],
) -> Obj[SpecT, StatusT]:
    """As `change`, once `more` of the state that is changed was reserved; given back when that was not the newest.

    The reservation names the generation that the change makes, and counts until that is seen."""
    for _ in range(TRIES):
        if not (patch := make(obj)):
            return obj
        meta = obj.meta
        amounts = {what: amount for what, amount in more(obj).items() if amount > 0}
        try:
            async with reserved(call, meta.namespace, obj.kind, f"{meta.name}/{meta.generation + 1}", amounts):
                return obj.kind.parse(await call.store.merge(obj.kind, meta, patch))
        except (Conflict, NotFound):
            obj = await newest(call, obj)
    raise errors.unavailable(f"{obj.kind.kind} {name_of(obj)} is being changed by others all the time: try again")
