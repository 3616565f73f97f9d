"""The Data service as a process, with its rights and no more: tenants get what is theirs, and the read model is guarded."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import requests

from operators.contract.core import NAMESPACE, QUOTA
from operators.contract.identity import ACCOUNT, DOMAIN, USER
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from tests.apiserver.client import Client, Refused
from tests.apiserver.control_plane import HOST, ControlPlane, free_ports
from tests.apiserver.kernel.processes import until
from tests.apiserver.policies.conftest import SYSTEM
from tests.apiserver.rooms.conftest import Start

TEAM, OTHER = "data-team", "data-other"


def test_tenants_and_readers(start: Start, admin: Client, control_plane: ControlPlane, tmp_path: Path) -> None:
    if not _there(admin, DOMAIN, "root"):
        admin.create(DOMAIN.body(Key("", "root"), spec={}))
    for name in (TEAM, OTHER):
        admin.create(ACCOUNT.body(Key("", name), spec={"domain": "root", "limits": {"volumes": 1}}))
        admin.create(USER.body(Key("", f"ann-{name}"), spec={"account": name}))
    (port,) = free_ports(1)
    room = start("data", DATA_PORT=str(port), DATABASE_URL=f"sqlite:///{tmp_path}/history.db")
    until(lambda: _ready(admin, TEAM) and _ready(admin, OTHER), 120, "both have their namespaces")

    assert _may(control_plane, TEAM, "create", "virtualmachines.compute.cloudstack.dev")
    assert _may(control_plane, TEAM, "get", "flows.orchestration.cloudstack.dev")
    assert not _may(control_plane, OTHER, "get", "virtualmachines.compute.cloudstack.dev")
    assert not _may(control_plane, TEAM, "get", "secrets")
    assert not _may(control_plane, TEAM, "create", "rolebindings.rbac.authorization.k8s.io")
    until(lambda: _counted(admin), 120, "the quota is in force")
    ann = admin.impersonating(f"cloudstack:ann-{TEAM}", [])
    ann.create(VOLUME.body(Key(TEAM, "one"), spec={"size": "1Gi"}))

    session = requests.Session()
    session.trust_env = False
    url = f"http://{HOST}:{port}/data/v1/objects/volumes?namespace={TEAM}"
    assert session.get(url, timeout=5).status_code == 401
    token = _token(admin, "cloudstack-compute")
    assert session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=5).status_code == 403
    api = {"Authorization": f"Bearer {_token(admin, 'cloudstack-api')}"}
    events = f"http://{HOST}:{port}/data/v1/events?namespace={TEAM}"
    until(lambda: session.get(events, headers=api, timeout=5).json()["total"] == 1, 15, "the volume's event")

    admin.delete(ACCOUNT, TEAM)
    until(lambda: _deleting(admin, TEAM), 120, "its namespace goes, in which nothing is left")
    assert not admin.get(VOLUME, namespace=TEAM)["items"]
    session.close()
    assert room.forbidden() == []


def _there(admin: Client, kind: Any, name: str) -> bool:
    try:
        admin.get(kind, name)
    except Refused:
        return False
    return True


def _ready(admin: Client, name: str) -> bool:
    conditions = admin.get(ACCOUNT, name).get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _counted(admin: Client) -> bool:
    found = admin.get(QUOTA, "cloudstack-limits", TEAM)
    return bool(found["spec"]["hard"] == {"count/volumes.storage.cloudstack.dev": "1"})


def _deleting(admin: Client, name: str) -> bool:
    try:
        return "deletionTimestamp" in admin.get(NAMESPACE, name)["metadata"]
    except Refused:
        return True


def _may(plane: ControlPlane, namespace: str, verb: str, what: str) -> bool:
    argv = [str(plane.kubectl), f"--kubeconfig={plane.kubeconfig}", "auth", "can-i", verb, what, "-n", namespace]
    done = subprocess.run([*argv, f"--as=cloudstack:ann-{TEAM}"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "yes"


def _token(admin: Client, account: str) -> str:
    where = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{account}/token"
    return str(admin.ask("POST", where, {"spec": {"audiences": []}})["status"]["token"])
