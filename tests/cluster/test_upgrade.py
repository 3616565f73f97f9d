"""Operators come and go, the chart is upgraded, removed and installed again: guests do not notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.deploy import install, wait_for_hosts
from dev.target import SYSTEM, Target
from tests.support import leftovers
from tests.support.cluster import PATIENCE, Cloud, network, vm
from tests.support.guest import Pinging, address, boot_id

pytestmark = pytest.mark.alone

DEPLOYMENTS = [
    "orchestration",
    "compute",
    "storage",
    "networking",
    "fabric-admin",
    "fabric-monitoring",
]
FEW = 15
"""Pings at five a second that may be lost while a network agent is replaced."""


@pytest.fixture
def pair(cloud: Cloud) -> Cloud:
    """Two running guests on two hosts."""
    one, other, *_ = leftovers.hosts(cloud)
    cloud.apply(network(), vm("web", placement={"host": one}), vm("db", placement={"host": other}))
    cloud.ready("vm/web", "vm/db")
    return cloud


@pytest.fixture
def installed(where: Target) -> Iterator[None]:
    """Whatever the test does to the chart, it is installed afterwards."""
    yield
    install(where)
    wait_for_hosts(where)


def unharmed(cloud: Cloud, before: dict[str, str], pinging: Pinging) -> None:
    """The guests never stopped, and hardly missed a packet."""
    assert {name: boot_id(cloud, name) for name in before} == before
    assert pinging.lost <= FEW, f"{pinging.lost} pings lost"


def test_rolling_restart_leaves_guests_alone(pair: Cloud, where: Target, installed: None) -> None:
    """What `helm upgrade` does: every pod is replaced."""
    before = {name: boot_id(pair, name) for name in ("web", "db")}
    with Pinging(pair, "web", address(pair, "db")) as pinging:
        chart = ("upgrade", "cloudstack", "charts/cloudstack", "--namespace", SYSTEM, "--reuse-values")
        where.helm(*chart, "--set-string", "podAnnotations.restarted-by=test", "--wait", "--timeout", "10m")
        where.kubectl("-n", SYSTEM, "rollout", "status", "daemonset/cloudstack-agent", f"--timeout={PATIENCE}s")
    unharmed(pair, before, pinging)
    pair.ready("vm/web", "vm/db")


def test_uninstall_and_reinstall_leave_guests_alone(pair: Cloud, where: Target, installed: None) -> None:
    """Removing the chart keeps kinds, objects and guests; installing it again finds them."""
    before = {name: boot_id(pair, name) for name in ("web", "db")}
    uids = {name: pair.need("VirtualMachine", name)["metadata"]["uid"] for name in before}
    with Pinging(pair, "web", address(pair, "db")) as pinging:
        where.helm("uninstall", "cloudstack", "--namespace", SYSTEM, "--wait", "--timeout", "10m")
        assert pair.need("VirtualMachine", "web")["metadata"]["uid"] == uids["web"]
        install(where)
        wait_for_hosts(where)
    unharmed(pair, before, pinging)
    for name, uid in uids.items():
        assert leftovers.domains_of(pair, uid) == [pair.need("VirtualMachine", name)["status"]["hostName"]]
    pair.apply(vm("third"))
    pair.ready("vm/third")


@pytest.mark.parametrize("component", ["orchestration", "compute", "storage", "networking"])
def test_work_waits_for_an_operator(cloud: Cloud, where: Target, component: str) -> None:
    """A machine applied while a component is away proceeds when it comes back; the others have done their part."""
    scale = ("-n", SYSTEM, "scale", f"deployment/cloudstack-{component}")
    where.kubectl(*scale, "--replicas=0")
    gone = ("-l", f"app.kubernetes.io/component={component}", f"--timeout={PATIENCE}s")
    where.kubectl("-n", SYSTEM, "wait", "--for=delete", "pod", *gone)
    try:
        cloud.apply(network(), vm("web"))
        waits_for = {"orchestration": "Instance", "compute": "Flow", "storage": "Instance", "networking": "Instance"}
        cloud.wait_any(waits_for[component])
        assert not cloud.is_ready("VirtualMachine", "web")
    finally:
        where.kubectl(*scale, "--replicas=1")
    cloud.ready("vm/web")


def test_helm_test(where: Target) -> None:
    """`helm test` boots a guest and leaves nothing behind."""
    assert "Succeeded" in where.helm("test", "cloudstack", "--namespace", SYSTEM, "--timeout", "10m")
    left = where.kubectl("-n", SYSTEM, "get", "vm,networks,volumes", "-o", "name")
    assert left.strip() == ""
