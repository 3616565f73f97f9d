"""The codec: every dataclass of every kind survives the wire."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.contract.codec import ContractError, camel, from_wire, to_wire
from operators.contract.compute import VIRTUAL_MACHINE, VirtualMachineSpec, VirtualMachineStatus
from operators.contract.kinds import ALL
from operators.contract.meta import Condition, Key, condition, holds
from operators.contract.quantity import Duration, Quantity
from tests.unit.contract.test_crds import bare


def values(hint: Any, required: bool) -> st.SearchStrategy[Any]:
    """Anything of a type; what is required or has a default is not empty, since that is as good as absent."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(values(args[0], True), max_size=2).map(tuple)
    if origin is frozenset:
        return st.frozensets(values(args[0], True), min_size=1 if required else 0, max_size=2)
    if origin is Mapping:
        return st.dictionaries(st.text(max_size=3), values(args[1], True), max_size=2)
    if hint is Quantity or hint is Duration:
        return st.integers(0, 2**50).map(hint)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    if dataclasses.is_dataclass(hint):
        return objects(hint)
    return {str: st.text(min_size=1 if required else 0, max_size=3), int: st.integers(0, 9), bool: st.booleans()}[hint]


def objects(cls: type) -> st.SearchStrategy[Any]:
    """Any value of a dataclass."""
    hints = typing.get_type_hints(cls)
    arguments = {}
    for field in dataclasses.fields(cls):
        says_something = field.default_factory() if callable(field.default_factory) else field.default
        strategy = values(bare(hints[field.name]), bool(says_something))
        arguments[field.name] = st.none() | strategy if hints[field.name] != bare(hints[field.name]) else strategy
    return st.builds(cls, **arguments)


@pytest.mark.parametrize(
    "cls", sorted({cls for kind in ALL for cls in (kind.spec, kind.status)}, key=lambda cls: cls.__name__)
)
def test_round_trip(cls: type) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(objects(cls))
    def check(value: Any) -> None:
        wire = to_wire(value)
        assert to_wire(from_wire(cls, wire)) == wire

    check()


@pytest.mark.parametrize("name", ["host_name", "ha", "segment_id", "domain_uuid", "type_"])
def test_camel_case(name: str) -> None:
    expected = {"host_name": "hostName", "segment_id": "segmentId", "domain_uuid": "domainUuid", "type_": "type"}

    assert camel(name) == expected.get(name, name)


def test_what_is_empty_is_left_out() -> None:
    assert to_wire(VirtualMachineSpec(offering="tiny", image="tiny")) == {
        "offering": "tiny",
        "cpus": 0,
        "passwordRequest": 0,
        "passwordUser": "root",
        "reinstallRequest": 0,
        "image": "tiny",
        "runPolicy": "Running",
        "bootFrom": "Disk",
        "haEnabled": False,
        "deleteProtection": False,
        "paused": False,
        "rebootRequest": 0,
        "resetRequest": 0,
        "destroyed": False,
    }


def test_what_is_unknown_is_passed_over_and_null_is_absent() -> None:
    spec = from_wire(VirtualMachineSpec, {"offering": "tiny", "colour": "blue", "runPolicy": None, "nics": None})

    assert spec == VirtualMachineSpec(offering="tiny")
    assert from_wire(VirtualMachineStatus, None) == VirtualMachineStatus()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, r"VirtualMachineSpec\.offering: required"),
        ({"offering": 7}, r"VirtualMachineSpec\.offering: expected str, not int"),
        ({"offering": "a", "haEnabled": "yes"}, r"haEnabled: expected bool, not str"),
        ({"offering": "a", "nics": [{}]}, r"VirtualMachineSpec\.nics: Nic\.network: required"),
        ({"offering": "a", "nics": ["x"]}, r"Nic: expected an object, not str"),
        ({"offering": "a", "runPolicy": "Maybe"}, r"runPolicy: 'Maybe' is not a valid RunPolicy"),
        ({"offering": "a", "rootDiskSize": "big"}, r"rootDiskSize: 'big' is not a quantity"),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        from_wire(VirtualMachineSpec, data)


def test_the_object_is_named_too() -> None:
    with pytest.raises(ContractError, match=r"VirtualMachine team-a/web: VirtualMachineSpec\.offering: required"):
        VIRTUAL_MACHINE.parse({"metadata": {"name": "web", "namespace": "team-a"}, "spec": {}})


def test_a_body_and_its_object() -> None:
    body = VIRTUAL_MACHINE.body(Key("team-a", "web"), spec={"offering": "tiny"}, labels={"a": "b"})
    body["metadata"]["uid"] = "u"
    parsed = VIRTUAL_MACHINE.parse(body)

    assert parsed.key == Key("team-a", "web")
    assert parsed.meta.labels == {"a": "b"}
    assert (parsed.ref.kind, parsed.ref.name, parsed.ref.namespace, parsed.ref.uid) == (
        "VirtualMachine",
        "web",
        "team-a",
        "u",
    )
    assert parsed.owner.api_version == "compute.cloudstack.dev/v1alpha1"


def test_conditions_are_found_by_type() -> None:
    conditions = (Condition("Ready", "False", "Starting"), Condition("Bound", "True", "AsSpecified"))

    assert condition(conditions, "Ready") == conditions[0]
    assert (holds(conditions, "Bound"), holds(conditions, "Ready"), holds(conditions, "Other")) == (True, False, False)
