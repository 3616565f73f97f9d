"""The read model is of everything, so the chart must let it read every kind."""

from __future__ import annotations

from pathlib import Path

import yaml

from operators.contract.kinds import ALL

TABLE = Path(__file__).resolve().parents[3] / "charts/cloudstack/files/rbac.yaml"


def test_it_may_read_every_kind() -> None:
    read = yaml.safe_load(TABLE.read_text())["data"]["read"]
    allowed = {f"{plural}.{group}.cloudstack.dev" for group, plurals in read.items() for plural in plurals}
    assert allowed == {kind.crd for kind in ALL}
