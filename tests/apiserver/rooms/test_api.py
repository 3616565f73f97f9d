"""The API as a process, with its rights and no more, against a real API server: PyPI's `cs` and kubectl see the same."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from cs import CloudStack, CloudStackApiException

from operators.contract import names
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.core import SECRET
from operators.contract.fabric import ZONE
from operators.contract.identity import ACCOUNT, DOMAIN, USER
from operators.contract.meta import Key
from operators.contract.networking import NETWORK_OFFERING, PORT
from operators.contract.orchestration import FLOW
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME
from operators.contract.webhooks import WEBHOOK
from tests.apiserver.client import Client
from tests.apiserver.control_plane import HOST, ControlPlane, free_ports
from tests.apiserver.kernel.processes import until
from tests.apiserver.policies.conftest import SECRETS, SYSTEM, rendered
from tests.apiserver.policies.test_roles import OPT_IN
from tests.apiserver.rooms.conftest import Room, Start, as_account
from tests.apiserver.rooms.test_orchestration import NS, Cloud

KEY, SECRET_KEY = "0123456789abcdefghij", "zyxwvutsrq"
CHECKSUM = "sha256:" + "0" * 64


def test_its_role_reads_secrets_of_users_alone() -> None:
    for body in rendered():
        if f"{body['kind']}/{body['metadata']['name']}" in OPT_IN:
            continue  # bound by tenants alone
        for rule in body.get("rules", ()) if body["kind"] in ("Role", "ClusterRole") else ():
            if "secrets" in rule.get("resources", ()):
                assert (body["kind"], body["metadata"]["namespace"]) == ("Role", SECRETS)
                assert rule["verbs"] == ["get", "create", "patch"]


@pytest.fixture
def cs(control_plane: ControlPlane, admin: Client, rights: None, tmp_path: Path) -> Iterator[CloudStack]:
    """The API at work, and a client of a user who is a root admin with the account `rooms`."""
    data = {KEY: base64.b64encode(SECRET_KEY.encode()).decode()}
    _apply(
        control_plane,
        [
            DOMAIN.body(Key("", "root"), spec={}),
            ACCOUNT.body(Key("", NS), spec={"domain": "root", "role": "Admin"}),
            USER.body(Key("", "ann"), spec={"account": NS, "apiKeys": [KEY]}),
            SECRET.body(Key(SECRETS, names.user_secret("ann"))) | {"data": data},
            ZONE.body(Key("", "default"), spec={}),
            COMPUTE_OFFERING.body(Key("", "tiny"), spec={"cpus": 1, "memory": "128Mi"}),
            DISK_OFFERING.body(Key("", "standard"), spec={}),
            NETWORK_OFFERING.body(Key("", "isolated"), spec={}),
            IMAGE.body(Key(NS, "tiny"), spec={"url": "http://example.org/tiny.qcow2", "checksum": CHECKSUM}),
        ],
    )
    config = tmp_path / "api.kubeconfig"
    config.write_text(json.dumps(as_account(control_plane.kubeconfig, admin, "cloudstack-api")))
    (port,) = free_ports(1)
    env = {"API_PORT": str(port), "IDENTITY_NAMESPACE": SECRETS, "CATALOG_NAMESPACE": "cloudstack-catalog"}
    room = Room("api", config, tmp_path / "api.log", env)
    until(lambda: _ready(room), 120, "the API is ready")
    session = requests.Session()
    session.trust_env = False
    yield CloudStack(f"http://{HOST}:{port}/client/api", KEY, SECRET_KEY, poll_interval=0.1, session=session)
    session.close()
    room.end()
    assert room.forbidden() == []


def _ready(room: Room) -> bool:
    try:
        return room.page("readyz").ok
    except requests.ConnectionError:
        assert room.child.poll() is None, room.log.read_text()[-3000:]
        return False


def _apply(plane: ControlPlane, bodies: list[Any]) -> None:
    kubectl = [str(plane.kubectl), f"--kubeconfig={plane.kubeconfig}", "apply", "--server-side", "--force-conflicts"]
    subprocess.run([*kubectl, "-f", "-"], input=yaml.safe_dump_all(bodies), text=True, check=True, capture_output=True)


def test_a_life(cs: CloudStack, admin: Client, start: Start) -> None:
    start("orchestration")
    cloud = Cloud(admin)
    zone = cs.listZones()["zone"][0]["id"]
    offering = cs.listServiceOfferings(name="tiny")["serviceoffering"][0]["id"]
    template = cs.listTemplates(templatefilter="self")["template"][0]["id"]
    kind = cs.listNetworkOfferings()["networkoffering"][0]["id"]
    networks = [
        cs.createNetwork(name=name, zoneid=zone, networkofferingid=kind)["network"] for name in ("front", "back")
    ]

    begun = cs.deployVirtualMachine(
        name="api-web",
        zoneid=zone,
        serviceofferingid=offering,
        templateid=template,
        networkids=[network["id"] for network in networks],
    )
    vm = cloud.get(VIRTUAL_MACHINE, "api-web")
    assert vm.meta.uid == begun["id"]
    assert cloud.flow("Deploy", "api-web").meta.uid == begun["jobid"]
    with pytest.raises(CloudStackApiException, match=begun["jobid"]):
        cs.stopVirtualMachine(id=begun["id"])

    until(lambda: cloud.get(VIRTUAL_MACHINE, "api-web").meta.finalizers != (), what="the engine holds it")
    until(lambda: _made(cloud), what="the engine has made what it needs")
    cloud.run("api-web")
    done = _job(cs, begun["jobid"])
    assert done["jobresult"]["virtualmachine"]["state"] == "Running"
    assert len(done["jobresult"]["virtualmachine"]["nic"]) == 2

    stopping = cs.stopVirtualMachine(id=begun["id"])
    assert cloud.flow("Stop", "api-web").meta.uid == stopping["jobid"]
    spec = admin.get(VIRTUAL_MACHINE, "api-web", NS)["spec"]
    assert (spec["runPolicy"], spec["offering"], len(spec["nics"])) == ("Stopped", "tiny", 2)

    destroying = cs.destroyVirtualMachine(id=begun["id"], expunge=True)
    cloud.free("api-web")
    assert _job(cs, destroying["jobid"])["jobstatus"] == 1
    until(lambda: cs.listVirtualMachines(name="api-web") == {}, what="it is gone from the list")
    for operation in ("Deploy", "Stop", "Destroy"):
        flows = [body for body in admin.get(FLOW, namespace=NS)["items"] if body["spec"]["operation"] == operation]
        assert len([body for body in flows if body["spec"]["target"]["name"] == "api-web"]) == 1, operation

    disk = cs.listDiskOfferings()["diskoffering"][0]["id"]
    volume = cs.createVolume(name="Ledger", zoneid=zone, diskofferingid=disk, size=1, fetch_result=True)["volume"]
    assert cs.listVolumes(id=volume["id"])["volume"][0]["state"] == "Allocated"
    cs.deleteVolume(id=volume["id"])
    for network in networks:
        assert cs.deleteNetwork(id=network["id"], fetch_result=True) == {"success": True}


def test_what_the_api_server_refuses_is_said(cs: CloudStack) -> None:
    zone = cs.listZones()["zone"][0]["id"]
    kind = cs.listNetworkOfferings()["networkoffering"][0]["id"]
    with pytest.raises(CloudStackApiException) as caught:
        cs.createNetwork(name="odd", zoneid=zone, networkofferingid=kind, gateway="10.7.0.1", netmask="255.255.255.254")
    assert caught.value.error["errorcode"] == 431
    assert "prefix length" in caught.value.error["errortext"]


def _made(cloud: Cloud) -> bool:
    wanted = ((PORT, "api-web-nic0"), (PORT, "api-web-nic1"), (VOLUME, "api-web-root"))
    return all(cloud.get(kind, name) is not None for kind, name in wanted)


def _job(cs: CloudStack, jobid: str) -> dict[str, Any]:
    until(lambda: cs.queryAsyncJobResult(jobid=jobid)["jobstatus"] != 0, 15, f"job {jobid}")
    told: dict[str, Any] = cs.queryAsyncJobResult(jobid=jobid)
    return told


def test_webhooks_where_the_namespace_lets_the_api_keep_their_keys(cs: CloudStack, admin: Client) -> None:
    role = names.API_SECRETS_ROLE
    binding = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "cloudstack-api", "namespace": SYSTEM}],
    }
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NS}/rolebindings"
    admin.ask("POST", bindings, binding)
    try:
        made = cs.createWebhook(name="hook", payloadurl="https://hooks.example.org/in")["webhook"]
        where = f"/apis/{WEBHOOK.group}/{WEBHOOK.version}/namespaces/{NS}/webhooks/hook"
        body = admin.ask("GET", where)
        assert body["metadata"]["uid"] == made["id"]
        secret = admin.ask("GET", f"/api/v1/namespaces/{NS}/secrets/{body['spec']['secret']}")
        assert base64.b64decode(secret["data"]["key"]).decode() == made["secretkey"]
        assert cs.updateWebhook(id=made["id"], state="Disabled")["webhook"]["state"] == "Disabled"
        assert admin.ask("GET", where)["spec"]["enabled"] is False
        assert cs.deleteWebhook(id=made["id"])["success"] is True
        assert cs.listWebhooks() == {}
    finally:
        admin.ask("DELETE", f"{bindings}/{role}")
