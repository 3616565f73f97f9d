"""What is decided for an Image, its copies and Disks that end."""

from __future__ import annotations

from typing import Any, cast

import pytest

from operators.contract.codec import to_wire
from operators.contract.meta import Key
from operators.contract.storage import DISK, IMAGE, ImageStatus
from operators.kernel import Cache
from operators.kernel.outcome import Blocked, Done
from operators.storage import releases
from operators.storage.images import lookup
from operators.storage.images.controller import Images
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


def test_image_is_brought_to_the_pools_that_it_is_to_be_on() -> None:
    wanted = image(preseed=["local-h1", "local-h2", "lost"])
    seen = Seen((image_copy("local-h1", ready=True),), (), (("local-h1", "h1"), ("local-h2", "h2")), ("lost",))
    (made,), outcome = plan(wanted, seen)
    assert (made.pool, made.executor) == ("local-h2", "h2")  # type: ignore[union-attr]
    assert isinstance(outcome, Done) and "lost" in outcome.message


@pytest.mark.parametrize(
    ("spec", "found"),
    [({}, False), ({"public": True}, True), ({"sharedWith": ["team-b"]}, True), ({"sharedWith": ["team-c"]}, False)],
)
def test_who_may_name_an_image_of_another_namespace(spec: dict[str, Any], found: bool) -> None:
    cache = Cache([IMAGE])
    obj = image(**spec)
    cache.put(IMAGE, IMAGE.body(obj.key, spec=to_wire(obj.spec), uid="u", resourceVersion="1"))
    assert (lookup.find(cache, "team/tiny", "team-b", "catalogue") is not None) == found
    assert lookup.find(cache, "tiny", "team", "catalogue") is not None


ONE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@pytest.mark.parametrize(
    ("came", "copies", "reason", "says"),
    [
        ("", (), "AsSpecified", "fetched (not checked: no checksum) when a Volume needs it"),
        ("", (image_copy(came=ONE),), "Importing", "being fetched"),
        (ONE, (image_copy(came=ONE, ready=True),), "AsSpecified", f"what came has {ONE}"),
        (ONE, (image_copy(came=ONE, ready=True), image_copy("b", ready=True)), "AsSpecified", f"what came has {ONE}"),
        (ONE, (image_copy(came=ONE, ready=True), image_copy("b", came=OTHER)), "ChecksumMismatch", "pool b has"),
    ],
)
def test_what_has_no_checksum_is_what_came_first(came: str, copies: Any, reason: str, says: str) -> None:
    """Two pools may have fetched it at once, and then differ: that is said."""
    _, said = plan(image(checksum="", came=came), Seen(copies))
    assert (said.reason, says in said.message) == (reason, True), said


def test_the_first_that_came_is_kept_and_asked_of_others() -> None:
    copies = (image_copy("b", came=OTHER, ready=True), image_copy("a", came=ONE, ready=True))
    controller = object.__new__(Images)

    def told(of: Any) -> str:
        (report,) = controller.report(of, Seen(copies), Done())
        return cast("ImageStatus", report.fields).checksum

    assert told(image(checksum="")) == ONE
    assert told(image(checksum="", came=OTHER)) == OTHER
    assert told(image()) == ""
