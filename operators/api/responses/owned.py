"""Whose something is, as every response of it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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


def whose(call: Call, namespace: str) -> dict[str, Any]:
    """Those fields, for what is in a namespace."""
    return asdict(call.directory.owner(namespace))
