"""The whole life of virtual machines, by kubectl, on real hosts."""

from __future__ import annotations

import pytest

from tests.support import leftovers
from tests.support.cluster import PATIENCE, Cloud, network, vm, volume
from tests.support.guest import address, boot_id, console, guest


@pytest.fixture
def two_hosts(cloud: Cloud) -> tuple[str, str]:
    """Two hosts that may run guests."""
    first, second, *_ = leftovers.hosts(cloud)
    return first, second


def power(cloud: Cloud, name: str) -> str:
    """What the hypervisor says of a machine."""
    instance = cloud.need("VirtualMachine", name)["status"]["instance"]
    return str(cloud.need("Instance", instance).get("status", {}).get("power", ""))


def switch(cloud: Cloud, name: str, policy: str) -> None:
    """Ask for a run policy and wait until the hypervisor has done it."""
    instance = cloud.need("VirtualMachine", name)["status"]["instance"]
    cloud.patch("VirtualMachine", name, {"spec": {"runPolicy": policy}})
    cloud.wait("Instance", instance, policy, lambda body: bool(body) and body["status"].get("power") == policy)


FIND_LEDGER = "cd /sys/block; for disk in vd*; do [ $(cat $disk/size) = 163840 ] && echo /dev/$disk; done"
"""80 MiB in sectors, which no other disk has."""
BY_USER_DATA = "for i in 1 2 3 4 5 6 7 8 9; do [ -e /run/by-user-data ] && break; sleep 1; done; cat /run/by-user-data"


def test_whole_life(cloud: Cloud, two_hosts: tuple[str, str]) -> None:
    """Two guests on two hosts talk; a volume's data survives stop and start; after delete nothing is left."""
    before = leftovers.inventory(cloud)
    one, other = two_hosts
    cloud.apply(
        network(),
        volume("ledger", "80Mi"),
        vm("web", volumes=["ledger"], placement={"host": one}),
        vm("db", placement={"host": other}),
    )
    cloud.ready("vm/web", "vm/db", "volume/ledger", "network/backplane")
    web, db = guest(cloud, "web"), guest(cloud, "db")
    assert (web.host, db.host) == two_hosts
    addresses = {name: address(cloud, name) for name in ("web", "db")}
    web.wait_booted()
    db.wait_booted()

    web.sh(f"ping -c 3 -W 2 {addresses['db']}")
    db.sh(f"ping -c 3 -W 2 {addresses['web']}")
    assert f"{addresses['web']}" in db.sh(f"timeout 10 wget -q -O - http://{addresses['web']}/cgi-bin/status")
    assert db.sh("timeout 10 wget -q -O - http://web/hostname") == "web"
    assert "TINY READY host=web" in console(cloud, "web")

    disk = web.sh(FIND_LEDGER)
    web.sh(f"/sbin/mke2fs -q -t ext4 {disk} && mount {disk} /mnt && echo kept > /mnt/note && umount /mnt")
    before_stop = boot_id(cloud, "web")
    switch(cloud, "web", "Stopped")
    assert power(cloud, "db") == "Running"
    switch(cloud, "web", "Running")
    assert boot_id(cloud, "web") != before_stop
    assert web.sh(f"mount {disk} /mnt && cat /mnt/note") == "kept"
    assert address(cloud, "web") == addresses["web"]
    web.sh(f"ping -c 2 -W 2 {addresses['db']}")

    cloud.delete("VirtualMachine", "web", "db")
    assert cloud.need("Volume", "ledger"), "a data volume stays when its machine goes"
    cloud.delete("Volume", "ledger")
    cloud.delete("Network", "backplane")
    leftovers.assert_nothing_left(cloud, before)
    assert leftovers.objects_of(cloud) == []


def test_user_data_and_keys_reach_the_guest(cloud: Cloud) -> None:
    """First boot gets the host name, the keys and the script."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO8Yl7pqQ0gkTE3rkMzZ0Q3tG4d5w0v2m1n3b5c7d9eF me"
    script = "#!/bin/sh\necho made > /run/by-user-data\n"
    cloud.apply(network(), vm("web", sshKeys=[key], userData={"inline": script}, hostname="www"))
    cloud.ready("vm/web")
    inside = guest(cloud, "web")
    assert inside.sh("hostname") == "www"
    assert inside.sh("cat /root/.ssh/authorized_keys") == key
    assert inside.sh(BY_USER_DATA) == "made"


def test_reboot_happens_once(cloud: Cloud) -> None:
    """A raised counter reboots the guest once, and says so."""
    cloud.apply(network(), vm("web"))
    cloud.ready("vm/web")
    first = boot_id(cloud, "web")
    cloud.patch("VirtualMachine", "web", {"spec": {"rebootRequest": 1}})
    cloud.wait(
        "VirtualMachine", "web", "rebooted", lambda body: bool(body) and body["status"].get("rebootObserved") == 1
    )
    second = boot_id(cloud, "web")
    assert second != first
    cloud.patch("VirtualMachine", "web", {"metadata": {"labels": {"touched": "yes"}}})
    assert boot_id(cloud, "web") == second


def test_machine_without_network_or_volume(cloud: Cloud) -> None:
    """The least machine there is."""
    cloud.apply(vm("lonely", nets=()))
    cloud.ready("vm/lonely")
    assert guest(cloud, "lonely").sh("hostname") == "lonely"


def test_deleting_a_namespace_takes_everything(cloud: Cloud) -> None:
    """A tenant's end: no Flow can be made any more, and still nothing is left, in whatever order things go."""
    before = leftovers.inventory(cloud)
    cloud.apply(network(), volume(), vm("web", volumes=["ledger"]))
    cloud.ready("vm/web", "volume/ledger")
    uid = cloud.need("VirtualMachine", "web")["metadata"]["uid"]
    cloud.kubectl("delete", "namespace", cloud.namespace, f"--timeout={PATIENCE}s")
    leftovers.assert_nothing_left(cloud, before)
    assert leftovers.domains_of(cloud, uid) == []
