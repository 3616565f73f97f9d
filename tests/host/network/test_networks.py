"""A network over three hosts, with real bridges, VXLAN, nftables and dnsmasq, and guests that are namespaces."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from operators.contract import names
from operators.contract.fabric import HOST, HOST_REPORT
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.networking import HOST_NETWORK, NETWORK, PORT_BINDING, ROUTER
from tests.host.network.harness import LAN, NS, busybox, cloud, counter


async def test_guests_on_three_hosts_get_addresses_names_and_each_other(tmp_path: Path) -> None:
    async with cloud(tmp_path) as here:
        clean = {name: here.traces(name) for name in here.hosts}
        await here.network()
        a = await here.guest("a", "n1")
        b = await here.guest("b", "n2")
        c = await here.guest("c", "n3")
        router_host = here.must(NETWORK, "net").status.router_host

        lease = a.dhcp()
        assert lease["ip"] == a.ip
        assert (lease["router"], lease["dns"], lease["mtu"]) == ("10.1.1.1", "10.1.1.1", "1450")
        assert lease["domain"] == lease["search"] == "net.team-a.internal"
        assert lease["hostname"] == "a"
        assert b.dhcp()["ip"] == b.ip
        assert c.dhcp()["ip"] == c.ip

        assert a.pings(b.ip)
        assert b.pings(c.ip)
        assert c.pings("10.1.1.1")
        assert a.pings(c.ip, size=1422)
        assert b.ip in a.resolves("b")
        assert b.ip in c.resolves("b.net.team-a.internal")
        assert "10.98" not in a.resolves("example.com")
        outside = LAN.outside_address.partition("/")[0]
        assert a.pings(outside)
        assert b.pings(outside)

        for guest in (a, b, c):
            await here.remove(guest)
        here.server.delete("kubectl", NETWORK, Key(NS, "net"))
        await here.until(lambda: here.get(NETWORK, "net") is None)
        assert {name: here.traces(name) for name in here.hosts} == clean
        assert here.must(HOST_REPORT, router_host).status.network.unknown_devices == ()
        for kind in (ROUTER, HOST_NETWORK, PORT_BINDING):
            assert list(here.server.all(kind)) == []
        await asyncio.sleep(0)


async def test_a_guest_passes_only_as_itself(tmp_path: Path) -> None:
    async with cloud(tmp_path, 2) as here:
        await here.network()
        good = await here.guest("good", "n1")
        bad = await here.guest("bad", "n2")
        good.dhcp()
        bad.dhcp()
        assert bad.pings(good.ip)
        mac = bad.binding.mac
        own = good.counter("ip", "ip", "saddr", bad.ip)
        spoofed = good.counter("ip", "ip", "saddr", "10.1.1.99")
        lies = good.counter("arp", "arp", "saddr", "ip", "10.1.1.1", "arp", "saddr", "ether", mac)
        # With what it knows of its neighbour before, it needs no answer to a question in ARP.
        bad.run("ip", "neigh", "replace", good.ip, "lladdr", good.binding.mac, "dev", "eth0", "nud", "permanent")
        assert bad.pings(good.ip)
        bad.run("ip", "addr", "add", "10.1.1.99/24", "dev", "eth0")
        assert not bad.pings(good.ip, source="10.1.1.99")
        assert own() > 0
        assert spoofed() == 0
        # Nor may it claim in ARP to be the gateway.
        bad.run("ip", "addr", "add", "10.1.1.1/32", "dev", "eth0")
        bad.busybox("arping", "-U", "-c", "2", "-I", "eth0", "10.1.1.1", check=False)
        bad.busybox("arping", "-A", "-c", "2", "-I", "eth0", "10.1.1.1", check=False)
        assert lies() == 0
        bad.run("ip", "addr", "del", "10.1.1.1/32", "dev", "eth0")
        # Nor answer DHCP in the router's place.
        dhcp = good.counter("ip", "udp", "sport", "67", "ip", "saddr", bad.ip)
        send = f"import socket; s = socket.socket(type=2); s.bind(('{bad.ip}', 67)); s.sendto(b'x', ('{good.ip}', 68))"
        bad.run(sys.executable, "-c", send)
        await asyncio.sleep(0.1)
        assert dhcp() == 0
        # IPv6 has no rules yet, so it has no way.
        assert "0 packets received" in bad.busybox("ping", "-6", "-c", "1", "-W", "1", "ff02::1%eth0", check=False)[1]
        bad.run("ip", "link", "set", "eth0", "address", "06:00:00:00:00:99")
        assert not bad.pings(good.ip)
        bad.run("ip", "link", "set", "eth0", "address", mac)
        assert bad.pings(good.ip)


async def test_a_tap_that_nobody_announced_passes_nothing_and_the_host_is_out_of_reach(tmp_path: Path) -> None:
    async with cloud(tmp_path, 1) as here:
        await here.network()
        known = await here.guest("known", "n1")
        known.dhcp()
        host = here.hosts["n1"]
        bridge = known.binding.bridge
        lines = [
            "netns add stranger",
            "link add cst0123456789 type veth peer name eth0 netns stranger",
            f"link set cst0123456789 master {bridge} up",
        ]
        host.exec(["ip", "-batch", "-"], input="\n".join(lines) + "\n")
        host.exec(["ip", "-n", "stranger", "-batch", "-"], input="addr add 10.1.1.50/24 dev eth0\nlink set eth0 up\n")
        ping = [str(busybox()), "ping", "-c", "1", "-W", "1"]
        assert host.exec(["ip", "netns", "exec", "stranger", *ping, known.ip], check=False).returncode != 0
        # The host would answer ARP for its own address on any of its devices, and take what is sent to its bridge.
        known.run("ip", "route", "add", host.address, "dev", "eth0")
        heard = counter(host, (), "ip", "ip", "saddr", known.ip)
        assert not known.pings(host.address)
        assert "lladdr" not in known.run("ip", "neigh", "show", host.address)[1]
        mac = json.loads(host.exec(["ip", "-j", "link", "show", bridge]).stdout)[0]["address"]
        known.run("ip", "neigh", "replace", host.address, "lladdr", mac, "dev", "eth0", "nud", "permanent")
        assert not known.pings(host.address)
        assert heard() == 0


async def test_networks_of_two_tenants_with_the_same_addresses_do_not_meet(tmp_path: Path) -> None:
    async with cloud(tmp_path, 2) as here:
        await here.network("net")
        await here.network("far", "10.1.2.0/24")
        a = await here.guest("a", "n1", ip="10.1.1.7")
        b = await here.guest("b", "n2", "far", ip="10.1.2.7")
        a.dhcp()
        b.dhcp()
        assert a.pings("10.1.1.1")
        assert b.pings("10.1.2.1")
        assert not a.pings(b.ip)
        # Nor do they by the way around: a router forwards nothing from outside that was not asked for.
        public = here.must(NETWORK, "far").status.source_nat_address
        a.run("ip", "route", "replace", "10.1.2.0/24", "via", "10.1.1.1")
        assert not a.pings(b.ip)
        assert a.pings(public)


async def test_a_host_as_kubernetes_wants_it_lets_guests_pass(tmp_path: Path) -> None:
    """Bridged frames pass the host's IP rules there: kube-proxy's translations and a forward chain that drops what is invalid."""
    async with cloud(tmp_path, 2) as here:
        theirs = """
        table ip kube-proxy {
            chain nat-prerouting { type nat hook prerouting priority dstnat; ip daddr 10.1.1.77 dnat to HOST
            }
            chain nat-postrouting { type nat hook postrouting priority srcnat; ip saddr 10.1.1.0/24 masquerade
            }
            chain filter-forward { type filter hook forward priority -110; ct state invalid drop
            }
        }
        """.replace("HOST", next(iter(here.hosts.values())).address)
        for host in here.hosts.values():
            assert host.exec(["cat", "/proc/sys/net/bridge/bridge-nf-call-iptables"]).stdout.strip() == "1"
            host.exec(["nft", "-f", "-"], input=theirs)
        before = {
            name: host.exec(["nft", "list", "table", "ip", "kube-proxy"]).stdout for name, host in here.hosts.items()
        }
        await here.network()
        a = await here.guest("a", "n1")
        b = await here.guest("b", "n2", ip="10.1.1.77")
        a.dhcp()
        b.dhcp()
        assert a.pings(b.ip)
        assert b.pings(a.ip)
        after = {
            name: host.exec(["nft", "list", "table", "ip", "kube-proxy"]).stdout for name, host in here.hosts.items()
        }
        assert after == before


async def test_an_address_given_anew_is_leased_to_its_new_owner(tmp_path: Path) -> None:
    async with cloud(tmp_path, 1) as here:
        await here.network()
        first = await here.guest("first", "n1", ip="10.1.1.50")
        assert first.dhcp()["ip"] == "10.1.1.50"
        server = here.hosts["n1"].exec(["sh", "-c", "cat /var/lib/cloudstack/network/csr*/dnsmasq.pid"]).stdout
        await here.remove(first)
        second = await here.guest("second", "n1", ip="10.1.1.50")
        assert second.dhcp()["ip"] == "10.1.1.50"
        assert "10.1.1.50" not in second.resolves("first").partition("10.1.1.1")[2].replace("10.1.1.1:53", "")
        assert "10.1.1.50" in second.resolves("second")
        again = here.hosts["n1"].exec(["sh", "-c", "cat /var/lib/cloudstack/network/csr*/dnsmasq.pid"]).stdout
        assert again == server


async def test_only_the_default_nic_is_told_of_the_router(tmp_path: Path) -> None:
    async with cloud(tmp_path, 1) as here:
        await here.network()
        guest = await here.guest("web", "n1")
        key = Key(NS, names.instance("web"))
        state = "cat /var/lib/cloudstack/network/csr*/hosts.d/*"

        async def default(yes: bool) -> None:
            body = here.server.read(INSTANCE, key)
            assert body is not None
            nics = [nic | {"rate": 0, "defaultRoute": yes} for nic in body["spec"]["nics"]]
            await here.user.apply(INSTANCE, INSTANCE.body(key, spec=body["spec"] | {"nics": nics}))
            await here.until(lambda: ("set:side" in here.hosts["n1"].exec(["sh", "-c", state]).stdout) is not yes)

        await default(False)
        lease = guest.dhcp()
        assert lease["ip"] == guest.ip and lease["mtu"] == "1450"
        assert (lease["router"], lease["dns"], lease["search"]) == ("", "", "")
        guest.run("ip", "addr", "flush", "dev", "eth0")
        await default(True)
        lease = guest.dhcp()
        assert (lease["ip"], lease["router"], lease["dns"]) == (guest.ip, "10.1.1.1", "10.1.1.1")


async def test_a_restarted_agent_changes_nothing_and_misses_nothing(tmp_path: Path) -> None:
    async with cloud(tmp_path, 2) as here:
        await here.network()
        a = await here.guest("a", "n1")
        b = await here.guest("b", "n2")
        a.dhcp()
        b.dhcp()
        before = {name: here.traces(name) for name in here.hosts}
        await asyncio.sleep(0.5)  # what an agent has said by now, this process has yet to read
        versions = here.versions()
        for agent in here.agents.values():
            await agent.kill()
        assert a.pings(b.ip)
        assert {name: here.traces(name) for name in here.hosts} == before
        for agent in here.agents.values():
            agent.log.write_text("")
            await agent.start()
        await asyncio.sleep(1)
        assert {name: here.traces(name) for name in here.hosts} == before
        # Whatever is listed is in the form in which it was given.
        logs = [agent.log.read_text().splitlines() for agent in here.agents.values()]
        assert [line for log in logs for line in log if "action=Serve" not in line] == []
        assert here.versions() == versions
        await here.agents["n2"].kill()
        late = asyncio.create_task(here.guest("c", "n2", plug=False))
        await asyncio.sleep(0.5)
        assert not late.done()
        await here.agents["n2"].start()
        c = await late
        c.plug_in()
        assert c.dhcp()["ip"] == c.ip


async def test_what_is_broken_behind_our_back_is_mended(tmp_path: Path) -> None:
    async with cloud(tmp_path, 2) as here:
        await here.network()
        a = await here.guest("a", "n1")
        b = await here.guest("b", "n2")
        a.dhcp()
        host = here.hosts["n1"]
        segment = here.must(NETWORK, "net").status.segment_id
        pid_file = f"/var/lib/cloudstack/network/csr{segment}/dnsmasq.pid"

        dnsmasq = host.exec(["cat", pid_file]).stdout.strip()
        host.exec(["kill", "-9", dnsmasq])
        took = await here.until(lambda: host.exec(["cat", pid_file]).stdout.strip() not in ("", dnsmasq))
        assert took < 40  # far sooner than by the look at everything
        await asyncio.sleep(0.2)
        assert b.dhcp()["ip"] == b.ip

        for device in (f"csvx{segment}", f"csri{segment}", f"csrp{segment}"):
            host.exec(["ip", "link", "del", device])
            await here.until(lambda device=device: f"link {device}" in here.traces("n1"))
            await here.until(lambda: b.pings("10.1.1.1") and a.pings(b.ip), 60)
        assert b.pings(LAN.outside_address.partition("/")[0])

        host.exec(["nft", "flush", "ruleset"])
        await here.until(lambda: any(each.startswith("element") for each in here.traces("n1")), 40)
        host.exec(["nft", "delete", "chain", "bridge", "cloudstack", "input"])
        chains = ["nft", "list", "chains", "bridge"]
        await here.until(lambda: "chain input" in host.exec(chains).stdout, 40)

        host.exec(["ip", "netns", "exec", f"csr{segment}", "nft", "flush", "ruleset"])
        host.exec(["ip", "-n", f"csr{segment}", "addr", "flush", "dev", "eth0"])
        await here.agents["n1"].kill()
        await here.agents["n1"].start()
        await here.until(lambda: b.pings("10.1.1.1") and b.pings(LAN.outside_address.partition("/")[0]), 60)


async def test_what_is_not_ours_is_reported_and_left_alone(tmp_path: Path) -> None:
    async with cloud(tmp_path, 1) as here:
        host = here.hosts["n1"]
        host.exec(["ip", "link", "add", "csbr4242", "type", "bridge"])
        host.exec(["ip", "netns", "add", "csr4242"])
        host.exec(["ip", "link", "add", "cst0123456789", "type", "veth", "peer", "name", "other0"])
        await here.network()
        unknown = ("csbr4242", "csr4242", "cst0123456789")
        await here.until(lambda: here.must(HOST_REPORT, "n1").status.network.unknown_devices == unknown)
        report = here.must(HOST_REPORT, "n1").status.network
        assert report.underlay_address == host.address
        assert report.bridges == ("cloudbr1",)
        here.server.delete("kubectl", NETWORK, Key(NS, "net"))
        await here.until(lambda: here.get(NETWORK, "net") is None)
        assert {"link csbr4242", "netns csr4242"} <= here.traces("n1")


async def test_killed_again_and_again_the_agent_ends_with_the_same(tmp_path: Path) -> None:
    async with cloud(tmp_path, 1) as here:
        clean = here.traces("n1")
        agent = here.agents["n1"]
        for delay in (0.0, 0.01, 0.03, 0.05, 0.08, 0.12, 0.2):
            making = asyncio.create_task(here.network())
            await asyncio.sleep(0.02 + delay)
            await agent.kill()
            await agent.start()
            await making
            guest = await here.guest("a", "n1")
            assert guest.dhcp()["ip"] == guest.ip
            removing = asyncio.create_task(here.remove(guest))
            await removing
            here.server.delete("kubectl", NETWORK, Key(NS, "net"))
            await asyncio.sleep(0.02 + delay)
            await agent.kill()
            await agent.start()
            await here.until(lambda: here.get(NETWORK, "net") is None)
            assert here.traces("n1") == clean


async def test_how_long_a_network_takes(tmp_path: Path) -> None:
    async with cloud(tmp_path) as here:
        begun = asyncio.get_running_loop().time()
        await here.network()
        ready = asyncio.get_running_loop().time() - begun
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(*(here.guest(f"vm{index}", f"n{index + 1}", plug=False) for index in range(3)))
        ports = asyncio.get_running_loop().time() - begun
        begun = asyncio.get_running_loop().time()
        await here.guest("one-more", "n1", plug=False)
        one = asyncio.get_running_loop().time() - begun
        print(
            f"network {ready * 1000:.0f} ms, three ports on three hosts {ports * 1000:.0f} ms, one more {one * 1000:.0f} ms"
        )
        assert ready < 5


async def test_after_a_power_failure_everything_is_there_again(tmp_path: Path) -> None:
    async with cloud(tmp_path, 2) as here:
        await here.network()
        a = await here.guest("a", "n1")
        b = await here.guest("b", "n2")
        b.dhcp()
        host = here.hosts["n1"]
        host.kill()
        await here.agents["n1"].gone()
        host.up()
        await here.agents["n1"].start()
        segment = here.must(NETWORK, "net").status.segment_id
        await here.until(lambda: {f"netns csr{segment}", "dnsmasq", f"link csvx{segment}"} <= here.traces("n1"))
        a.plug_in()
        assert a.dhcp()["ip"] == a.ip
        assert a.pings(b.ip)
        assert b.pings(LAN.outside_address.partition("/")[0])


async def test_the_router_moves_when_its_host_is_gone_for_good(tmp_path: Path) -> None:
    async with cloud(tmp_path, 3) as here:
        await here.network()
        b = await here.guest("b", "n2")
        c = await here.guest("c", "n3")
        b.dhcp()
        c.dhcp()
        assert b.pings("10.1.1.1")
        assert here.must(NETWORK, "net").status.router_host == "n1"
        here.hosts["n1"].kill()
        await here.agents["n1"].gone()
        said = {"conditions": [{"type": "Reachable", "status": "False", "reason": "AgentSilent"}]}
        await here.user.apply_status(HOST, Key("", "n1"), said, resource_version="")
        await here.until(lambda: not here.is_ready(NETWORK, "net"))
        assert b.pings(c.ip)
        assert not b.pings("10.1.1.1")
        here.server.delete("kubectl", HOST, Key("", "n1"))
        await here.until(lambda: here.is_ready(NETWORK, "net"))
        assert here.must(NETWORK, "net").status.router_host != "n1"
        await here.until(lambda: b.pings("10.1.1.1") and c.pings("10.1.1.1"), 10)
        assert b.pings(LAN.outside_address.partition("/")[0])
        assert c.ip in b.resolves("c")
        assert c.dhcp()["ip"] == c.ip
