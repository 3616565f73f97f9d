"""The generated reference is that of today's CRDs."""

from __future__ import annotations

from docs.generate import GROUPS, OUT, pages
from operators.contract.kinds import ALL


def test_the_reference_is_up_to_date() -> None:
    written = {path.name: path.read_text() for path in OUT.glob("*.md")}

    assert written == pages(), "run `python3 docs/generate.py`"


def test_every_kind_has_its_place() -> None:
    assert {kind.group.split(".")[0] for kind in ALL} == set(GROUPS)
    fresh = pages()
    for kind in ALL:
        assert f"\n## {kind.kind}\n" in fresh[f"{kind.group.split('.')[0]}.md"]
