"""Decides what brings one DiskBackup to its spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agents.storage.jobs import State
from operators.contract.backups import DiskBackupSpec, DiskBackupStatus
from operators.contract.meta import Obj, holds
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

BackupObj: TypeAlias = Obj[DiskBackupSpec, DiskBackupStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of one DiskBackup."""

    copying: State | None = None
    forgetting: State | None = None
    copied: bool = False
    """Whether this process has copied it."""
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """Begin to copy it."""

    backup: BackupObj

    def __str__(self) -> str:
        return f"{self.backup.spec.source} to ImageStore {self.backup.spec.image_store}"


@dataclass(frozen=True, slots=True)
class Forget:
    """Begin to remove it from the store."""

    backup: BackupObj

    def __str__(self) -> str:
        return f"{self.backup.spec.backup.name} from ImageStore {self.backup.spec.image_store}"


Action: TypeAlias = Copy | Forget


def plan(backup: BackupObj, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next step for one DiskBackup, and how it stands once that is done."""
    conditions = backup.status.conditions
    if backup.meta.deleting:
        if holds(conditions, Type.RELEASED) or seen.forgotten:
            return (), Done(Reason.RELEASED)
        return _job(seen.forgetting, Forget(backup), Reason.DELETING, "it is being removed from the store")
    if seen.copied or holds(conditions, Type.PROVISIONED):
        return (), Done()
    return _job(seen.copying, Copy(backup), Reason.COPYING, f"it is copied to ImageStore {backup.spec.image_store}")


def _job(job: State | None, action: Action, reason: str, message: str) -> tuple[Sequence[Action], Outcome]:
    """A failure stays said until the job succeeds, or the status would flap at each attempt."""
    said = Blocked(job.reason, job.message) if job is not None and job.reason else Blocked(reason, message)
    if job is not None and job.running:
        return (), said
    if job is not None and job.again_in > 0:
        return (), Retry(said.reason, said.message, after=job.again_in)
    return (action,), said
