"""The ports of a host: the difference between rules, and who hears what."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.network.links import parse
from agents.network.netlink import deleted_devices, tables_with_less
from agents.network.ports import guard
from agents.network.ports.model import Binding, Seen, Tables, Wanted
from agents.network.ports.plan import made, plan, verdicts
from agents.network.rules import Listed, Table, difference, listed
from operators.contract.codec import Json
from operators.contract.meta import Meta, Obj, ObjectRef
from operators.contract.networking import PORT_BINDING, HostSideStatus, PortBindingSpec
from operators.kernel.outcome import Done, Retry


def binding(number: int, *, deleting: bool = False, **spec: str) -> Binding:
    meta = Meta(f"b{number}", "ns", uid=f"u{number}", deletion_timestamp="2026-11-21T12:00:00Z" if deleting else "")
    values = {
        "bridge": "csbr7",
        "tap": f"cst{number:010x}",
        "mac": f"06:00:00:00:00:{number:02x}",
        "ip": f"10.1.1.{number}",
    }
    ref = ObjectRef("x", "u")
    body = PortBindingSpec(host_name="n1", port=ref, network=ref, host_network="net-1", **(values | spec))
    return Obj(PORT_BINDING, meta, body, HostSideStatus())


class Nft:
    """What nftables does with our commands, in memory."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], list[Json]] = {}

    def do(self, commands: Iterable[Json]) -> None:
        for command in commands:
            ((verb, target),) = command.items()
            ((what, body),) = target.items()
            if what == "table":
                where = (body["family"], body["name"])
                if verb == "delete":
                    del self.tables[where]
                else:
                    self.tables.setdefault(where, [{"table": dict(body)}])
            elif what == "element":
                entries = self.tables[(body["family"], body["table"])]
                there = next(e["set"] for e in entries if e.get("set", {}).get("name") == body["name"])
                elements = there.setdefault("elem", [])
                for each in body["elem"]:
                    (elements.append if verb == "add" else elements.remove)(each)
            else:
                self.tables[(body["family"], body["table"])].append({what: dict(body) | {"handle": 9}})

    def listed(self, family: str) -> Listed:
        return listed(self.tables.get((family, guard.TABLE), []))

    def seen(self, *devices: str) -> Seen:
        return Seen(Tables(self.listed("bridge"), self.listed("inet")), frozenset(devices))


def tables(nft: Nft, *bindings: Binding) -> None:
    for action in plan(Wanted(bindings), nft.seen())[0]:
        nft.do(action.commands)


def elements(nft: Nft, name: str) -> set[tuple[str, ...]]:
    return set(nft.listed("bridge").elements[name])


def test_from_nothing_both_tables_are_made_and_then_left_alone() -> None:
    nft = Nft()
    tables(nft, binding(2))
    assert elements(nft, "addresses") == {("cst0000000002", "06:00:00:00:00:02", "10.1.1.2")}
    assert plan(Wanted((binding(2),)), nft.seen()) == ([], Done())
    assert made(Wanted((binding(2),)), nft.seen()) == nft.seen().tables


def test_without_any_port_the_rules_are_there_all_the_same() -> None:
    nft = Nft()
    tables(nft)
    assert set(nft.tables) == {("bridge", "cloudstack"), ("inet", "cloudstack")}


def test_a_rule_that_somebody_changed_brings_the_whole_table_anew() -> None:
    nft = Nft()
    tables(nft, binding(2))
    nft.tables["bridge", "cloudstack"].pop()
    tables(nft, binding(2))
    assert plan(Wanted((binding(2),)), nft.seen()) == ([], Done())


def test_a_guest_that_no_object_stands_for_is_left_alone_as_long_as_its_tap_is_there() -> None:
    nft = Nft()
    tables(nft, binding(2, gateway="10.1.1.1"), binding(3))
    known = Wanted((binding(3),))
    tap = binding(2).spec.tap
    assert plan(known, nft.seen(tap))[0] == []
    assert made(known, nft.seen(tap)) == nft.seen().tables
    for action in plan(known, nft.seen())[0]:
        nft.do(action.commands)
    assert {each[0] for each in elements(nft, "macs")} == {binding(3).spec.tap}


def test_a_guest_finds_the_metadata_service_at_its_address_and_at_that_of_its_router() -> None:
    nft = Nft()
    tables(nft, binding(2, gateway="10.1.1.1"), binding(3))
    assert elements(nft, "metadata") == {
        ("cst0000000002", "169.254.169.254"),
        ("cst0000000002", "10.1.1.1"),
        ("cst0000000003", "169.254.169.254"),
    }
    (outcome,) = [each.outcome for each in verdicts(Wanted((binding(4, gateway="10.1.1.1 }"),)), nft.seen(), Done())]
    assert outcome.reason == "Invalid"


