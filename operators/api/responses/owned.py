"""Whose something is, as every response of it says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from operators.api.call import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedResponse:
    """The fields that tell of the owner: an account or a project, and its domain."""

    account: str | None
    domainid: str | None
    domain: str
    domainpath: str
    project: str | None
    projectid: str | None


FIELDS = tuple(field.name for field in fields(OwnedResponse))


def whose(call: Call, namespace: str) -> dict[str, Any]:
    """Those fields, for what is in a namespace."""
    owner = call.directory.owner(namespace)
    return {name: getattr(owner, name) for name in FIELDS}
