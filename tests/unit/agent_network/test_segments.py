"""A segment on a host: what is done for what is found."""

from __future__ import annotations

import dataclasses

import pytest

from agents.network.links import Link, Vxlan
from agents.network.metadata.place import Place
from agents.network.rules import Rules
from agents.network.segments.model import Action, Close, Entries, Links, MakeNetns, Peers, Seen, Serve, Wanted
from agents.network.segments.plan import plan
from operators.contract.meta import Key, Meta, Obj, ObjectRef
from operators.contract.networking import HOST_NETWORK, HostNetworkSpec, HostSideStatus
from operators.kernel.outcome import Done, Rejected

SPEC = HostNetworkSpec(
    host_name="n1",
    network=ObjectRef("net", "u1"),
    segment_id=1005,
    bridge="csbr1005",
    vxlan="csvx1005",
    local="10.99.0.1",
    peers=("10.99.0.2", "10.99.0.3"),
)
BRIDGE = Link("csbr1005", "bridge", mtu=1450, up=True, quiet=True)
VXLAN = Link(
    "csvx1005", "vxlan", "csbr1005", mtu=1450, up=True, quiet=True, vxlan=Vxlan(1005, "10.99.0.1", 4789, learning=True)
)
PEERS = frozenset(SPEC.peers)
CABLE = Link("csmi1005", "veth", "csbr1005", mtu=1450, up=True, quiet=True)
SERVES = Place(netns=True, cable=CABLE, listening=True)
SERVE = Serve("csm1005", Key("ns", "net-1"))
MAKE_BRIDGE = (
    "link add csbr1005 mtu 1450 type bridge forward_delay 0 mcast_snooping 0",
    "link set csbr1005 addrgenmode none",
    "link set csbr1005 up",
)
MAKE_VXLAN = (
    "link add csvx1005 mtu 1450 type vxlan id 1005 local 10.99.0.1 dstport 4789 learning",
    "link set csvx1005 addrgenmode none master csbr1005 up",
)


def wanted(spec: HostNetworkSpec = SPEC, *, deleting: bool = False) -> Wanted:
    meta = Meta("net-1", "ns", uid="u2", deletion_timestamp="2026-11-21T12:00:00Z" if deleting else "")
    return Wanted(Obj(HOST_NETWORK, meta, spec, HostSideStatus()))


def but(link: Link, **changes: object) -> Link:
    return dataclasses.replace(link, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "actions"),
    [
        (Seen(None, None, frozenset()), [Links(MAKE_BRIDGE + MAKE_VXLAN), Peers("csvx1005", SPEC.peers)]),
        (Seen(BRIDGE, None, frozenset()), [Links(MAKE_VXLAN), Peers("csvx1005", SPEC.peers)]),
        (Seen(BRIDGE, VXLAN, PEERS), []),
        (Seen(BRIDGE, VXLAN, PEERS | {"10.99.0.9"}), [Peers("csvx1005", (), ("10.99.0.9",))]),
        (Seen(BRIDGE, VXLAN, frozenset({"10.99.0.2"})), [Peers("csvx1005", ("10.99.0.3",))]),
        (Seen(but(BRIDGE, up=False), VXLAN, PEERS), [Links(("link set csbr1005 up",))]),
        (Seen(BRIDGE, but(VXLAN, master=""), PEERS), [Links(("link set csvx1005 master csbr1005",))]),
        (Seen(BRIDGE, but(VXLAN, mtu=1500), PEERS), [Links(("link set csvx1005 mtu 1450",))]),
        (Seen(but(BRIDGE, quiet=False), VXLAN, PEERS), [Links(("link set csbr1005 addrgenmode none",))]),
        (
            # Another address of the host: a VXLAN device cannot be changed in that, and its entries go with it.
            Seen(BRIDGE, but(VXLAN, vxlan=Vxlan(1005, "10.99.0.7", 4789, learning=True)), PEERS),
            [Links(("link del csvx1005", *MAKE_VXLAN)), Peers("csvx1005", SPEC.peers)],
        ),
    ],
)
def test_what_is_done_for_what_is_found(seen: Seen, actions: list[Action]) -> None:
    served = dataclasses.replace(seen, metadata=SERVES)
    if seen.bridge is not None:
        assert plan(wanted(), served) == (actions, Done())
    found, outcome = plan(wanted(), seen)
    assert (found[: len(actions)], outcome) == (actions, Done())


@pytest.mark.parametrize(
    ("seen", "begins"),
    [
        (Place(), [MakeNetns("csm1005", leftover=False)]),
        (Place(leftover=True), [MakeNetns("csm1005", leftover=True)]),
        (Place(netns=True), []),
        # Killed before it was plugged in: what is behind the cable may not be whole.
        (Place(netns=True, cable=but(CABLE, up=False)), [Links(("link del csmi1005",))]),
        # Somebody deleted the namespace, which lives on as long as we listen in it.
        (
            Place(cable=CABLE, listening=True),
            [Close("csm1005"), Links(("link del csmi1005",)), MakeNetns("csm1005", leftover=False)],
        ),
    ],
)
def test_a_metadata_service_that_is_not_whole_is_made_anew_and_plugged_in_last(
    seen: Place, begins: list[Action]
) -> None:
    actions, _ = plan(wanted(), Seen(BRIDGE, VXLAN, PEERS, seen))
    assert actions[: len(begins)] == begins
    rest = actions[len(begins) :]
    assert isinstance(rest[0], Rules)
    assert [type(each) for each in rest[1:]] == [Links, Links, Links, Entries, Links, Serve]
    assert rest[-2:] == [Links(("link set csmi1005 up",)), SERVE]


def test_a_new_agent_serves_where_the_last_one_did() -> None:
    stands = dataclasses.replace(SERVES, listening=False)
    assert plan(wanted(), Seen(BRIDGE, VXLAN, PEERS, stands)) == ([SERVE], Done())


def test_the_metadata_service_goes_with_the_segment() -> None:
    actions, _ = plan(wanted(deleting=True), Seen(BRIDGE, VXLAN, PEERS, SERVES))
    lines = ("link del csmi1005", "link del csvx1005", "link del csbr1005", "netns del csm1005")
    assert actions == [Close("csm1005"), Links(lines)]


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (Seen(BRIDGE, VXLAN, PEERS), ("link del csvx1005", "link del csbr1005")),
        (Seen(BRIDGE, None, frozenset()), ("link del csbr1005",)),
        (Seen(None, None, frozenset()), ()),
    ],
)
def test_what_is_left_is_cleared_away(seen: Seen, lines: tuple[str, ...]) -> None:
    actions, outcome = plan(wanted(deleting=True), seen)
    assert actions == ([Links(lines)] if lines else [])
    assert isinstance(outcome, Done)


@pytest.mark.parametrize(
    "spec",
    [
        {"bridge": "br0\nlink del eth0"},
        {"vxlan": "a b"},
        {"bridge": ".."},
        {"local": "10.99.0.1 dev eth0"},
        {"peers": ("10.99.0.2\n",)},
    ],
)
def test_nothing_is_done_with_what_is_no_name_or_address(spec: dict[str, object]) -> None:
    actions, outcome = plan(wanted(dataclasses.replace(SPEC, **spec)), Seen(None, None, frozenset()))  # type: ignore[arg-type]
    assert actions == []
    assert isinstance(outcome, Rejected)
