"""A router on a host: what is done for what is found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agents.network.links import Link
from agents.network.routers import filter as rules
from agents.network.routers import serving
from agents.network.routers.act import gratuitous_arp
from agents.network.routers.dnsmasq import leave_pod, outside_of_pods, release_message
from agents.network.routers.model import (
    Announce,
    Clear,
    Devices,
    Files,
    Forward,
    Ip,
    MakeNetns,
    Reload,
    Seen,
    Service,
    Start,
    Stop,
    Wanted,
)
from agents.network.routers.plan import plan
from agents.network.rules import Listed, Rules, difference, listed
from operators.contract.meta import Meta, Obj, ObjectRef
from operators.contract.networking import ROUTER, HostSideStatus, Reservation, RouterSpec, Uplink
from operators.kernel.outcome import Blocked, Done, Rejected, Retry

STATE = Path("/state/csr7")
UPLINK = Uplink("cloudbr1", "10.98.0.10/24", "10.98.0.254")
SPEC = RouterSpec(
    host_name="n1",
    network=ObjectRef("net", "u1"),
    segment_id=7,
    netns="csr7",
    bridge="csbr7",
    gateway="10.1.1.1/24",
    domain="net.team-a.internal",
    uplink=UPLINK,
    reservations=(Reservation(ObjectRef("p", "u2"), "06:00:00:00:00:01", "10.1.1.2", "web"),),
)
HOST = {name: Link(name, "bridge", up=True) for name in ("csbr7", "cloudbr1")}


def wanted(spec: RouterSpec = SPEC, *, deleting: bool = False) -> Wanted:
    meta = Meta("net-router", "ns", uid="u3", deletion_timestamp="2026-11-21T12:00:00Z" if deleting else "")
    return Wanted(Obj(ROUTER, meta, spec, HostSideStatus()), STATE)


def right(spec: RouterSpec = SPEC) -> Devices:
    """What the kernel has once all is done."""
    outer = HOST | {
        "csri7": Link("csri7", "veth", "csbr7", mtu=1450, up=True, quiet=True),
        "csrp7": Link("csrp7", "veth", "cloudbr1", mtu=1500, up=True, quiet=True),
    }
    inner = {
        "lo": Link("lo", "", up=True),
        "eth0": Link("eth0", "veth", mtu=1450, up=True, quiet=True, addresses=("10.1.1.1/24",)),
        "eth1": Link("eth1", "veth", mtu=1500, up=True, quiet=True, addresses=("10.98.0.10/24",)),
    }
    return Devices(True, False, outer, inner, "10.98.0.254", True, found(spec))


def found(spec: RouterSpec) -> Listed:
    """The router's rules, as nft would list what we ask it for."""
    entries = [command["add"] for command in difference(rules.table(spec), Listed())[2:]]
    return listed([{kind: body | {"handle": 5} for kind, body in entry.items()} for entry in entries])


def serves(spec: RouterSpec = SPEC, pid: int = 99) -> Service:
    return Service(pid, serving.files(spec, STATE), folder=True)


def kinds(actions: list[object]) -> list[type]:
    return [type(action) for action in actions]


def test_from_nothing_a_router_is_made_in_one_go() -> None:
    actions, outcome = plan(wanted(), Seen(Devices(False, False, HOST), Service(0, {})))
    assert kinds(actions) == [MakeNetns, Ip, Ip, Forward, Rules, Announce, Announce, Files, Start]
    outer, inner = (action for action in actions if isinstance(action, Ip))
    want = wanted()
    assert outer.lines == (
        f"link add csri7 mtu 1450 type veth peer name eth0 address {want.mac('eth0')} mtu 1450 netns csr7",
        "link set csri7 addrgenmode none",
        "link set csri7 master csbr7 up",
        f"link add csrp7 type veth peer name eth1 address {want.mac('eth1')} netns csr7",
        "link set csrp7 addrgenmode none",
        "link set csrp7 master cloudbr1 up",
    )
    assert inner == Ip(
        (
            "link set lo up",
            "link set eth0 addrgenmode none",
            "addr add 10.1.1.1/24 dev eth0",
            "link set eth0 up",
            "link set eth1 addrgenmode none",
            "addr add 10.98.0.10/24 dev eth1",
            "link set eth1 up",
            "route replace default via 10.98.0.254 dev eth1",
        ),
        "csr7",
    )
    assert outcome == Done()


