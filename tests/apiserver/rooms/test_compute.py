"""Compute as a process with its own rights: key pairs, user data in Secrets that a tenant opens to it, and expunging."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from operators.contract import names
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.keypairs import SSH_KEY_PAIR
from operators.contract.meta import Key
from tests.apiserver.client import Client, Refused
from tests.apiserver.kernel.processes import until
from tests.apiserver.policies.conftest import SYSTEM
from tests.apiserver.rooms.conftest import Start

NS = "rooms"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:cloudstack-compute"
BINDINGS = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NS}/rolebindings"
API = "rbac.authorization.k8s.io"


@pytest.fixture
def opened(admin: Client, rights: None) -> Any:
    """What the condition `SecretsForbidden` tells a tenant to do."""
    body = {
        "metadata": {"name": names.SECRETS_ROLE},
        "roleRef": {"apiGroup": API, "kind": "ClusterRole", "name": names.SECRETS_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": "cloudstack-compute", "namespace": SYSTEM}],
    }
    admin.ask("POST", BINDINGS, body)
    yield
    admin.ask("DELETE", f"{BINDINGS}/{names.SECRETS_ROLE}")


def test_compute_reads_no_secret_but_where_a_tenant_lets_it(admin: Client, rights: None) -> None:
    compute = admin.impersonating(ACCOUNT, ["system:serviceaccounts", "system:authenticated"])
    for where in (NS, SYSTEM, "kube-system"):
        with pytest.raises(Refused, match="forbidden"):
            compute.ask("GET", f"/api/v1/namespaces/{where}/secrets/any")
        with pytest.raises(Refused, match="forbidden"):
            compute.ask("GET", f"/api/v1/namespaces/{where}/secrets")


def test_a_key_pair_is_made_and_machines_that_were_destroyed_go(admin: Client, start: Start, opened: None) -> None:
    room = start("compute", EXPUNGE_DELAY="2s")
    admin.create(SSH_KEY_PAIR.body(_key("mine"), spec={}))
    until(lambda: _status(admin, "mine").get("publicKey"), 15, "the pair is made")
    told = _status(admin, "mine")
    secret = admin.ask("GET", f"/api/v1/namespaces/{NS}/secrets/{told['secret']}")
    assert secret["type"] == "kubernetes.io/ssh-auth"
    assert base64.b64decode(secret["data"]["ssh-publickey"]).decode() == told["publicKey"]
    assert secret["metadata"]["ownerReferences"][0]["name"] == "mine"
    assert room.writes()["Secret create"] == 1

    spec = {"offering": "none", "image": "none", "destroyed": True}
    admin.create(VIRTUAL_MACHINE.body(_key("gone"), spec=spec))
    until(lambda: not _there(admin, "gone"), 20, "its grace period is over")
    admin.delete(SSH_KEY_PAIR, "mine", NS)


def _key(name: str) -> Key:
    return Key(NS, name)


def _status(admin: Client, name: str) -> Any:
    return admin.get(SSH_KEY_PAIR, name, NS).get("status", {})


def _there(admin: Client, name: str) -> bool:
    return name in [body["metadata"]["name"] for body in admin.get(VIRTUAL_MACHINE, namespace=NS)["items"]]
