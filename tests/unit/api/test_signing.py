"""Signatures: known ones, those of the `cs` client, and what must not pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from cs import CloudStack
from hypothesis import given
from hypothesis import strategies as st

from operators.api import signing

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(minutes=10), NOW - timedelta(seconds=1)
PARAMS = {"command": "listZones", "apiKey": "plgWJfZK4gyS3mOMTVmjUVg-X-jlWlnfaUJ9GAbBbf9EdM", "response": "json"}


def signed(params: dict[str, str], secret: str = "s") -> dict[str, str]:
    return params | {"signature": signing.sign(params, secret)}


def test_known_vector() -> None:
    text = "apikey=plgwjfzk4gys3momtvmjuvg-x-jlwlnfauj9gabbbf9edm&command=listzones&response=json"
    expected = base64.b64encode(hmac.new(b"VDaACYb0LV9eNjTetIOElcVQkvJck_J", text.encode(), hashlib.sha1).digest())

    assert signing.sign(PARAMS, "VDaACYb0LV9eNjTetIOElcVQkvJck_J") == expected.decode()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("a b", "a%20b"),
        ("a+b", "a%2bb"),
        ("*", "*"),
        ("a/b", "a%2fb"),
        ("ü", "%c3%bc"),
        ("a[0].b", "a%5b0%5d.b"),
        ("", ""),
    ],
)
def test_encoding(value: str, encoded: str) -> None:
    text = f"command=x&name={encoded}"
    expected = base64.b64encode(hmac.new(b"k", text.encode(), hashlib.sha1).digest()).decode()

    assert signing.sign({"name": value, "command": "x"}, "k") == expected


def test_names_are_sorted_as_they_are_written() -> None:
    upper = base64.b64encode(hmac.new(b"k", b"b=1&a=2", hashlib.sha1).digest()).decode()

    assert signing.sign({"a": "2", "B": "1"}, "k") == upper


values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.dictionaries(st.sampled_from(["name", "keyword", "tags[0].key", "Zone", "id"]), values), values)
def test_what_cs_signs_is_verified(params: dict[str, str], secret: str) -> None:
    data = {"command": "listZones", **params}
    CloudStack("http://localhost", "k", f"s{secret}")._sign(data)

    assert signing.verified(data, f"s{secret}", NOW)
    assert not signing.verified(data, f"t{secret}", NOW)


@given(values)
def test_a_tilde_may_be_encoded_or_not(value: str) -> None:
    text = f"name={quote(value, safe='*').replace('~', '%7E')}".lower()
    java = base64.b64encode(hmac.new(b"k", text.encode(), hashlib.sha1).digest()).decode()

    assert signing.verified({"name": value, "signature": java}, "k", NOW)


@given(st.sampled_from(sorted(PARAMS)), values)
def test_a_changed_parameter_is_refused(name: str, value: str) -> None:
    data = signed(PARAMS)
    if value.lower() != data[name].lower():
        assert not signing.verified(data | {name: value}, "s", NOW)


@pytest.mark.parametrize(
    ("own", "good"),
    [
        ({}, True),
        ({"signatureVersion": "3", "expires": LATER.strftime("%Y-%m-%dT%H:%M:%SZ")}, True),
        ({"SIGNATUREVERSION": "3", "Expires": LATER.strftime("%Y-%m-%dT%H:%M:%S+0000")}, True),
        ({"signatureVersion": "3", "expires": EARLIER.strftime("%Y-%m-%dT%H:%M:%S+0000")}, False),
        ({"signatureVersion": "3", "expires": "2026-11-21T10:59:00+0200"}, False),
        ({"signatureVersion": "3", "expires": "2026-11-21T11:01:00+0200"}, True),
        ({"signatureVersion": "3"}, False),
        ({"signatureVersion": "3", "expires": "soon"}, False),
        ({"signatureVersion": "x"}, False),
        ({"signatureVersion": "2"}, True),
    ],
)
def test_expiry(own: dict[str, str], good: bool) -> None:
    assert signing.verified(signed(PARAMS | own), "s", NOW) is good


def test_no_signature_is_none() -> None:
    assert not signing.verified(PARAMS, "s", NOW)
    assert not signing.verified(PARAMS | {"signature": "ü"}, "s", NOW)