def test_what_is_right_is_left_alone() -> None:
    assert plan(wanted(), Seen(right(), serves())) == ([], Done())
    assert plan(wanted(), Seen(None, serves())) == ([], Done())


def test_a_router_waits_for_its_bridge() -> None:
    actions, outcome = plan(wanted(), Seen(Devices(False, False, {}), Service(0, {})))
    assert actions == []
    assert isinstance(outcome, Blocked)
    assert outcome.reason == "WaitingForNetwork"


def test_without_the_uplinks_bridge_all_else_is_made_and_it_says_what_to_do() -> None:
    actions, outcome = plan(wanted(), Seen(Devices(False, False, {"csbr7": HOST["csbr7"]}), Service(0, {})))
    assert Start in kinds(actions)
    assert not any("csrp7" in str(action) for action in actions)
    assert isinstance(outcome, Retry)
    assert "make the bridge cloudbr1 on host n1" in outcome.message


def test_an_uplink_that_is_no_more_is_pulled() -> None:
    spec = dataclasses.replace(SPEC, uplink=None)
    actions, _ = plan(wanted(spec), Seen(right(), serves(spec)))
    assert actions[0] == Ip(("link del csrp7",))
    assert kinds(actions) == [Ip, Rules]


def test_another_public_address_replaces_the_first_and_is_announced() -> None:
    spec = dataclasses.replace(SPEC, uplink=dataclasses.replace(UPLINK, address="10.98.0.11/24"))
    actions, _ = plan(wanted(spec), Seen(right(), serves(spec)))
    assert actions[0] == Ip(
        (
            "addr del 10.98.0.10/24 dev eth1",
            "addr add 10.98.0.11/24 dev eth1",
            "route replace default via 10.98.0.254 dev eth1",
        ),
        "csr7",
    )
    assert isinstance(actions[-1], Announce)
    assert actions[-1].address == "10.98.0.11"


def test_a_lost_cable_is_plugged_in_again_and_the_server_started_anew() -> None:
    devices = right()
    outer = {name: link for name, link in devices.outer.items() if name != "csri7"}
    inner = {name: link for name, link in devices.inner.items() if name != "eth0"}
    seen = Seen(dataclasses.replace(devices, outer=outer, inner=inner), serves())
    assert kinds(plan(wanted(), seen)[0]) == [Ip, Ip, Announce, Stop, Start]


def test_a_new_port_is_two_files_and_a_gone_one_is_forgotten() -> None:
    more = (*SPEC.reservations, Reservation(ObjectRef("q", "u4"), "06:00:00:00:00:02", "10.1.1.3", "db"))
    both = dataclasses.replace(SPEC, reservations=more)
    actions, _ = plan(wanted(both), Seen(None, serves()))
    new = {"hosts.d/06-00-00-00-00-02": "06:00:00:00:00:02,10.1.1.3,db\n", "names.d/06-00-00-00-00-02": "10.1.1.3 db\n"}
    assert actions == [Files(STATE, new)]
    actions, _ = plan(wanted(), Seen(None, serves(both)))
    assert actions == [
        Files(STATE, {}, tuple(sorted(new))),
        Reload(99, "csr7", "10.1.1.1", (("06:00:00:00:00:02", "10.1.1.3"),)),
    ]


def test_a_server_that_ended_is_started_and_one_with_another_configuration_restarted() -> None:
    assert plan(wanted(), Seen(None, serves(pid=0)))[0] == [Start("csr7", STATE)]
    other = dataclasses.replace(SPEC, dns=("10.0.0.53",))
    assert kinds(plan(wanted(other), Seen(right(), serves()))[0]) == [Stop, Files, Start]


def test_a_host_name_that_is_none_never_reaches_a_file() -> None:
    bad = Reservation(ObjectRef("p", "u2"), "06:00:00:00:00:01", "10.1.1.2", "web\n10.1.1.9 bank")
    files = serving.files(dataclasses.replace(SPEC, reservations=(bad,)), STATE)
    assert files["hosts.d/06-00-00-00-00-01"] == "06:00:00:00:00:01,10.1.1.2\n"
    assert "names.d/06-00-00-00-00-01" not in files


