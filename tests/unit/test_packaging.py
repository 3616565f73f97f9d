"""The lock files pin whatever the project says it needs, so that a fresh clone can run it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"image.lock": ("agents", "data"), "dev.lock": ("agents", "data", "dev")}


def canonical(requirement: str) -> str:
    """Return the name of a requirement as package indexes compare it."""
    (name,) = re.findall(r"^[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", EXTRAS)
def test_lock_files_pin_every_dependency(lock: str) -> None:
    extras = PROJECT["optional-dependencies"]
    needed = {canonical(each) for each in PROJECT["dependencies"]}
    needed |= {canonical(each) for extra in EXTRAS[lock] for each in extras[extra]}
    pinned = {canonical(line) for line in (ROOT / "requirements" / lock).read_text().splitlines() if "==" in line[:60]}
    assert needed <= pinned
