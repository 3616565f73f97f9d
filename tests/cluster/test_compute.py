"""What a tenant expects of a running virtual machine, seen from inside its guest: who it is, what it gets, and that it goes on."""

from __future__ import annotations

import base64

import pytest

from dev.target import SYSTEM
from operators.contract import names
from tests.support import leftovers
from tests.support.cluster import PATIENCE, Cloud, manifest, network, vm, volume
from tests.support.guest import boot_id, console, guest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHCDwkkzFGdVZiiJpnVKmR+CYkE9LMNfa8wKbzL0Q0Vd me@example"
SCRIPT = "#!/bin/sh\ncount=$(cat /data/count 2>/dev/null || echo 0)\necho $((count + 1)) >/data/count\n"
ASK = "timeout 20 wget -q -O - http://{address}/latest/{path}"
FIND = "until cat /sys/block/vdb/size 2>/dev/null; do usleep 200000; done"
GONE = "while [ -e /sys/block/vdb ]; do usleep 200000; done; echo gone"


@pytest.fixture
def opened(cloud: Cloud) -> Cloud:
    """A tenant who lets Compute keep Secrets."""
    account = f"--serviceaccount={SYSTEM}:cloudstack-compute"
    cloud.kubectl("create", "rolebinding", names.SECRETS_ROLE, f"--clusterrole={names.SECRETS_ROLE}", account)
    return cloud


def test_a_placement_plan_says_where_and_makes_nothing(cloud: Cloud) -> None:
    cloud.apply(manifest("PlacementPlan", "where", {"offering": "tiny", "image": "tiny"}))
    plan = cloud.wait(
        "PlacementPlan", "where", "answered", lambda body: bool(body and body.get("status", {}).get("host"))
    )
    assert plan
    hosts = set(leftovers.hosts(cloud))
    assert plan["status"]["host"] in hosts
    assert hosts <= {each["host"] for each in plan["status"]["hosts"]}
    assert not cloud.list("Instance")


def test_a_guest_knows_itself_and_goes_on_through_a_migration(opened: Cloud) -> None:
    cloud = opened
    assert len(leftovers.hosts(cloud)) > 1
    pair = manifest("SSHKeyPair", "mine", {"publicKey": KEY})
    asked = {"sshKeyPairs": ["mine"], "userData": {"inline": SCRIPT}, "passwordRequest": 1}
    cloud.apply(network(), volume("ledger", "64Mi"), pair, vm("web", **asked))
    cloud.ready("vm/web")
    web = guest(cloud, "web")
    web.wait_booted()
    body = cloud.need("VirtualMachine", "web")

    # Who it is, from its NoCloud disk and over HTTP.
    assert web.sh("hostname") == "web"
    assert KEY in web.sh("cat /root/.ssh/authorized_keys")
    assert web.sh("until [ -s /data/count ]; do usleep 200000; done; cat /data/count") == "1"
    for address in ("169.254.169.254", "10.1.1.1"):
        assert web.sh(ASK.format(address=address, path="meta-data/vm-id")) == body["metadata"]["uid"]
        assert web.sh(ASK.format(address=address, path="user-data")) == SCRIPT.strip()
    assert web.sh(ASK.format(address="169.254.169.254", path="meta-data/public-keys")) == KEY

    # Its password, which it took from the password server; nobody else is told.
    taken = cloud.wait(
        "VirtualMachine",
        "web",
        "with a new password",
        lambda now: now is not None and now["status"].get("passwordObserved") == 1,
    )
    assert taken
    secret = cloud.kubectl("get", "secret", taken["status"]["passwordSecret"], "-o", "jsonpath={.data.password}")
    password = base64.b64decode(secret).decode()
    salt, hashed = web.sh("grep ^root: /etc/shadow | cut -d: -f2").split("$")[2:]
    assert web.sh(f"mkpasswd -m sha512 -S {salt} {password}") == f"$6${salt}${hashed}"
    assert "TINY PASSWORD" in console(cloud, "web")
    cloud.wait(
        "Instance",
        body["status"]["instance"],
        "clear of it",
        lambda now: now is not None and "password" not in now["spec"],
    )
    assert password not in cloud.story()

    # A disk comes while it runs; all of it goes on on another host; the disk goes.
    boot = boot_id(cloud, "web")
    cloud.patch("VirtualMachine", "web", {"spec": {"volumes": ["ledger"]}})
    assert web.sh(FIND, timeout=PATIENCE) == str((64 << 20) // 512)
    cloud.ready("vm/web", "volume/ledger")
    web.sh("echo kept | dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null")
    cloud.apply(manifest("Migration", "away", {"virtualMachine": "web"}))
    cloud.condition("Migration", "away", "Succeeded", "True")
    cloud.ready("vm/web")
    there = guest(cloud, "web")
    assert there.host != web.host
    assert boot_id(cloud, "web") == boot
    assert there.sh("head -c 4 /dev/vdb") == "kept"
    assert there.sh(ASK.format(address="169.254.169.254", path="meta-data/local-hostname")) == "web"
    cloud.patch("VirtualMachine", "web", {"spec": {"volumes": []}})
    assert there.sh(GONE, timeout=PATIENCE) == "gone"
    assert there.sh("cat /data/count") == "1"