@pytest.mark.parametrize(
    "spec",
    [
        {"domain": "x\nserver=1.1.1.1"},
        {"dns": ("10.0.0.1\n",)},
        {"netns": "../x"},
        {"reservations": (Reservation(ObjectRef("p", "u"), "06:00:00:00:00:01,x", "10.1.1.2", ""),)},
    ],
)
def test_nothing_is_done_with_what_is_no_name_or_address(spec: dict[str, object]) -> None:
    actions, outcome = plan(wanted(dataclasses.replace(SPEC, **spec)), Seen(None, serves()))  # type: ignore[arg-type]
    assert actions == []
    assert isinstance(outcome, Rejected)


def test_all_of_it_is_cleared_away_and_nothing_twice() -> None:
    actions, outcome = plan(wanted(deleting=True), Seen(right(), serves()))
    assert actions == [Stop(99), Ip(("link del csri7", "link del csrp7")), Ip(("netns del csr7",)), Clear(STATE)]
    assert outcome == Done("Released")
    assert plan(wanted(deleting=True), Seen(Devices(False, False, HOST), Service(0, {})))[0] == []


def test_the_gateway_keeps_its_mac_address_wherever_the_router_is() -> None:
    there = dataclasses.replace(SPEC, host_name="n2")
    assert wanted().mac("eth0") == wanted(there).mac("eth0")
    assert wanted().mac("eth0") != wanted().mac("eth1")


def test_reservations_are_no_part_of_the_frame() -> None:
    assert wanted().frame == wanted(dataclasses.replace(SPEC, reservations=())).frame
    assert wanted().frame != wanted(dataclasses.replace(SPEC, dns=("10.0.0.53",))).frame


def test_the_messages_on_the_wire() -> None:
    release = release_message("06:00:00:00:00:01", "10.1.1.2", "10.1.1.1")
    assert len(release) == 300
    assert release[12:16] == bytes([10, 1, 1, 2])
    assert release[28:34] == bytes.fromhex("060000000001")
    assert release[236:250] == bytes.fromhex("63825363 350107 3604 0a010101 ff".replace(" ", ""))
    arp = gratuitous_arp("06:00:00:00:00:01", "10.98.0.10")
    assert arp == bytes.fromhex(
        "ffffffffffff 060000000001 0806 0001080006040001 060000000001 0a62000a 000000000000 0a62000a".replace(" ", "")
    )


@pytest.mark.parametrize(
    ("path", "outside"),
    [
        ("/kubepods/burstable/pod1/abc", "/cloudstack-network"),
        ("/kubepods.slice/kubepods-pod1.slice/cri-abc.scope", "/cloudstack-network"),
        ("/cloudstack-dev/node1/kubepods/pod1/abc", "/cloudstack-dev/node1/cloudstack-network"),
        ("/kubelet.slice/kubelet-kubepods.slice/x", "/kubelet.slice/cloudstack-network"),
        ("/user.slice/session-1.scope", ""),
        ("/", ""),
    ],
)
def test_where_a_process_outlives_its_pod(path: str, outside: str) -> None:
    assert outside_of_pods(path) == outside


def test_a_process_leaves_every_tree_of_control_groups(tmp_path: Path) -> None:
    for tree in ("memory", "cpuset", "unified"):
        (tmp_path / tree).mkdir()
        (tmp_path / tree / "cloudstack-network").mkdir()
    for name in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / "cpuset" / name).write_text("0-1\n")
        (tmp_path / "cpuset" / "cloudstack-network" / name).write_text("\n")
    own = "3:memory:/kubepods/p/c\n2:cpuset:/kubepods/p/c\n1:name=systemd:/user\n0::/kubepods/p/c\n"
    assert leave_pod(42, own, tmp_path) == ""
    for tree in ("memory", "cpuset", "unified"):
        assert (tmp_path / tree / "cloudstack-network" / "cgroup.procs").read_text() == "42"
    assert (tmp_path / "cpuset" / "cloudstack-network" / "cpuset.cpus").read_text() == "0-1\n"
    assert "No such file" in leave_pod(42, own, tmp_path / "nowhere")
