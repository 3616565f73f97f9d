"""What a SnapshotSchedule's plan decides from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TypeAlias

from operators.contract.meta import Obj
from operators.contract.snapshots import SnapshotScheduleSpec, SnapshotScheduleStatus
from operators.storage.snapshots.model import SnapshotObj

ScheduleObj: TypeAlias = Obj[SnapshotScheduleSpec, SnapshotScheduleStatus]


@dataclass(frozen=True, slots=True)
class Taken:
    """A VolumeSnapshot that the schedule has taken, or is taking."""

    snapshot: SnapshotObj
    rule: str
    moment: datetime
    ready: bool
    why: str = ""
    """Why it is not ready."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there around one SnapshotSchedule."""

    now: datetime
    zone: tzinfo | None
    """None when there is no time zone of that name."""
    volume: bool
    """Whether its Volume is there."""
    created: datetime
    taken: tuple[Taken, ...] = ()


@dataclass(frozen=True, slots=True)
class Take:
    """Have a snapshot taken."""

    schedule: ScheduleObj
    rule: str
    moment: datetime

    def __str__(self) -> str:
        return f"{self.schedule.key} {self.rule} {self.moment:%Y-%m-%dT%H:%M}Z"


@dataclass(frozen=True, slots=True)
class Expire:
    """Have one removed that is no longer to be kept."""

    snapshot: SnapshotObj

    def __str__(self) -> str:
        return str(self.snapshot.key)


Action: TypeAlias = Take | Expire
