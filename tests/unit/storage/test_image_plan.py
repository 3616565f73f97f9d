"""What is decided for an Image, its copies and Disks that end."""

from __future__ import annotations

from typing import Any

import pytest

from operators.contract.meta import Key
from operators.contract.storage import DISK
from operators.kernel.outcome import Blocked, Done
from operators.storage import releases
from operators.storage.images import lookup
from operators.storage.images.model import Seen
from operators.storage.images.plan import plan
from tests.unit.storage.objects import disk, image, image_copy

FAILED = image_copy(ready=False, reason="ChecksumMismatch", message="other bytes")


@pytest.mark.parametrize(
    ("want", "there", "actions", "outcome", "reason"),
    [
        (image(protected=False), Seen(), "Protect", Done, "AsSpecified"),
        (image(), Seen(), "", Done, "AsSpecified"),
        (image(), Seen((image_copy(),)), "", Blocked, "Importing"),
        (image(), Seen((image_copy(ready=True),)), "", Done, "AsSpecified"),
        (image(), Seen((FAILED,)), "", Blocked, "ChecksumMismatch"),
        (image(), Seen((FAILED, image_copy("b", ready=True))), "", Done, "AsSpecified"),
        (image(deleting=True), Seen((image_copy(),), ("team/data",)), "", Blocked, "StillInUse"),
        (image(deleting=True), Seen((image_copy(), image_copy("b"))), "DeleteCopy DeleteCopy", Blocked, "Deleting"),
        (image(deleting=True), Seen((image_copy(deleting=True),)), "", Blocked, "Deleting"),
        (
            image(deleting=True),
            Seen((image_copy(deleting=True, released="StillInUse", message="kept"), image_copy("b"))),
            "DeleteCopy",
            Blocked,
            "StillInUse",
        ),
        (image(deleting=True), Seen(), "Unprotect", Done, "Released"),
    ],
)
def test_plan(want: Any, there: Seen, actions: str, outcome: type, reason: str) -> None:
    did, said = plan(want, there)
    assert " ".join(type(action).__name__ for action in did) == actions
    assert (type(said), said.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("piece", "goes"),
    [
        (disk(), False),
        (disk(deleting=True), False),
        (disk(deleting=True, released="StillAttached"), False),
        (disk(deleting=True, released="Released"), True),
    ],
)
def test_a_piece_goes_only_when_its_agent_has_released_it(piece: Any, goes: bool) -> None:
    assert piece.kind is DISK
    assert bool(releases.plan(piece)[0]) is goes


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("tiny", (Key("team", "tiny"), Key("catalogue", "tiny"))),
        ("other/tiny", (Key("other", "tiny"),)),
    ],
)
def test_where_an_image_is_looked_for(reference: str, found: tuple[Key, ...]) -> None:
    assert lookup.candidates(reference, "team", "catalogue") == found
