"""The chart's roles, read as text: nobody may more than it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operators.contract.kinds import ALL, HOST_SIDE
from tests.apiserver.client import Json
from tests.apiserver.policies.conftest import AGENT, rendered

USERS = {
    f"{plural}.{group}"
    for plural, group in ((kind.plural, kind.group) for kind in ALL if kind.namespaced and not kind.host_side)
}


USERS_SECRETS = "Role/cloudstack-api-secrets"
"""In a namespace with nothing else; tests/apiserver/rooms/test_api.py has more about it."""
OPT_IN = (
    "ClusterRole/cloudstack-compute-secrets",
    "ClusterRole/cloudstack-data-secrets",
    "ClusterRole/cloudstack-api-guest-passwords",
)
"""Bound by tenants, in their own namespaces."""
API = "ClusterRole/cloudstack-api"
"""It acts for people, so it writes what they write."""


DATA = "ClusterRole/cloudstack-data"
"""It ends what tenants had that go."""
GIVES = ("ClusterRole/cloudstack-data-tenants", "clusterroles.rbac.authorization.k8s.io")
"""The Data service gives tenants one role, by its name."""


def roles() -> dict[str, list[Json]]:
    """The rules of every role, those for people aside."""
    return {
        f"{body['kind']}/{body['metadata']['name']}": body["rules"]
        for body in rendered()
        if body["kind"] in ("Role", "ClusterRole")
        and not body["metadata"]["name"].startswith(("cloudstack-tenant-", "cloudstack-catalogue-"))
    }


def grants() -> Iterator[tuple[str, str, str]]:
    """Role, verb and `resource.group` (with subresource), each pair of them."""
    for role, rules in roles().items():
        for rule in rules:
            for group in rule.get("apiGroups", ()):
                for resource in rule["resources"]:
                    plural, _, sub = resource.partition("/")
                    for verb in rule["verbs"]:
                        yield role, verb, f"{plural}.{group}".rstrip(".") + (f"/{sub}" if sub else "")


def test_no_wildcards_and_no_secrets() -> None:
    for role, verb, resource in grants():
        assert "*" not in (verb + resource), (role, verb, resource)
        if role not in (USERS_SECRETS, *OPT_IN):
            assert not resource.startswith("secrets"), (role, verb, resource)
        if (role, resource) != GIVES:
            assert verb not in ("impersonate", "escalate", "bind"), (role, verb, resource)


def test_nobody_but_tenants_binds_the_role_for_their_secrets() -> None:
    named = {body["roleRef"]["name"] for body in rendered() if body["kind"].endswith("RoleBinding")}

    assert not {role.removeprefix("ClusterRole/") for role in OPT_IN} & set(named)


def test_what_is_named_exists() -> None:
    known = {kind.crd for kind in ALL}
    for role, _, resource in grants():
        name = resource.split("/")[0]
        if name.endswith(".cloudstack.dev"):
            assert name in known, (role, name)


def test_agents_report_and_beat_and_nothing_else() -> None:
    writes = {
        (verb, resource)
        for role, verb, resource in grants()
        if role.endswith(f"/{AGENT}") and verb not in ("get", "list", "watch")
    }
    reports = {("patch", f"{kind.crd}/status") for kind in HOST_SIDE}

    assert reports <= writes
    assert writes - reports <= {(verb, "leases.coordination.k8s.io") for verb in ("create", "update", "patch")}


def test_agents_read_nothing_of_people() -> None:
    reads = {
        resource for role, verb, resource in grants() if role.endswith(f"/{AGENT}") and verb in ("get", "list", "watch")
    }

    assert not {resource for resource in reads if resource in USERS}


@pytest.mark.parametrize("kind", HOST_SIDE, ids=repr)
def test_only_agents_write_the_status_of_host_side_objects(kind: object) -> None:
    crd = next(each.crd for each in HOST_SIDE if each is kind)
    writers = {role for role, verb, resource in grants() if resource == f"{crd}/status" and verb in ("patch", "update")}

    assert writers == {f"ClusterRole/{AGENT}"}


def test_machines_and_networks_are_made_by_people_only() -> None:
    for role, verb, resource in grants():
        if role == API or (role == DATA and verb == "delete"):
            continue
        if (role, verb, resource) == (
            "ClusterRole/cloudstack-compute",
            "delete",
            "virtualmachines.compute.cloudstack.dev",
        ):
            continue  # of those that their users destroyed, once their grace period has passed
        if (role, verb, resource) == ("ClusterRole/cloudstack-storage", "create", "images.storage.cloudstack.dev"):
            continue  # for a Volume that is made from a url, and owned by it
        if resource.split(".")[0] in ("virtualmachines", "networks", "images") and not resource.endswith("/finalizers"):
            assert verb not in ("create", "delete", "update"), (role, verb, resource)


def test_policies_can_be_left_out() -> None:
    kinds = {body["kind"] for body in rendered("--set=admission.enabled=false")}

    assert not {kind for kind in kinds if kind.startswith("ValidatingAdmission")}
    assert {body["kind"] for body in rendered()} > kinds
