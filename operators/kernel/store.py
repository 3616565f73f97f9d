"""Access to the API server as a port: the controllers write through this and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from operators.contract.codec import Json
from operators.contract.meta import Key, Kind, Meta


class StoreError(Exception):
    """The API server refused or could not be asked."""


class NotFound(StoreError):
    """There is no such object (any more), or no such kind."""


class AlreadyExists(StoreError):
    """Somebody created an object of that name before."""


class Conflict(StoreError):
    """The object changed since it was read, or is another one of the same name. Look again."""


class Invalid(StoreError):
    """The API server's validation refused the object: schema, CEL rule, quota or admission policy."""


class Forbidden(StoreError):
    """This component may not do that."""


class Unavailable(StoreError):
    """The API server could not be reached or is overloaded; nothing is known of the request's effect."""


class Deposed(StoreError):
    """This process no longer leads, so its write was not sent."""


class Store(Protocol):
    """What a controller may ask of the API server. Every write is safe to repeat."""

    async def get(self, kind: Kind[Any, Any], key: Key) -> Json | None:
        """The newest object, past any cache; None when there is none."""

    async def list(self, kind: Kind[Any, Any], *, field_selector: str = "", label_selector: str = "") -> Sequence[Json]:
        """All objects of a kind in the cluster, newest state."""

    async def create(self, kind: Kind[Any, Any], body: Json) -> Json:
        """Create, or raise AlreadyExists: the atomic claim of a name.

        For objects that never change. What a create wrote, a later apply does not remove by leaving it out."""

    async def apply(self, kind: Kind[Any, Any], body: Json) -> Json:
        """Server-side apply. With `metadata.uid` it never creates; with `metadata.resourceVersion` it is guarded.

        A guard names both (`Meta.guard`): by the version alone, a missing object would be made. Raises Conflict when
        the guard does not hold, and Invalid for what the schema cannot take."""

    async def apply_status(
        self, kind: Kind[Any, Any], key: Key, status: Mapping[str, Any], *, resource_version: str, manager: str = ""
    ) -> Json | None:
        """Server-side apply of the status of the very state that was observed, else Conflict; the object as it is now.

        `manager` names a part of this process's field manager, where two of its controllers write one status."""

    async def finalize(self, kind: Kind[Any, Any], meta: Meta, finalizers: Sequence[str]) -> Json | None:
        """Set the finalizers of the very state that was observed, else Conflict; the object, None when it is gone."""

    async def merge(self, kind: Kind[Any, Any], meta: Meta, change: Json) -> Json:
        """Merge-patch the very state that was observed, else Conflict; NotFound when it is gone.

        As a person changes what is theirs: no controller does. `change` holds spec, data, labels or annotations."""

    async def delete(self, kind: Kind[Any, Any], key: Key, *, uid: str, resource_version: str = "") -> None:
        """Ask for the deletion of that very object. Missing is fine.

        With a version, of that very state of it, else Conflict: for what its user may take back until then."""
