"""The generated page is that of today's commands."""

from __future__ import annotations

from docs.generate_api import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"
