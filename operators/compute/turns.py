"""Whose turn it is: the one operation of a snapshot that a virtual machine is in.

It is an annotation of its Instance, so that two processes that both lead cannot begin two of them: the Instance is one
object, and whoever writes it names the state that was decided on. A start, a stop and the word to leave the host are
writes of the same object, so neither of them and the beginning of such an operation can both be unaware of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from operators.compute.model import Instance
from operators.contract import names

SNAPSHOT = f"{names.COMPUTE}/snapshot"


class Purpose(StrEnum):
    """What it is about."""

    TAKE = "take"
    """Its disks are copied; its guest may start and stop, but stays on its host."""
    REVERT = "revert"
    """Its disks are brought back: no guest is started on them meanwhile."""


@dataclass(frozen=True, slots=True)
class Turn:
    """That of one VirtualMachineSnapshot."""

    purpose: Purpose
    uid: str

    def __str__(self) -> str:
        return f"{self.purpose}/{self.uid}"


def of(instance: Instance | None) -> Turn | None:
    """The one that an Instance bears."""
    text = instance.meta.annotations.get(SNAPSHOT, "") if instance is not None else ""
    purpose, _, uid = text.partition("/")
    return Turn(Purpose(purpose), uid) if uid and purpose in list(Purpose) else None


def kept(annotations: Mapping[str, str]) -> dict[str, str]:
    """What a change of an Instance for any other reason leaves as it is."""
    return {SNAPSHOT: annotations[SNAPSHOT]} if SNAPSHOT in annotations else {}
