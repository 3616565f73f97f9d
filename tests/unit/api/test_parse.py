"""From strings to arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.api.call import ListArgs
from operators.api.declare import Declared, boolean, date, identifier, integer, long, maps, string, uuid, uuids, words
from operators.api.errors import ApiError
from operators.api.parse import parse
from operators.contract.fabric import ZONE
from operators.contract.meta import Key

UID = "6f1d0b1a-5c3e-4a57-9d0c-0a1b2c3d4e5f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args(ListArgs):
    text: str = string("", length=5)
    whole: int | None = integer("")
    large: int | None = long("")
    flag: bool = boolean("")
    when: Any = date("")
    zone: Any = uuid("", ZONE)
    zones: tuple[Any, ...] = uuids("", ZONE)
    job: str = identifier("")
    items: tuple[str, ...] = words("")
    details: tuple[Any, ...] = maps("")


COMMAND = Declared(
    name="tryThis", about="", args=Args, item=Args, refused=frozenset({"later"}), ignored=frozenset({"hint"})
)


def parsed(**raw: str) -> Args:
    args: Args = parse(
        COMMAND, raw, lambda kind, uid: kind.parse(kind.body(Key("", "default"))) if uid == UID else None
    )
    return args


@pytest.mark.parametrize(
    ("raw", "field", "value"),
    [
        ({"text": "abc"}, "text", "abc"),
        ({"TEXT": "abc"}, "text", "abc"),
        ({"text": ""}, "text", ""),
        ({"whole": "-7"}, "whole", -7),
        ({"large": "9000000000"}, "large", 9000000000),
        ({"flag": "TRUE"}, "flag", True),
        ({"flag": ""}, "flag", False),
        ({"items": "a, b,,c"}, "items", ("a", "b", "c")),
        ({"job": "anything"}, "job", "anything"),
        ({"details[1].b": "y", "details[0].a": "x"}, "details", ({"a": "x"}, {"b": "y"})),
        ({"hint": "x", "nobody": "knows", "_": "1"}, "text", ""),
    ],
)
def test_values(raw: dict[str, str], field: str, value: Any) -> None:
    assert getattr(parsed(**raw), field) == value


def test_objects() -> None:
    args = parsed(zone=UID, zones=f"{UID},{UID}")
    assert (args.zone.meta.name, len(args.zones)) == ("default", 2)


def test_dates() -> None:
    assert parsed(when="2026-11-21").when == parsed(when="2026-11-21T00:00:00+0000").when


@pytest.mark.parametrize(
    ("raw", "code", "says"),
    [
        ({"text": "abcdef"}, 431, "max allowed length 5"),
        ({"whole": "seven"}, 431, "invalid value seven for parameter whole"),
        ({"whole": "3000000000"}, 431, "whole"),
        ({"large": "9" * 19}, 431, "large"),
        ({"flag": "yes"}, 431, "flag"),
        ({"when": "tomorrow"}, 431, "when"),
        ({"zone": "nowhere"}, 431, "entity does not exist"),
        ({"zones": f"{UID},nowhere"}, 431, "value=nowhere"),
        ({"later": "x"}, 432, "not supported yet"),
        ({"later[0].a": "x"}, 432, "not supported yet"),
        ({"pagesize": "5"}, 431, '"page" parameter is required'),
        ({"page": "0", "pagesize": "5"}, 431, "count from 1"),
        ({"page": "x", "pagesize": "5"}, 431, "page"),
    ],
)
def test_refusals(raw: dict[str, str], code: int, says: str) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(**raw)
    assert caught.value.code == code
    assert says in caught.value.text


names = st.sampled_from(
    [*(param.name for param in COMMAND.params), "details[0].a", "details[99999999].b", "later", "[", "x[0]"]
)


@given(st.dictionaries(names, st.text(max_size=30), max_size=6))
def test_anything_is_parsed_or_refused(raw: dict[str, str]) -> None:
    try:
        assert isinstance(parsed(**raw), Args)
    except ApiError as error:
        assert error.code in (431, 432)
