"""What the tool writes for the programs it starts."""

import json
from pathlib import Path

import pytest

from dev import base, build, controlplane, libvirt, nodeconfig, pki
from dev.console import DevError
from dev.host import Host
from dev.lan import Lan
from dev.layout import Layout, node_name, pod_range
from dev.packages import version_tuple


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(state=tmp_path)


def test_nodes_differ_in_cgroup_root_and_certificate(layout: Layout) -> None:
    first, second = (json.loads(nodeconfig.kubelet(layout, node_name(index))) for index in (1, 2))
    assert first["cgroupRoot"] != second["cgroupRoot"]
    assert first["tlsCertFile"] != second["tlsCertFile"]
    assert first["failCgroupV1"] is False


def test_containerd_gets_the_version_of_configuration_that_debians_reads() -> None:
    text = nodeconfig.containerd("/usr/sbin/runc")
    assert text.startswith("version = 2\n")
    assert "restrict_oom_score_adj = true" in text
    assert 'BinaryName = "/usr/sbin/runc"' in text


def test_a_node_has_a_route_to_every_other_node_and_none_to_itself(layout: Layout) -> None:
    ranges = dict(nodeconfig.pod_routes(layout, 2))
    assert ranges[pod_range(1)] == "172.30.0.11"
    assert pod_range(2) not in ranges
    assert pod_range(2) in dict(nodeconfig.pod_routes(layout))


def test_a_pods_address_comes_from_its_nodes_range() -> None:
    plugin = json.loads(nodeconfig.cni(3))["plugins"][0]
    assert plugin["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]


def test_the_api_server_listens_on_the_nodes_network_only(layout: Layout) -> None:
    assert f"--bind-address={layout.lan.gateway}" in controlplane.apiserver_arguments(layout)


def test_the_audit_log_is_not_filtered_for_our_components() -> None:
    rules = controlplane.AUDIT_POLICY["rules"]
    assert isinstance(rules, list)
    assert rules[-1] == {"level": "Metadata"}
    silenced = json.dumps(rules)
    assert "coordination.k8s.io" not in silenced
    assert "cloudstack" not in silenced


@pytest.mark.parametrize(("one", "other"), [("172.30.0.11", "172.30.0.12"), ("10.9.91.1", "10.99.1.1")])
def test_hosts_have_distinct_uuids(one: str, other: str) -> None:
    assert libvirt.host_uuid(one) != libvirt.host_uuid(other)
    assert len(libvirt.host_uuid(one)) == 36


def test_a_kubelets_certificate_says_which_node_it_is() -> None:
    identity = pki.node_identity("node1", "172.30.0.11")
    assert identity.subject == "/O=system:nodes/CN=system:node:node1"
    assert "subjectAltName=DNS:node1,IP:172.30.0.11,IP:127.0.0.1" in pki.extension_file(identity)


def test_paths_of_a_host_are_found_from_outside(tmp_path: Path) -> None:
    host = Host("a", 1, tmp_path, lan=Lan())
    assert host.outside_path("/var/lib/cloudstack/pools/local/x") == tmp_path / "a/cloudstack/pools/local/x"
    assert host.outside_path("/var/lib/cloudstack/pools/shared/x") == tmp_path / "shared-pool/x"
    assert host.outside_path("/var/lib/cloudstack") == tmp_path / "a/cloudstack"
    with pytest.raises(DevError, match="the machine's"):
        host.outside_path("/etc/passwd")


def test_kubernetes_own_modules_are_pinned_to_its_version() -> None:
    text = (
        "replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tk8s.io/client-go => ./staging/src/k8s.io/client-go\n)\n"
    )
    staged = build.staged_modules(text)
    assert staged == ("k8s.io/api", "k8s.io/client-go")
    assert "replace k8s.io/api => k8s.io/api v0.36.3\n" in build.go_mod(build.KUBERNETES, staged)


def test_builds_are_cached_by_version() -> None:
    keys = {recipe.key for recipe in build.RECIPES}
    assert len(keys) == len(build.RECIPES)
    assert all(recipe.version in recipe.key for recipe in build.RECIPES)


def test_the_base_is_made_again_when_its_python_changes() -> None:
    assert len({base.key(None), base.key(Path("3.12.1")), base.key(Path("3.12.4"))}) == 3


@pytest.mark.parametrize(("older", "newer"), [("1.9.1", "1.26.0"), ("go1.26.8", "1.27"), ("1.26.0", "go1.26.8")])
def test_versions_compare_as_numbers(older: str, newer: str) -> None:
    assert version_tuple(older) < version_tuple(newer)
