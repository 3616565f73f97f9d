"""The examples are what the API server takes, and what the contract reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.storage import VOLUME
from tests.apiserver.client import Client, kind_of

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
BODIES = [
    pytest.param(body, id=f"{path.stem}-{body['kind']}-{body['metadata']['name']}")
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for body in yaml.safe_load_all(path.read_text().replace("@SHA256@", "0" * 64))
]


@pytest.mark.parametrize("body", BODIES)
def test_examples_are_accepted(admin: Client, body: dict[str, Any]) -> None:
    if body["kind"] == "Namespace":
        return
    created = admin.create(
        body | {"metadata": {"name": body["metadata"]["name"]}}, dryRun="All", fieldValidation="Strict"
    )

    assert kind_of(body).parse(created).meta.name == body["metadata"]["name"]


def test_the_first_machine_takes_ten_lines() -> None:
    assert len((EXAMPLES / "first-vm.yaml").read_text().splitlines()) == 10


def test_the_demo_tells_the_whole_story() -> None:
    bodies = list(yaml.safe_load_all((EXAMPLES / "team-a.yaml").read_text()))
    machines = {
        each["metadata"]["name"]: VIRTUAL_MACHINE.parse(each) for each in bodies if each["kind"] == "VirtualMachine"
    }
    volumes = {each["metadata"]["name"] for each in bodies if each["kind"] == VOLUME.kind}

    assert set(machines) == {"web", "db"}
    assert set(machines["web"].spec.volumes) == volumes == {"ledger"}
    assert all(each.spec.user_data.inline.startswith("#!/bin/sh\n") for each in machines.values())
