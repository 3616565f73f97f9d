"""Names: always valid, always the same, never of two owners alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.contract import names
from operators.contract.kinds import ALL
from operators.contract.reasons import Reason, Type
from tests.unit.contract.schemas import part, walk

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
labels = st.from_regex(LABEL, fullmatch=True).filter(lambda text: len(text) <= 63)
machines = labels.filter(lambda text: len(text) <= 50)
nodes = st.lists(labels, min_size=1, max_size=3).map(".".join)


@given(labels, nodes)
def test_names_of_dependents_are_valid(owner: str, host: str) -> None:
    for name in (
        names.root_volume(owner),
        names.port(owner, "nic7"),
        names.instance(owner),
        names.instance_moved(owner, "01234567-89ab"),
        names.disk(owner),
        names.image_copy(owner, host),
        names.port_binding(owner, host),
        names.host_network(owner, host),
        names.router(owner),
        names.local_pool(host),
        names.flow(owner, "0123-4567", "Deploy", 3),
        names.domain("team-a", owner, "01234567-89ab"),
    ):
        assert LABEL.fullmatch(name)
        assert len(name) <= names.MAX_NAME


@given(machines, nodes)
def test_names_of_a_machine_stay_readable(machine: str, host: str) -> None:
    """A VirtualMachine's name is short enough that nothing made for it needs a digest in place of its name."""
    root = names.root_volume(machine)

    assert root == f"{machine}-root"
    assert names.disk(root) == f"{machine}-root-d0"
    assert names.port(machine, "nic7") == f"{machine}-nic7"
    assert names.port_binding(names.port(machine, "nic7"), host).startswith(f"{machine}-nic7-")
    assert names.instance(machine) == f"{machine}-i0"
    assert names.instance_moved(machine, "0123").startswith(f"{machine}-")


@given(labels, labels, nodes, nodes)
def test_different_owners_have_different_dependents(a: str, b: str, here: str, there: str) -> None:
    assert (names.instance(a) == names.instance(b)) == (a == b)
    assert names.instance(a) != names.instance_moved(b, "0123")
    assert (names.disk(a) == names.disk(b)) == (a == b)
    if here != there:
        assert names.port_binding(a, here) != names.port_binding(a, there)


def test_a_long_name_keeps_its_start() -> None:
    name = names.joined("x" * 60, "root")

    assert name.startswith("x" * 54 + "-")
    assert len(name) == 63


@pytest.mark.parametrize("segment", [1, 16_777_215])
def test_linux_takes_the_names_of_devices(segment: int) -> None:
    for device in (names.bridge(segment), names.vxlan(segment), names.tap("6f1d0b1a-5c3e-4a57-9d0c-0a1b2c3d4e5f")):
        assert len(device) <= 15


def test_reasons_and_types_are_what_the_crds_let_in() -> None:
    patterns = {
        path.rsplit(".", 1)[1]: schema["pattern"]
        for kind in ALL
        for path, schema in walk(part(kind, "status"), "status")
        if re.fullmatch(r"status\.conditions\[\]\.(type|reason)", path)
    }

    assert all(re.fullmatch(patterns["reason"], reason) for reason in Reason)
    assert all(re.fullmatch(patterns["type"], type_) for type_ in Type)
