"""Networks end to end against a store in memory."""

from __future__ import annotations

import pytest

from operators.contract import names
from operators.contract.fabric import HOST, IP_RANGE, ZONE
from operators.contract.meta import Condition, Key
from operators.contract.networking import CLAIM, HOST_NETWORK, NETWORK, NETWORK_OFFERING, PORT, ROUTER
from tests.support.virtual_time import virtual
from tests.unit.networking.world import NS, world


@virtual
async def test_a_network_gets_a_segment_a_public_address_and_a_router() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        network = cloud.must(NETWORK, "net")
        router = cloud.must(ROUTER, "net-router")
        status = network.status
        assert cloud.ready(NETWORK, "net") == ("True", "AsSpecified", "")
        assert cloud.says(NETWORK, "net", "SourceNAT") == ("True", "AsSpecified")
        assert (status.phase, status.router, status.router_host) == ("Ready", "net-router", "h1")
        assert (status.gateway, status.source_nat_address) == ("10.1.1.1", "10.98.0.9")
        assert status.segment_id >= 1000
        spec = router.spec
        assert (spec.segment_id, spec.netns) == (status.segment_id, f"csr{status.segment_id}")
        assert (spec.gateway, spec.domain, spec.dns) == ("10.1.1.1/24", "net.team-a.internal", ("10.0.0.53",))
        assert spec.uplink is not None
        assert (spec.uplink.bridge, spec.uplink.address, spec.uplink.gateway) == (
            "cloudbr1",
            "10.98.0.9/24",
            "10.98.0.10",
        )
        assert sorted(claim.spec.value for claim in cloud.all(CLAIM)) == ["10.98.0.9", str(status.segment_id)]
        (segment,) = cloud.all(HOST_NETWORK)
        assert (segment.spec.host_name, segment.spec.local, segment.spec.peers) == ("h1", "172.30.0.11", ())


@virtual
async def test_a_network_costs_few_writes_and_none_when_nothing_happens() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        writes = cloud.writes()
        assert writes["finalize Network/net"] == 1
        assert writes["create Router/net-router"] == 1
        assert writes["apply Router/net-router"] == 1
        assert writes["apply_status Network/net"] <= 2
        await cloud.settle(3600)
        assert cloud.writes() == writes


@virtual
async def test_a_network_leaves_nothing() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        cloud.delete(NETWORK, "net")
        await cloud.settle()
        assert cloud.get(NETWORK, "net") is None
        assert cloud.leftovers() == []


@virtual
async def test_a_network_in_use_stays_and_says_by_whom() -> None:
    async with world() as cloud:
        await cloud.network()
        for index in range(7):
            await cloud.port(f"p{index}")
        await cloud.settle()
        cloud.delete(NETWORK, "net")
        await cloud.settle()
        status, reason, message = cloud.ready(NETWORK, "net")
        assert (status, reason) == ("False", "StillInUse")
        assert message.startswith("7 Ports are on it (p0, p1, p2, p3, p4 and 2 more)")
        for index in range(7):
            cloud.delete(PORT, f"p{index}")
        await cloud.settle()
        assert cloud.get(NETWORK, "net") is None
        assert cloud.leftovers() == []


@virtual
async def test_of_two_networks_with_the_same_addresses_the_younger_waits_for_the_end_of_the_older() -> None:
    async with world() as cloud:
        await cloud.network("old", "10.1.0.0/16")
        await cloud.settle()
        await cloud.network("young", "10.1.7.0/24")
        await cloud.network("elsewhere", "10.2.0.0/16")
        await cloud.settle()
        status, reason, message = cloud.ready(NETWORK, "young")
        assert (status, reason) == ("False", "CIDROverlap")
        assert "10.1.0.0/16 of Network old" in message
        assert cloud.ready(NETWORK, "old")[0] == "True"
        assert cloud.ready(NETWORK, "elsewhere")[0] == "True"
        cloud.delete(NETWORK, "old")
        await cloud.settle()
        assert cloud.ready(NETWORK, "young")[0] == "True"


