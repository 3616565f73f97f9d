"""From the names that people give to names of objects."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from operators.api import errors
from operators.api.call import Call
from operators.api.limits import reserved
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.meta import Key, Kind, Obj, SpecT, StatusT
from operators.kernel.store import AlreadyExists, NotFound

_HOSTNAME = re.compile(r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?")
LONGEST_VM = 50
TRIES = 5


def virtual_machine(name: str) -> str:
    """The object's name of a virtual machine, whose own must be a host name."""
    if not _HOSTNAME.fullmatch(name) or len(name) > LONGEST_VM:
        raise errors.invalid(
            f"Invalid name {name}: a virtual machine's name must be a host name of at most {LONGEST_VM} letters, "
            "digits and dashes, beginning with a letter and not ending with a dash"
        )
    return name.lower()


def generated() -> str:
    """The name of a virtual machine that nobody named."""
    return f"vm-{secrets.token_hex(6)}"


def slug(name: str, fallback: str) -> str:
    """A valid object name that resembles what a person wrote."""
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
    return short or fallback


def notes_of(object_name: str, name: str, display_name: str = "") -> dict[str, str]:
    """What the object's own name cannot say."""
    said = {names.ANNOTATION_NAME: name if name != object_name else "", names.ANNOTATION_DISPLAY_NAME: display_name}
    return {key: value for key, value in said.items() if value}


async def claim(
    call: Call, kind: Kind[SpecT, StatusT], own: str, spec: Json, taken: str, **metadata: Any
) -> Obj[SpecT, StatusT]:
    """Create a cluster-scoped object of a name that only one can have, or say that it is `taken`."""
    try:
        return kind.parse(await call.store.create(kind, kind.body(Key("", own), spec=spec, **metadata)))
    except AlreadyExists:
        raise errors.invalid(taken) from None


async def create(
    call: Call,
    kind: Kind[SpecT, StatusT],
    namespace: str,
    name: str,
    spec: Json,
    display_name: str = "",
    *,
    amounts: Mapping[str, int] | None = None,
    **metadata: Any,
) -> Json:
    """Create an object named after what a person wrote; names need not be unique, so another gets an ending.

    `amounts` is what it counts for against limits."""
    base = slug(name, kind.kind.lower())
    for attempt in range(TRIES):
        own = base if attempt == 0 else f"{base}-{secrets.token_hex(3)}"
        notes = notes_of(own, name, display_name)
        said = metadata | ({"annotations": notes} if notes else {})
        body = kind.body(Key(namespace, own), spec=spec, **said)
        try:
            async with reserved(call, namespace, kind, own, amounts or {}):
                return await call.store.create(kind, body)
        except AlreadyExists:
            continue
        except NotFound:
            raise no_namespace(namespace) from None
    raise errors.internal()


def no_namespace(namespace: str) -> errors.ApiError:
    """The account has nowhere to put anything yet."""
    return errors.ApiError(
        530, f"namespace {namespace} of the account does not exist: the operator of the cloud makes it"
    )
