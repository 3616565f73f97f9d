"""A StoragePool and what lies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.fabric import StoragePoolSpec, StoragePoolStatus
from operators.contract.meta import Meta, Obj

StoragePool: TypeAlias = Obj[StoragePoolSpec, StoragePoolStatus]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A StoragePool, and the folder for which there shall be one."""

    pool: StoragePool | None
    shared_path: str = ""
    """The folder that all hosts share, where this is the name of its pool; else empty."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What concerns it."""

    zone: bool = True
    disks: tuple[str, ...] = ()
    """Looked for only when it is to go."""


@dataclass(frozen=True, slots=True)
class MakeShared:
    """Make the pool that all hosts share."""

    path: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Put our finalizer on a pool that somebody else made."""

    pool: Meta


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take our finalizer off a pool."""

    pool: Meta


Action: TypeAlias = MakeShared | Hold | LetGo
