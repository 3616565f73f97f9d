"""From where images may be fetched, as tables."""

from __future__ import annotations

import ipaddress

import pytest

from agents.storage.failure import Failed
from agents.storage.fetching.sources import check_address, check_url, redirected
from agents.storage.settings import Settings, Sources

NOBODY = Sources()
LAX = Settings.read({"NODE_NAME": "n", "IMAGE_SOURCES_ALLOW": "127.0.0.0/8 Files.example., 169.254.0.9"}).sources
STRICT = Settings.read(
    {"NODE_NAME": "n", "IMAGE_SOURCES_DENY": "10.0.0.0/8", "IMAGE_SOURCES_ALLOW": "10.1.0.0/16"}
).sources


def _refused(host: str, address: str, sources: Sources) -> bool:
    try:
        check_address(host, ipaddress.ip_address(address), sources)
    except Failed as failed:
        assert failed.reason == "SourceRefused"
        return True
    return False


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("10.0.0.7", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("100.64.0.1", False),
        ("8.8.8.8", False),
        ("fd12::1", False),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("0.0.0.0", True),
        ("169.254.169.254", True),
        ("169.254.0.1", True),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("100.100.100.200", True),
        ("::1", True),
        ("::", True),
        ("fe80::1", True),
        ("ff02::1", True),
        ("fd00:ec2::254", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.7", False),
        ("64:ff9b::7f00:1", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:7f00:1::", True),
    ],
)
def test_addresses(address: str, refused: bool) -> None:
    assert _refused("somewhere", address, NOBODY) is refused


@pytest.mark.parametrize(
    ("sources", "host", "address", "refused"),
    [
        (LAX, "x", "127.0.0.1", False),
        (LAX, "files.example", "169.254.1.1", False),
        (LAX, "FILES.example.", "::1", False),
        (LAX, "x", "169.254.0.9", False),
        (LAX, "x", "169.254.0.10", True),
        (STRICT, "x", "10.2.0.1", True),
        (STRICT, "x", "10.1.0.1", True),
        (STRICT, "x", "::ffff:10.2.0.1", True),
        (STRICT, "x", "192.168.0.1", False),
    ],
)
def test_the_operator_of_the_cloud_has_the_last_word(sources: Sources, host: str, address: str, refused: bool) -> None:
    assert _refused(host, address, sources) is refused


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/y",
        "file:///etc/shadow",
        "http://",
        "http:///x",
        "http://127.0.0.1/x",
        "http://[::1]/",
        "http://h:99999/",
        "gopher://x",
    ],
)
def test_urls_that_are_not_even_asked(url: str) -> None:
    with pytest.raises(Failed):
        check_url(url, NOBODY)


@pytest.mark.parametrize(
    ("before", "location", "after"),
    [
        ("http://h/a/b", "c", "http://h/a/c"),
        ("http://h/a", "/c", "http://h/c"),
        ("http://h/a", "http://h:80/c", "http://h:80/c"),
        ("http://h/a", "https://h/c", "https://h/c"),
        ("http://h/a", "http://other/c", ""),
        ("http://h/a", "//other/c", ""),
        ("http://h/a", "http://h:8080/c", ""),
        ("https://h/a", "http://h/c", ""),
        ("http://h/a", "file:///etc/shadow", ""),
        ("http://h/a", "http://h@other/c", ""),
        ("http://h:8080/a", "https://h/c", ""),
    ],
)
def test_redirects_stay_on_the_host(before: str, location: str, after: str) -> None:
    if after:
        assert redirected(before, location) == after
        return
    with pytest.raises(Failed):
        redirected(before, location)


@pytest.mark.parametrize("name", ["IMAGE_MAX_DOWNLOAD", "IMAGE_MAX_VIRTUAL_SIZE", "IMAGE_SOURCES_DENY"])
def test_a_setting_that_makes_no_sense_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings.read({"NODE_NAME": "n", name: "lots"})