@virtual
async def test_only_one_of_two_overlapping_networks_of_the_same_second_goes_on() -> None:
    async with world() as cloud:
        await cloud.network("a", "10.1.1.0/24")
        await cloud.network("b", "10.1.1.0/24")
        await cloud.settle()
        states = sorted(cloud.ready(NETWORK, name)[1] for name in ("a", "b"))
        assert states == ["AsSpecified", "CIDROverlap"]


@virtual
async def test_without_a_public_address_a_network_works_inside_and_gets_one_later() -> None:
    async with world(ranges=False) as cloud:
        await cloud.network()
        await cloud.settle()
        assert cloud.ready(NETWORK, "net")[0] == "True"
        assert cloud.says(NETWORK, "net", "SourceNAT") == ("False", "NoPublicAddress")
        await cloud.range()
        await cloud.settle()
        assert cloud.says(NETWORK, "net", "SourceNAT") == ("True", "AsSpecified")
        assert cloud.must(NETWORK, "net").status.source_nat_address == "10.98.0.9"


@virtual
async def test_the_last_public_address_goes_to_one_network_and_then_to_the_next() -> None:
    async with world(ranges=False) as cloud:
        await cloud.range("10.98.0.10", "10.98.0.11", "10.98.0.10")
        await cloud.network("a", "10.1.1.0/24")
        await cloud.settle()
        await cloud.network("b", "10.1.2.0/24")
        await cloud.settle()
        assert cloud.must(NETWORK, "a").status.source_nat_address == "10.98.0.11"
        assert cloud.says(NETWORK, "b", "SourceNAT") == ("False", "NoPublicAddress")
        cloud.delete(NETWORK, "a")
        await cloud.settle()
        assert cloud.must(NETWORK, "b").status.source_nat_address == "10.98.0.11"


@virtual
@pytest.mark.parametrize(
    ("spec", "status", "reason"),
    [
        ({"offering": "gold"}, "False", "OfferingNotFound"),
        ({"offering": "shared"}, "False", "Invalid"),
        ({"zone": "moon"}, "False", "ZoneNotFound"),
        ({"cidr": "10.1.1.0/30"}, "False", "Invalid"),
        ({"cidr": "10.1.1.7/24"}, "False", "Invalid"),
        ({"gateway": "10.2.0.1"}, "False", "Invalid"),
        ({"dhcpRange": {"start": "10.1.1.9", "end": "10.1.1.3"}}, "False", "Invalid"),
    ],
)
async def test_what_a_network_is_refused_for(spec: dict[str, object], status: str, reason: str) -> None:
    async with world() as cloud:
        shared = NETWORK_OFFERING.body(Key("", "shared"), spec={"guestType": "shared"})
        await cloud.user.apply(NETWORK_OFFERING, shared)
        await cloud.network(**spec)  # type: ignore[arg-type]
        await cloud.settle()
        assert cloud.ready(NETWORK, "net")[:2] == (status, reason)
        assert cloud.leftovers() == []


@virtual
async def test_a_network_heals_when_its_offering_and_zone_appear() -> None:
    async with world() as cloud:
        await cloud.network(offering="gold", zone="default")
        await cloud.settle()
        await cloud.user.apply(NETWORK_OFFERING, NETWORK_OFFERING.body(Key("", "gold"), spec={"services": ["dhcp"]}))
        await cloud.settle()
        assert cloud.ready(NETWORK, "net")[0] == "True"
        assert cloud.says(NETWORK, "net", "SourceNAT") == ("", "")
        await cloud.user.apply(ZONE, ZONE.body(Key("", "default"), spec={"dns": ["10.0.0.54"]}))
        await cloud.settle()
        assert cloud.must(ROUTER, "net-router").spec.dns == ("10.0.0.54",)


