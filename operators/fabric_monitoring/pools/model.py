"""A StoragePool and what hosts report of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.fabric import PoolReport, StoragePoolSpec, StoragePoolStatus
from operators.contract.meta import Obj

StoragePool: TypeAlias = Obj[StoragePoolSpec, StoragePoolStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The pool."""

    pool: StoragePool


@dataclass(frozen=True, slots=True)
class View:
    """One host's view of it."""

    host: str
    reachable: bool
    report: PoolReport | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is reported: by its one host, or by every host that shares it, ordered by name."""

    views: tuple[View, ...]
