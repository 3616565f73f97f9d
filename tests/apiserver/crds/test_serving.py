"""What the API server makes of our kinds: defaults, selectors, status apart from spec, names and columns."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from operators.contract.codec import to_wire
from operators.contract.kinds import ALL, HOST_SIDE
from operators.contract.meta import Kind
from tests.apiserver.client import Client, Json, Refused
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.crds.objects import KINDS, bent, good
from tests.apiserver.kernel.processes import until

AnyKind: TypeAlias = Kind[Any, Any]
READY = {"type": "Ready", "status": "True", "reason": "AsSpecified", "lastTransitionTime": "2026-11-21T10:00:00Z"}


@pytest.fixture
def make(admin: Client) -> Iterator[Callable[[Json], Json]]:
    """Creates objects that are gone after the test."""
    made: list[Json] = []

    def create(body: Json) -> Json:
        made.append(admin.create(body, fieldValidation="Strict"))
        return made[-1]

    yield create
    for body in made:
        admin.delete(KINDS[body["kind"]], body["metadata"]["name"])


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("VirtualMachine", {"offering": "tiny", "image": "tiny"}, {"runPolicy": "Running"}),
        ("ComputeOffering", {"cpus": 1, "memory": "128Mi"}, {"cpuWeight": 100}),
        ("Volume", {"size": "1Gi"}, {"diskOffering": "standard", "reclaimPolicy": "Delete"}),
        ("Network", {"cidr": "10.1.1.0/24"}, {"offering": "isolated", "zone": "default"}),
        ("NetworkOffering", {}, {"guestType": "isolated", "services": ["dhcp", "dns", "sourceNat"]}),
        ("Zone", {}, {"enabled": True}),
        (
            "Host",
            {"node": "host"},
            {"group": "default", "overcommit": {"cpu": "4", "memory": "1"}, "schedulable": True},
        ),
        ("Flow", {"operation": "Stop", "target": {"name": "web", "uid": "u"}}, {"onFailure": "Stop"}),
    ],
)
def test_defaults_are_filled_in(admin: Client, kind: str, given: Json, expected: Json) -> None:
    seen = admin.create(bent(good(kind), {"spec": given}), dryRun="All")["spec"]

    assert {field: seen[field] for field in expected} == expected


@pytest.mark.parametrize("kind", ALL, ids=repr)
def test_the_contract_reads_what_the_server_stores(admin: Client, kind: AnyKind) -> None:
    stored = admin.create(good(kind.kind), dryRun="All")
    parsed = kind.parse(stored)

    written = admin.create(
        bent(good(kind.kind), {"spec": to_wire(parsed.spec)}), dryRun="All", fieldValidation="Strict"
    )

    assert kind.parse(written).spec == parsed.spec


@pytest.mark.parametrize("kind", HOST_SIDE, ids=repr)
def test_an_agent_can_list_only_what_is_its_own(admin: Client, make: Callable[[Json], Json], kind: AnyKind) -> None:
    make(bent(good(kind.kind, "ours"), {"spec.hostName": "node1"}))
    make(bent(good(kind.kind, "theirs"), {"spec.hostName": "node2"}))

    seen = admin.get(kind, fieldSelector="spec.hostName=node1")

    assert [each["metadata"]["name"] for each in seen["items"]] == ["ours"]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.kind != "HostReport"], ids=repr)
def test_status_and_spec_are_written_apart(admin: Client, make: Callable[[Json], Json], kind: AnyKind) -> None:
    name = make(good(kind.kind) | {"status": {"observedGeneration": 9}})["metadata"]["name"]

    assert "status" not in admin.get(kind, name)
    assert "status" not in admin.patch(kind, name, {"status": {"observedGeneration": 9}})
    before = admin.get(kind, name)["spec"]
    after = admin.patch(kind, name, {"spec": {"hostName": "x"}, "status": {"conditions": [READY]}}, "status")
    assert after["spec"] == before
    assert after["status"]["conditions"] == [READY]
    assert after["metadata"]["generation"] == 1


def test_conditions_of_several_writers_live_side_by_side(admin: Client, make: Callable[[Json], Json]) -> None:
    body = make(good("Host"))
    name = {"apiVersion": body["apiVersion"], "kind": "Host", "metadata": {"name": body["metadata"]["name"]}}
    accepted, reachable = READY | {"type": "Accepted"}, READY | {"type": "Reachable"}

    admin.apply(name | {"status": {"conditions": [accepted]}}, "fabric-admin", "status")
    seen = admin.apply(name | {"status": {"state": "Up", "conditions": [reachable]}}, "fabric-monitoring", "status")

    assert [each["type"] for each in seen["status"]["conditions"]] == ["Accepted", "Reachable"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": "Perhaps"}, 'supported values: "True", "False", "Unknown"'),
        ({"reason": "no host fits"}, "reason in body should match"),
        ({"lastTransitionTime": "yesterday"}, "must be of type date-time"),
        ({"type": None}, "type: Required value"),
    ],
)
def test_conditions_have_a_shape(admin: Client, make: Callable[[Json], Json], change: Json, sentence: str) -> None:
    name = make(good("Volume"))["metadata"]["name"]
    condition = {key: value for key, value in (READY | change).items() if value is not None}

    with pytest.raises(Refused) as refusal:
        admin.patch(KINDS["Volume"], name, {"status": {"conditions": [condition]}}, "status")

    assert sentence in refusal.value.message


@pytest.fixture
def kubectl(control_plane: ControlPlane, admin: Client) -> Callable[..., str]:
    """Runs kubectl and returns what it printed."""

    def run(*words: str) -> str:
        argv = [str(control_plane.kubectl), f"--kubeconfig={control_plane.kubeconfig}", *words]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # Discovery, which knows the categories, comes some moments after the kinds themselves are served.
    kinds = {kind.crd for kind in ALL}
    until(lambda: kinds <= set(run("api-resources", "--cached=false", "-o", "name").split()), 30, "all are discovered")
    return run


def test_the_story_in_one_line_each(admin: Client, make: Callable[[Json], Json], kubectl: Callable[..., str]) -> None:
    machine, volume, network = (make(good(kind, kind.lower()[:3])) for kind in ("VirtualMachine", "Volume", "Network"))
    for body, status in (
        (
            machine,
            {"phase": "Running", "hostName": "node1", "addresses": ["10.1.1.5"], "startedAt": "2026-11-21T10:00:00Z"},
        ),
        (volume, {"phase": "Ready", "size": "1Gi", "pool": "local-node1", "hostName": "node1", "attachedTo": "web"}),
        (network, {"phase": "Ready", "gateway": "10.1.1.1", "sourceNatAddress": "10.98.0.10", "ports": 2}),
    ):
        status["conditions"] = [READY | {"message": "all is well"}]
        admin.patch(KINDS[body["kind"]], body["metadata"]["name"], {"status": status}, "status")

    seen = kubectl("get", "vm,volumes,networks")
    lines = [" ".join(line.split()) for line in seen.splitlines()]

    assert "NAME STATUS HOST ADDRESS STARTED AGE" in lines
    assert "NAME STATUS SIZE POOL HOST ATTACHED TO AGE" in lines
    assert "NAME STATUS CIDR GATEWAY SOURCE NAT PORTS AGE" in lines
    assert any(line.startswith("virtualmachine.compute.cloudstack.dev/vir Running node1 10.1.1.5 ") for line in lines)
    assert any(line.startswith("volume.storage.cloudstack.dev/vol Ready 1Gi local-node1 node1 web ") for line in lines)
    assert any(
        line.startswith("network.networking.cloudstack.dev/net Ready 10.1.1.0/24 10.1.1.1 10.98.0.10 2 ")
        for line in lines
    )
    assert "AsSpecified" in kubectl("get", "vms", "-o", "wide")
    assert "all is well" in kubectl("get", "vms", "-o", "wide")


@pytest.mark.parametrize("kind", ALL, ids=repr)
def test_columns_render(admin: Client, make: Callable[[Json], Json], kind: AnyKind) -> None:
    make(good(kind.kind))
    root = f"/apis/{kind.group}/{kind.version}" + ("/namespaces/default" if kind.namespaced else "")
    answer = admin.session.get(
        f"{admin.server}{root}/{kind.plural}",
        headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
        timeout=30,
    ).json()

    columns = [column["name"] for column in answer["columnDefinitions"]]
    assert columns[0] == "Name"
    assert "Age" in columns
    assert len(answer["rows"][0]["cells"]) == len(columns)


def test_categories_list_what_people_state_and_what_hosts_do(
    make: Callable[[Json], Json], kubectl: Callable[..., str]
) -> None:
    make(good("VirtualMachine"))
    make(good("Instance"))

    assert kubectl("get", "cloudstack", "-o", "name").split() == [
        "virtualmachine.compute.cloudstack.dev/virtualmachine"
    ]
    assert kubectl("get", "cloudstack-host", "-o", "name").split() == ["instance.compute.cloudstack.dev/instance"]


def test_explain_names_the_writer(kubectl: Callable[..., str]) -> None:
    assert "Written by the user." in " ".join(kubectl("explain", "vm.spec.image").split())
    assert "Written by Compute." in " ".join(kubectl("explain", "vm.status.hostName").split())
