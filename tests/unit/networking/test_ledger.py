"""The ledger of addresses: rules as a table, and what holds whatever comes and goes."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.contract.meta import Meta, Obj
from operators.contract.networking import PORT, DhcpRange, NetworkSpec, PortSpec, PortStatus
from operators.networking import ledger
from operators.networking.ledger import PortObj

SMALL = ledger.pool(NetworkSpec("10.1.1.0/29"))


def port(uid: str, *, ip: str = "", mac: str = "", had: str = "", deleting: bool = False) -> PortObj:
    meta = Meta(f"port-{uid}", "ns", uid=uid, deletion_timestamp="2026-11-21T12:00:00Z" if deleting else "")
    return Obj(PORT, meta, PortSpec("net", ip=ip, mac=mac), PortStatus(ip=had))


@pytest.mark.parametrize(
    ("spec", "gateway", "first", "last"),
    [
        (NetworkSpec("10.1.1.0/24"), "10.1.1.1/24", "10.1.1.1", "10.1.1.254"),
        (NetworkSpec("10.1.1.0/24", gateway="10.1.1.254"), "10.1.1.254/24", "10.1.1.1", "10.1.1.254"),
        (NetworkSpec("10.0.0.0/8", dhcp_range=DhcpRange("10.9.0.0", "10.9.0.7")), "10.0.0.1/8", "10.9.0.0", "10.9.0.7"),
    ],
)
def test_what_a_network_has(spec: NetworkSpec, gateway: str, first: str, last: str) -> None:
    pool = ledger.pool(spec)
    assert (pool.gateway_with_prefix, str(pool.first), str(pool.last)) == (gateway, first, last)


def test_an_address_that_was_named_is_not_chosen_for_another() -> None:
    held, refused = ledger.reserve(SMALL, (), [port("a"), port("b", ip="10.1.1.2")])
    assert not refused
    assert {each.port.uid: each.ip for each in held} == {"b": "10.1.1.2", "a": "10.1.1.3"}


def test_a_ledger_that_was_lost_is_written_again_from_what_the_ports_say() -> None:
    held, _ = ledger.reserve(SMALL, (), [port("a"), port("b", had="10.1.1.2")])
    assert {each.port.uid: each.ip for each in held} == {"b": "10.1.1.2", "a": "10.1.1.3"}


def test_a_mac_address_that_is_taken_is_not_chosen() -> None:
    (first,), _ = ledger.reserve(SMALL, (), [port("a")])
    held, _ = ledger.reserve(SMALL, (), [port("b", mac=first.mac), port("a")])
    assert len({each.mac for each in held}) == 2


Ports = st.lists(
    st.builds(
        port,
        st.text("abcdefgh", min_size=1, max_size=2),
        ip=st.sampled_from(["", "", "", "10.1.1.2", "10.1.1.3", "10.1.1.9"]),
        deleting=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda each: each.meta.uid,
)


@settings(max_examples=60, deadline=None)
@given(Ports, Ports)
def test_addresses_have_one_owner_and_owners_keep_theirs(first: list[PortObj], then: list[PortObj]) -> None:
    before, _ = ledger.reserve(SMALL, (), first)
    freed = frozenset(each.meta.uid for each in then if each.meta.deleting)
    after, refused = ledger.reserve(SMALL, before, then, freed)
    assert len({each.ip for each in after}) == len({each.mac for each in after}) == len(after)
    assert all(IPv4Address(each.ip) in SMALL.network and each.ip != "10.1.1.1" for each in after)
    kept = {each.port.uid: each.ip for each in before if each.port.uid not in freed}
    assert kept.items() <= {each.port.uid: each.ip for each in after}.items()
    live = {each.meta.uid for each in then if not each.meta.deleting}
    assert live == {each.port.uid for each in after} & live | {each.port for each in refused}
    assert ledger.reserve(SMALL, after, then, freed)[0] == after
