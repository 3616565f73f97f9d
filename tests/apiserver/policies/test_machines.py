"""Deletion protection, and users' specs that no component writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.apiserver.client import Client, Json, Refused, path
from tests.apiserver.crds.objects import KINDS, bent, good
from tests.apiserver.policies.conftest import SYSTEM

pytestmark = pytest.mark.usefixtures("chart")
Make = Callable[[Json], Json]
MACHINE = KINDS["VirtualMachine"]


def test_a_protected_machine_is_not_deleted(admin: Client, make: Make) -> None:
    make(bent(good("VirtualMachine", "precious"), {"spec.deleteProtection": True}))
    sentence = "VirtualMachine precious is protected from deletion; set spec.deleteProtection to false first"

    with pytest.raises(Refused, match=sentence):
        admin.delete(MACHINE, "precious")
    with pytest.raises(Refused, match=sentence):
        admin.ask("DELETE", path(MACHINE))
    assert "deletionTimestamp" not in admin.get(MACHINE, "precious")["metadata"]
    admin.patch(MACHINE, "precious", {"spec": {"deleteProtection": False}})


@pytest.mark.parametrize("changes", [{}, {"spec.deleteProtection": False}])
def test_any_other_machine_is(admin: Client, changes: Json) -> None:
    admin.create(bent(good("VirtualMachine", "plain"), changes))

    admin.delete(MACHINE, "plain")


@pytest.mark.parametrize(
    ("component", "kind", "change"),
    [
        ("compute", "VirtualMachine", {"runPolicy": "Stopped"}),
        ("orchestration", "VirtualMachine", {"deleteProtection": True}),
        ("storage", "Volume", {"size": "2Gi"}),
        ("storage", "Image", {"public": True}),
        ("compute", "VirtualMachineSnapshot", {"revertRequest": 1}),
        ("compute", "VolumeSnapshot", {"revertRequest": 1}),
        ("networking", "Network", {"dns": []}),
        ("networking", "Port", {"hostname": "other"}),
    ],
)
def test_no_component_writes_a_users_spec(admin: Client, make: Make, component: str, kind: str, change: Json) -> None:
    name = make(good(kind, "users"))["metadata"]["name"]
    account = admin.impersonating(f"system:serviceaccount:{SYSTEM}:cloudstack-{component}", ["system:masters"])

    with pytest.raises(Refused, match="a component may not write a user's spec"):
        account.patch(KINDS[kind], name, {"spec": change})
    account.patch(KINDS[kind], name, {"metadata": {"finalizers": [f"cloudstack.dev/{component}"]}})
    account.patch(KINDS[kind], name, {"metadata": {"finalizers": []}})


def test_compute_alone_writes_what_it_made_for_a_machines_snapshot(admin: Client, make: Make) -> None:
    owner = make(good("VirtualMachineSnapshot", "whole"))
    reference = {name: owner[name] for name in ("apiVersion", "kind")}
    reference |= {name: owner["metadata"][name] for name in ("name", "uid")}
    name = make(bent(good("VolumeSnapshot", "part"), {"metadata.ownerReferences": [reference]}))["metadata"]["name"]
    compute, storage = (
        admin.impersonating(f"system:serviceaccount:{SYSTEM}:cloudstack-{each}", ["system:masters"])
        for each in ("compute", "storage")
    )
    change = {"spec": {"revertRequest": 1}}

    with pytest.raises(Refused, match="a component may not write a user's spec"):
        storage.patch(KINDS["VolumeSnapshot"], name, change)
    assert compute.patch(KINDS["VolumeSnapshot"], name, change)["spec"]["revertRequest"] == 1


def test_only_who_may_change_pools_adopts_a_file_of_one(admin: Client, make: Make) -> None:
    tenant = admin.impersonating("system:serviceaccount:team-a:tenant", ["system:masters-not"])
    adopting = bent(
        good("Volume", "adopted"), {"spec.size": "1Gi", "spec.pool": "local-a", "spec.source": {"file": "old.qcow2"}}
    )
    rights = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "tests-make-volumes"},
        "rules": [{"apiGroups": ["storage.cloudstack.dev"], "resources": ["volumes"], "verbs": ["create", "get"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "tests-make-volumes"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tests-make-volumes"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": "team-a"}],
    }
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    admin.ask("POST", f"{rbac}/clusterroles", rights)
    admin.ask("POST", f"{rbac}/clusterrolebindings", binding)
    try:
        tenant.create(bent(good("Volume", "plain-volume"), {"spec.size": "1Gi"}))
        with pytest.raises(Refused, match="only who may change StoragePools may adopt"):
            tenant.create(adopting)
        make(adopting)
    finally:
        admin.ask("DELETE", f"{rbac}/clusterrolebindings/tests-make-volumes")
        admin.ask("DELETE", f"{rbac}/clusterroles/tests-make-volumes")