def test_one_that_is_deleted_is_let_through_no_more_tap_or_not() -> None:
    nft = Nft()
    tables(nft, binding(2))
    for action in plan(Wanted((binding(2, deleting=True),)), nft.seen(binding(2).spec.tap))[0]:
        nft.do(action.commands)
    assert elements(nft, "macs") == set()


Hosts = st.lists(st.tuples(st.integers(2, 9), st.booleans()), unique_by=lambda each: each[0], max_size=6)


@settings(max_examples=60, deadline=None)
@given(Hosts, Hosts)
def test_only_who_is_bound_may_pass_and_a_second_look_changes_nothing(
    first: list[tuple[int, bool]], then: list[tuple[int, bool]]
) -> None:
    nft = Nft()
    for numbers in (first, then):
        bindings = [binding(number, deleting=deleting) for number, deleting in numbers]
        tables(nft, *bindings)
        live = {f"cst{number:010x}" for number, deleting in numbers if not deleting}
        assert {tap for tap, _ in elements(nft, "macs")} == {tap for tap, *_ in elements(nft, "addresses")} == live
        assert plan(Wanted(tuple(bindings)), nft.seen())[0] == []


def test_each_hears_how_it_ended_for_itself() -> None:
    bad = binding(4, mac='06:00:00:00:00:04" }')
    there, waits, going = binding(2), binding(3, bridge="csbr9"), binding(5, deleting=True)
    want = Wanted((there, waits, bad, going))
    seen = Nft().seen("csbr7")
    said = [each.outcome for each in verdicts(want, seen, Done())]
    assert [(type(each).__name__, each.reason) for each in said] == [
        ("Done", "AsSpecified"),
        ("Blocked", "WaitingForNetwork"),
        ("Rejected", "Invalid"),
        ("Done", "Released"),
    ]
    failed = Retry("NetworkError", "nft on the host failed")
    assert [each.outcome for each in verdicts(Wanted((there, going)), seen, failed)] == [failed, failed]
    nft = Nft()
    tables(nft, there, bad)
    assert len(elements(nft, "macs")) == 1


def test_a_table_of_another_family_or_name_is_no_concern() -> None:
    commands = difference(Table("bridge", "cloudstack"), Listed())
    tables_named = [next(iter(command.values()))["table"] for command in commands]
    assert {(each["family"], each["name"]) for each in tables_named} == {("bridge", "cloudstack")}


def test_what_the_kernel_says_of_a_deleted_device() -> None:
    name = b"csbr7\0"
    attribute = (4 + len(name)).to_bytes(2, "little") + (3).to_bytes(2, "little") + name + b"\0\0"
    other = (8).to_bytes(2, "little") + (4).to_bytes(2, "little") + bytes(4)

    def message(type_: int) -> bytes:
        body = bytes(16) + other + attribute
        head = (16 + len(body)).to_bytes(4, "little") + type_.to_bytes(2, "little") + bytes(10)
        return head + body

    assert list(deleted_devices(message(16) + message(17) + message(17))) == ["csbr7", "csbr7"]
    assert list(deleted_devices(message(17)[:30])) == []
    assert list(deleted_devices(b"")) == []


def test_what_the_kernel_says_of_deleted_rules() -> None:
    name = b"cloudstack\0"
    attribute = (4 + len(name)).to_bytes(2, "little") + (1).to_bytes(2, "little") + name + b"\0"

    def message(kind: int) -> bytes:
        body = bytes(4) + attribute
        return (16 + len(body)).to_bytes(4, "little") + (10 << 8 | kind).to_bytes(2, "little") + bytes(10) + body

    assert tables_with_less(message(12)) == frozenset()
    assert tables_with_less(message(12) + message(14)) == {"cloudstack"}


def test_what_ip_lists() -> None:
    found = parse(
        [
            {
                "ifname": "csvx7",
                "flags": ["BROADCAST", "UP"],
                "mtu": 1450,
                "master": "csbr7",
                "address": "06:00:00:00:00:01",
                "linkinfo": {
                    "info_kind": "vxlan",
                    "info_data": {"id": 7, "local": "10.99.0.1", "port": 4789, "learning": True},
                },
                "inet6_addr_gen_mode": "none",
                "addr_info": [
                    {"family": "inet", "local": "10.1.1.1", "prefixlen": 24},
                    {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
                ],
            }
        ]
    )
    link = found["csvx7"]
    assert (link.kind, link.master, link.mtu, link.up, link.quiet) == ("vxlan", "csbr7", 1450, True, True)
    assert link.addresses == ("10.1.1.1/24",)
    assert link.vxlan is not None
    assert (link.vxlan.id, link.vxlan.local) == (7, "10.99.0.1")
