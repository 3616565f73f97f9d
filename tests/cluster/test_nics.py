"""NICs that come to a running guest and go from it, as the guests on both ends see them."""

from __future__ import annotations

from tests.support.cluster import Body, Cloud, network, vm
from tests.support.guest import boot_id, guest

HAS = "until ip -4 -o addr show eth1 2>/dev/null | grep -q 'inet {address}/'; do usleep 200000; done; echo yes"
GONE = "while [ -e /sys/class/net/eth1 ]; do usleep 200000; done; ls /sys/class/net"
PING = "until ping -c 1 -W 5 {address} >/dev/null; do usleep 200000; done; echo yes"
DEFAULT = "ip route show default"


def nics(body: Body | None) -> dict[str, Body]:
    return {each["name"]: each for each in (body or {}).get("status", {}).get("nics", ()) if "name" in each}


def test_a_nic_comes_gets_its_address_reaches_its_neighbours_and_goes(cloud: Cloud) -> None:
    back = {"network": "vault", "name": "back"}
    cloud.apply(network(), network("vault", "10.7.7.0/24"), vm("web"), vm("db", nets=("vault",)))
    cloud.ready("vm/web", "vm/db")
    web, db = guest(cloud, "web"), guest(cloud, "db")
    web.wait_booted()
    db.wait_booted()
    boot, before = boot_id(cloud, "web"), nics(cloud.need("VirtualMachine", "web"))["nic0"]
    cloud.apply(vm("web", nics=[{"network": "backplane"}, back]))
    body = cloud.wait(
        "VirtualMachine", "web", "with its second NIC", lambda now: bool(nics(now).get("back", {}).get("device"))
    )
    cloud.ready("vm/web")
    told = nics(body)
    assert told["nic0"] == before
    (address,), there = told["back"]["addresses"], cloud.need("VirtualMachine", "db")["status"]["addresses"][0]
    assert address.startswith("10.7.7.") and told["back"]["network"] == "vault"
    assert web.sh(HAS.format(address=address)) == "yes"
    assert web.sh("cat /sys/class/net/eth1/address") == told["back"]["mac"]
    assert web.sh(PING.format(address=there)) == db.sh(PING.format(address=address)) == "yes"
    # The default route is that of the default NIC, whatever the other network's router would say.
    assert web.sh(DEFAULT).split()[:5] == ["default", "via", "10.1.1.1", "dev", "eth0"]

    cloud.apply(vm("web", nics=[{"network": "backplane"}]))
    assert "eth1" not in web.sh(GONE)
    cloud.gone("Port", "web-back")
    cloud.ready("vm/web")
    assert nics(cloud.need("VirtualMachine", "web")) == {"nic0": before}
    assert boot_id(cloud, "web") == boot
    described = cloud.kubectl("describe", "vm", "web")
    assert "Mac:" in described and before["mac"] in described