@virtual
async def test_without_a_host_it_says_why_each_was_refused() -> None:
    async with world(0) as cloud:
        await cloud.network()
        await cloud.settle()
        assert cloud.ready(NETWORK, "net")[1] == "NoHostFits"
        await cloud.host("h1", "")
        await cloud.host("h2", "172.30.0.12", reachable="False")
        await cloud.settle()
        _, reason, message = cloud.ready(NETWORK, "net")
        assert reason == "NoHostFits"
        assert "h1 has not reported its underlay address" in message
        assert "h2 cannot be reached" in message
        await cloud.reachable("h2", "True")
        await cloud.settle()
        assert cloud.must(NETWORK, "net").status.router_host == "h2"


@virtual
async def test_routers_spread_over_the_hosts() -> None:
    async with world() as cloud:
        for index in range(3):
            await cloud.network(f"n{index}", f"10.{index}.0.0/24")
            await cloud.settle()
        hosts = {cloud.must(NETWORK, f"n{index}").status.router_host for index in range(3)}
        assert hosts == {"h1", "h2", "h3"}


@virtual
async def test_a_router_stays_while_its_host_is_only_silent_and_moves_when_the_host_is_gone() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("web", "h2")
        await cloud.settle()
        before = cloud.must(ROUTER, "net-router")
        cloud.deaf.add("h1")
        await cloud.reachable("h1", "False")
        await cloud.settle(600)
        status, reason, message = cloud.ready(NETWORK, "net")
        assert (status, reason) == ("False", "HostDown")
        assert "h1" in message
        assert cloud.must(ROUTER, "net-router").meta.uid == before.meta.uid
        cloud.delete(HOST, "h1")
        await cloud.settle(60)
        after = cloud.must(ROUTER, "net-router")
        assert after.spec.host_name in ("h2", "h3")
        assert after.spec.reservations == before.spec.reservations
        assert after.spec.segment_id == before.spec.segment_id
        assert cloud.ready(NETWORK, "net")[0] == "True"
        assert all(segment.spec.host_name != "h1" for segment in cloud.all(HOST_NETWORK))


@virtual
async def test_what_the_agent_says_of_the_router_is_what_the_network_says() -> None:
    async with world() as cloud:
        cloud.broken["Router/net-router"] = Condition(
            "Programmed", "False", "NetworkError", "there is no bridge cloudbr1"
        )
        await cloud.network()
        await cloud.settle()
        status, reason, message = cloud.ready(NETWORK, "net")
        assert (status, reason) == ("False", "NetworkError")
        assert message == "router on host h1: there is no bridge cloudbr1"


@virtual
async def test_a_claim_deleted_by_hand_is_claimed_again_for_the_same_value() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        before = sorted(claim.meta.name for claim in cloud.all(CLAIM))
        for name in before:
            cloud.delete(CLAIM, name)
        await cloud.settle()
        assert sorted(claim.meta.name for claim in cloud.all(CLAIM)) == before
        assert cloud.ready(NETWORK, "net")[0] == "True"


@virtual
async def test_a_segment_that_another_has_is_passed_over() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        segment = cloud.must(NETWORK, "net").status.segment_id
        cloud.delete(NETWORK, "net")
        await cloud.settle()
        assert cloud.get(CLAIM, f"segment-{segment}") is None


@virtual
@pytest.mark.parametrize("after", range(1, 10))
async def test_killed_after_any_write_a_network_comes_and_goes_all_the_same(after: int) -> None:
    async with world() as cloud:
        await cloud.kill()
        await cloud.network()
        await cloud.start(axe=after)
        await cloud.settle(30)
        assert cloud.ready(NETWORK, "net")[0] == "True"
        assert len(cloud.all(CLAIM)) == 2
        assert len(cloud.all(ROUTER)) == 1
        await cloud.kill()
        cloud.delete(NETWORK, "net")
        await cloud.start(axe=after)
        await cloud.settle(30)
        assert cloud.get(NETWORK, "net") is None
        assert cloud.leftovers() == []


