"""When an ImageUpload has had its time, and how it stands until then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from operators.contract.uploads import IMAGE_UPLOAD
from operators.kernel.outcome import Blocked, Done, Rejected, Retry
from operators.upload.model import Finish, Remove, Seen, Staged, State
from operators.upload.plan import plan, received, refusal

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
UPLOAD = IMAGE_UPLOAD.parse(
    {
        "metadata": {"name": "debian", "namespace": "team-a", "uid": "u"},
        "spec": {"size": 100, "sha256": "0" * 64, "tokenSha256": "1" * 64},
    }
)
FRESH = Seen(NOW, NOW, limit=1000)
DAY = timedelta(hours=24)
PART, ALL = Staged(State.PART, 40, NOW), Staged(State.PART, 100, NOW)
WHOLE, WRONG = Staged(State.WHOLE, 100, NOW), Staged(State.WRONG, 0, NOW)


@pytest.mark.parametrize(
    ("seen", "actions", "outcome", "reason"),
    [
        (FRESH, (), Retry, "Uploading"),
        (replace(FRESH, file=PART), (), Retry, "Uploading"),
        (replace(FRESH, file=ALL), (Finish(UPLOAD),), Retry, "Uploading"),
        (replace(FRESH, file=WHOLE), (), Done, "AsSpecified"),
        (replace(FRESH, file=WRONG), (), Rejected, "ChecksumMismatch"),
        (replace(FRESH, limit=99), (), Rejected, "ImageTooLarge"),
        # Its time.
        (replace(FRESH, now=NOW + DAY), (Remove(UPLOAD),), Done, "AsSpecified"),
        (replace(FRESH, now=NOW + DAY, file=PART), (Remove(UPLOAD),), Done, "AsSpecified"),
        (replace(FRESH, now=NOW + DAY, file=WRONG), (Remove(UPLOAD),), Done, "AsSpecified"),
        (replace(FRESH, now=NOW + DAY, file=WHOLE), (Remove(UPLOAD),), Done, "AsSpecified"),
        (replace(FRESH, now=NOW + DAY, file=replace(WHOLE, at=NOW + DAY / 2)), (), Done, "AsSpecified"),
        # An Image has none.
        (replace(FRESH, now=NOW + 9 * DAY, file=WHOLE, images=("debian",)), (), Done, "AsSpecified"),
        (replace(FRESH, now=NOW + 9 * DAY, images=("debian",)), (), Blocked, "FileLost"),
    ],
)
def test_plan(seen: Seen, actions: tuple[object, ...], outcome: type, reason: str) -> None:
    planned, result = plan(UPLOAD, seen)
    assert (tuple(planned), type(result), result.reason) == (actions, outcome, reason)


def test_it_looks_again_when_its_time_is_over() -> None:
    outcome = plan(UPLOAD, replace(FRESH, now=NOW + DAY / 4))[1]
    assert isinstance(outcome, Retry) and outcome.after == 18 * 3600


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (FRESH, None),
        (replace(FRESH, file=PART), None),
        (replace(FRESH, file=WHOLE), 409),
        (replace(FRESH, file=WRONG), 409),
        (replace(FRESH, now=NOW + DAY), 410),
        (replace(FRESH, limit=99), 413),
    ],
)
def test_refusal(seen: Seen, status: int | None) -> None:
    why = refusal(UPLOAD, seen)
    assert (why[0] if why else None) == status


@pytest.mark.parametrize(("size", "percent"), [(0, 0), (9, 0), (10, 10), (99, 90), (100, 100)])
def test_received_goes_in_tenths(size: int, percent: int) -> None:
    assert received(UPLOAD, size) == percent
