"""Networks between the hosts of a test: each suite has its own, and so has each process that runs tests of it."""

from __future__ import annotations

import os

from dev.lan import Lan

SUITES = {"hyp": 41, "mig": 42, "net": 43}
"""The third byte of each suite's networks; those of the next process are ten further on."""


def lan(suite: str) -> Lan:
    """The networks of a suite in this process of pytest-xdist's."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    third = SUITES[suite] + 10 * worker
    return Lan(
        bridge=f"{suite}ul{worker}",
        network=f"10.99.{third}.0/24",
        public=f"{suite}pub{worker}",
        outside=f"{suite}-outside{worker}",
        outside_address=f"10.98.{third}.254/24",
    )