@virtual
async def test_a_network_made_anew_under_its_old_name_is_another_one() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.settle()
        first = cloud.must(ROUTER, "net-router").meta.uid
        cloud.delete(NETWORK, "net")
        await cloud.settle(0.0)
        while cloud.get(NETWORK, "net") is not None:
            await cloud.settle(0.1)
        await cloud.network()
        await cloud.settle()
        assert cloud.ready(NETWORK, "net")[0] == "True"
        assert cloud.must(ROUTER, "net-router").meta.uid != first
        assert len(cloud.all(CLAIM)) == 2


@virtual
async def test_names_of_ranges_need_no_order() -> None:
    async with world() as cloud:
        spec = {
            "cidr": "10.97.0.0/24",
            "gateway": "10.97.0.1",
            "start": "10.97.0.5",
            "end": "10.97.0.5",
            "bridge": "other",
        }
        await cloud.user.apply(IP_RANGE, IP_RANGE.body(Key("", "a-first"), spec=spec))
        await cloud.network()
        await cloud.settle()
        # No host has the bridge of the first range.
        assert cloud.must(NETWORK, "net").status.source_nat_address == "10.98.0.9"
        assert names.router("net") == "net-router"
        assert NS == "team-a"


@virtual
async def test_claims_of_a_network_that_was_torn_away_are_given_back() -> None:
    async with world() as cloud:
        for again in (False, True):
            await cloud.network()
            await cloud.settle()
            await cloud.kill()
            body = cloud.server.read(NETWORK, Key(NS, "net"))
            assert body is not None
            await cloud.user.finalize(NETWORK, NETWORK.parse(body).meta, ())
            cloud.delete(NETWORK, "net")
            if again:
                await cloud.network()
            await cloud.start()
            await cloud.settle(60)
            owners = {claim.spec.owner.uid for claim in cloud.all(CLAIM)}
            assert owners == ({cloud.must(NETWORK, "net").meta.uid} if again else set())
            assert len(cloud.all(CLAIM)) == (2 if again else 0)
        assert cloud.ready(NETWORK, "net")[0] == "True"


@virtual
async def test_a_router_deleted_by_hand_is_made_again_with_the_same_ledger() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("a", "h2")
        await cloud.guest("b", "h3", ip="10.1.1.9")
        await cloud.settle()
        before = cloud.must(ROUTER, "net-router")
        cloud.delete(ROUTER, "net-router")
        await cloud.settle()
        after = cloud.must(ROUTER, "net-router")
        assert after.meta.uid != before.meta.uid
        assert after.spec.reservations == before.spec.reservations
        assert after.spec.uplink == before.spec.uplink
        assert cloud.ready(NETWORK, "net")[0] == "True"


@virtual
async def test_a_router_is_made_anew_once_when_its_network_asks_for_it() -> None:
    async with world() as cloud:
        await cloud.network()
        await cloud.guest("a", "h2")
        await cloud.settle()
        before = cloud.must(ROUTER, "net-router")
        await cloud.network(restartRequest=1)
        await cloud.settle()
        after = cloud.must(ROUTER, "net-router")
        assert after.meta.uid != before.meta.uid
        assert (after.spec.reservations, after.spec.uplink) == (before.spec.reservations, before.spec.uplink)
        assert cloud.ready(NETWORK, "net")[0] == "True"
        assert cloud.must(NETWORK, "net").status.restart_observed == 1
        await cloud.settle(700)
        assert cloud.must(ROUTER, "net-router").meta.uid == after.meta.uid


@virtual
async def test_a_new_network_begins_with_its_wish_granted() -> None:
    async with world() as cloud:
        await cloud.network(restartRequest=3)
        await cloud.settle()
        first = cloud.must(ROUTER, "net-router")
        assert cloud.must(NETWORK, "net").status.restart_observed == 3
        await cloud.settle(60)
        assert cloud.must(ROUTER, "net-router").meta.uid == first.meta.uid
