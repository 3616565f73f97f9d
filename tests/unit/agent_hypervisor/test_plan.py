"""The agent's plan as a table, and the property that a repeated plan settles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.hypervisor.driver import Attached, DiskDevice, Domain, NicDevice, Record, medium
from agents.hypervisor.model import (
    AskToEnd,
    Attach,
    AttachNic,
    Clear,
    CutPower,
    Detach,
    DetachNic,
    Grow,
    Keep,
    Leaving,
    Mirror,
    Part,
    Pivot,
    Resize,
    Resume,
    Seen,
    Start,
    Suspend,
    Throttle,
    Unmirror,
    Unpause,
    Wanted,
    WriteSeed,
)
from agents.hypervisor.plan import plan, silent
from operators.contract.compute import Power
from operators.contract.instances import INSTANCE, CloudInit, InstanceSpec, InstanceStatus
from operators.contract.meta import Meta, Obj, ObjectRef
from operators.contract.quantity import Quantity
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

SPEC = InstanceSpec(
    "a", ObjectRef("web", "vm-uid"), "team-a-web", 1, Quantity(128 << 20), cloud_init=CloudInit("vm-uid", "web")
)
RECORD = Record("instance-uid", 0, 0, "boot-1", "2026-11-21T12:00:00Z", cpus=1, memory=128 << 20)
ROOT = DiskDevice("/pool/web.qcow2", "web-root", size=1 << 30)
DATA = DiskDevice("/pool/data.qcow2", "data", size=1 << 30)
HAS = (Attached("vda", ROOT),)
ETH0 = NicDevice("csbr1", "cst1", "02:00:00:00:00:01", 1450)
ETH1 = NicDevice("csbr2", "cst2", "02:00:00:00:00:02", 1450)
NIC = Part("web-nic0-x", ETH0, port="web-nic0")
DB = Part("web-db-x", ETH1, port="web-db")
UP = Domain("vm-uid", "team-a-web", Power.RUNNING, record=RECORD, disks=HAS, nics=(ETH0,))
TWO = replace(UP, nics=(ETH0, ETH1))
OWNERS = {"cst1": "web-nic0", "cst2": "web-db"}
OFF = replace(UP, power=Power.STOPPED, stop_reason="Crashed")
DISK = Part("web-root-d0", ROOT, "web-root")
MORE = Part("data-d0", DATA, "data")
PAUSED = replace(UP, power=Power.PAUSED, pause_reason="User", record=replace(RECORD, paused=True))
READY = Seen(boot="boot-1", now="2026-11-21T12:00:01Z", disks=(DISK,), nics=(NIC,), seed="s", seed_wanted="s")


def wanted(deleting: bool = False, **spec: Any) -> Wanted:
    meta = Meta("web-x", "team-a", "instance-uid", deletion_timestamp="2026-11-21T12:00:00Z" if deleting else "")
    return Wanted(Obj(INSTANCE, meta, replace(SPEC, **spec), InstanceStatus()))


def record(**fields: Any) -> Record:
    return replace(RECORD, **fields)


def changed(**fields: Any) -> Part:
    return replace(DISK, device=replace(ROOT, **fields))


BOTH = replace(UP, disks=(*HAS, Attached("vdb", DATA)))
OTHER = Part("data-d0", replace(DATA, path="/pool/other.qcow2"), "data")
ELSEWHERE = replace(ROOT, path="/other/web.qcow2")
LARGER = replace(ROOT, size=2 << 30)
MOVES = replace(DISK, move=ELSEWHERE)
MOVED = Part("web-root-to", ELSEWHERE, "web-root")


def has(disk: DiskDevice, mirror: str = "", ready: bool = False) -> Domain:
    return replace(UP, disks=(Attached("vda", disk, mirror, ready),))


def copying(ready: bool = False) -> Domain:
    return has(ROOT, ELSEWHERE.path, ready)


CD = DiskDevice("/pool/cd.qcow2", medium("/pool/cd.qcow2"), cdrom=True)
CD2 = DiskDevice("/pool/cd2.qcow2", medium("/pool/cd2.qcow2"), cdrom=True)
READS = replace(UP, disks=(*HAS, Attached("sdb", replace(CD, size=1 << 20))))
STOPPED = {"power": Power.STOPPED}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[type], str]] = [
    # name, Instance.spec, what is seen, actions, outcome
    ("first start", {}, {}, [Start], "Starting"),
    ("seed first", {}, {"seed": ""}, [WriteSeed, Start], "Starting"),
    ("seed while waiting", {}, {"seed": "", "disks": (Part("d0", why="fetching"),)}, [WriteSeed], "WaitingForVolumes"),
    ("no disk yet", {}, {"disks": (Part("d0"),)}, [], "WaitingForVolumes"),
    ("no port yet", {}, {"nics": (Part("p0"),)}, [], "WaitingForNetwork"),
    ("start failed a moment ago", {}, {"hold": 3.0, "failure": "no bridge"}, [], "HypervisorError"),
    ("runs", {}, {"domain": UP}, [], "Running"),
    ("a disk comes", {}, {"domain": UP, "disks": (DISK, MORE)}, [Attach], "Attaching"),
    ("a disk is not ready", {}, {"domain": UP, "disks": (DISK, replace(MORE, device=None))}, [], "Attaching"),
    ("a disk it has is not ready", {}, {"domain": UP, "disks": (replace(DISK, device=None),)}, [], "Running"),
    ("a disk goes", {}, {"domain": BOTH}, [Detach], "Detaching"),
    ("a disk goes that was asked for", {}, {"domain": BOTH, "leaving": {"data": Leaving(3, 3)}}, [], "Detaching"),
    ("a disk is asked for again", {}, {"domain": BOTH, "leaving": {"data": Leaving(11, 11)}}, [Detach], "Detaching"),
    ("the guest keeps a disk", {}, {"domain": BOTH, "leaving": {"data": Leaving(35, 5)}}, [], "DetachRefused"),
    ("one comes, one goes", {}, {"domain": UP, "disks": (MORE,)}, [Attach, Detach], "Attaching"),
    ("another disk of that name", {}, {"domain": BOTH, "disks": (DISK, OTHER)}, [Detach], "Detaching"),
    ("a CD comes", {}, {"domain": UP, "disks": (DISK, Part("cd-d0", CD, CD.serial))}, [Attach], "Attaching"),
    ("a CD is in the drive", {}, {"domain": READS, "disks": (DISK, Part("cd-d0", CD, CD.serial))}, [], "Running"),
    ("another CD", {}, {"domain": READS, "disks": (DISK, Part("cd2-d0", CD2, CD2.serial))}, [Attach], "Attaching"),
    ("a CD goes", {}, {"domain": READS}, [Detach], "Detaching"),
    ("a NIC comes", {}, {"domain": UP, "nics": (NIC, DB)}, [AttachNic], "Attaching"),
    ("a NIC is not ready", {}, {"domain": UP, "nics": (NIC, replace(DB, device=None)), "owners": OWNERS}, [], "Attaching"),
    ("a NIC it has is not ready", {}, {"domain": TWO, "nics": (NIC, replace(DB, device=None)), "owners": OWNERS}, [], "Running"),
    ("a NIC goes", {}, {"domain": TWO, "owners": OWNERS}, [DetachNic], "Detaching"),
    ("the only NIC goes", {}, {"domain": UP, "nics": (), "owners": OWNERS}, [DetachNic], "Detaching"),
    ("a NIC goes that nobody knows", {}, {"domain": TWO}, [DetachNic], "Detaching"),
    ("one that may be what is not ready stays", {}, {"domain": TWO, "nics": (NIC, replace(DB, device=None))}, [], "Attaching"),
    ("one goes while another is not ready", {}, {"domain": TWO, "nics": (replace(NIC, device=None),), "owners": OWNERS}, [DetachNic], "Detaching"),
    ("another Port of that name", {}, {"domain": UP, "nics": (replace(NIC, device=ETH1),), "owners": OWNERS}, [AttachNic, DetachNic], "Attaching"),
    ("another Port of that name and MAC", {}, {"domain": UP, "nics": (replace(NIC, device=replace(ETH0, tap="cst3")),), "owners": OWNERS}, [DetachNic], "Detaching"),
    ("a NIC goes that was asked for", {}, {"domain": TWO, "leaving": {"cst2": Leaving(3, 3)}}, [], "Detaching"),
    ("a NIC is asked for again", {}, {"domain": TWO, "leaving": {"cst2": Leaving(11, 11)}}, [DetachNic], "Detaching"),
    ("the guest keeps a NIC", {}, {"domain": TWO, "leaving": {"cst2": Leaving(35, 5)}}, [], "DetachRefused"),
    ("a disk and a NIC go", {}, {"domain": replace(BOTH, nics=(ETH0, ETH1))}, [Detach, DetachNic], "Detaching"),
    ("NICs of a guest that ends", STOPPED, {"domain": TWO, "asked": 1.0}, [], "Stopping"),
    ("a disk grows", {}, {"domain": UP, "disks": (changed(size=2 << 30),)}, [Grow], "Attaching"),
    ("a disk is never cut", {}, {"domain": UP, "disks": (changed(size=1 << 20),)}, [], "Running"),
    ("a disk is limited", {}, {"domain": UP, "disks": (changed(iops=100),)}, [Throttle], "Attaching"),
    ("a disk is to move", {}, {"domain": UP, "disks": (MOVES,)}, [Mirror], "Attaching"),
    ("a disk is being copied", {}, {"domain": copying(), "disks": (MOVES,)}, [], "Moving"),
    ("a disk is copied", {}, {"domain": copying(ready=True), "disks": (MOVES,)}, [Pivot], "Attaching"),
    ("a disk has moved", {}, {"domain": has(ELSEWHERE), "disks": (MOVES,)}, [], "Running"),
    ("a disk has moved for good", {}, {"domain": has(ELSEWHERE), "disks": (MOVED,)}, [], "Running"),
    ("a copy broke off", {}, {"domain": UP, "disks": (MOVES,), "mirrored": {"web-root": 3.0}}, [], "StorageError"),
    ("a copy is begun anew", {}, {"domain": UP, "disks": (MOVES,), "mirrored": {"web-root": 31.0}}, [Mirror], "Attaching"),
    ("a move is called off", {}, {"domain": copying()}, [Unmirror], "Attaching"),
    ("a disk grows once it is copied", {}, {"domain": copying(), "disks": (replace(MOVES, device=LARGER),)}, [], "Moving"),
    ("disks of a guest that ends", STOPPED, {"domain": BOTH, "asked": 1.0}, [], "Stopping"),
    ("ended by itself", {}, {"domain": OFF}, [], "Crashed"),
    ("shut itself down", {}, {"domain": replace(OFF, stop_reason="Shutdown")}, [], "Stopped"),
    ("asked to start again", {"start_request": 1}, {"domain": OFF}, [Start], "Starting"),
    ("start already done", {"start_request": 1}, {"domain": replace(OFF, record=record(start=1))}, [], "Crashed"),
    ("start cut off before it came about", {}, {"domain": replace(OFF, record=record(started_at=""))}, [Start], "Starting"),
    ("start cut off after it came about", {}, {"domain": replace(UP, record=record(started_at=""))}, [Keep], "Starting"),
    ("host booted", {}, {"domain": OFF, "boot": "boot-2"}, [Start], "Starting"),
    ("asked to start while it runs", {"start_request": 1}, {"domain": UP}, [Keep], "Starting"),
    ("runs without a record", {}, {"domain": replace(UP, record=None)}, [Keep], "Starting"),
    ("stop", STOPPED, {"domain": UP}, [AskToEnd], "Stopping"),
    ("stop was asked", STOPPED, {"domain": UP, "asked": 1.0}, [], "Stopping"),
    ("stop is repeated", STOPPED, {"domain": UP, "asked": 6.0}, [AskToEnd], "Stopping"),
    ("stop is overdue", STOPPED, {"domain": UP, "asked": 31.0}, [CutPower], "Stopping"),
    ("stop of a paused guest", STOPPED, {"domain": replace(UP, power=Power.PAUSED)}, [CutPower], "Stopping"),
    ("stopped", STOPPED, {"domain": OFF}, [], "Stopped"),
    ("stopped over a boot", STOPPED, {"domain": OFF, "boot": "boot-2"}, [], "Stopped"),
    ("never started", STOPPED, {}, [], "Stopped"),
    ("reboot", {"reboot_request": 1}, {"domain": UP}, [AskToEnd], "Stopping"),
    ("reboot, second half", {"reboot_request": 1}, {"domain": OFF}, [Start], "Starting"),
    ("reboot done", {"reboot_request": 1}, {"domain": replace(UP, record=record(reboot=1))}, [], "Running"),
    ("reset", {"reset_request": 1}, {"domain": UP}, [CutPower], "Starting"),
    ("reset of a paused guest", {"reset_request": 1}, {"domain": replace(UP, power=Power.PAUSED)}, [CutPower], "Starting"),
    ("reset, second half", {"reset_request": 1}, {"domain": replace(OFF, stop_reason="Destroyed")}, [Start], "Starting"),
    ("reset done", {"reset_request": 1}, {"domain": replace(UP, record=record(reset=1))}, [], "Running"),
    ("reset of a stopped guest", {"reset_request": 1} | STOPPED, {"domain": OFF}, [], "Stopped"),
    ("more processors", {"cpus": 2}, {"domain": UP}, [Resize], "Starting"),
    ("a record of an earlier release", {}, {"domain": replace(UP, record=record(cpus=0))}, [Resize], "Starting"),
    ("pause", {"paused": True}, {"domain": UP}, [Suspend], "Paused"),
    ("paused", {"paused": True}, {"domain": PAUSED}, [], "Paused"),
    ("pause after a move", {"paused": True}, {"domain": replace(UP, record=record(instance="other"))}, [Keep], "Starting"),
    ("goes on", {}, {"domain": PAUSED}, [Unpause], "Starting"),
    ("went on, unrecorded", {}, {"domain": replace(PAUSED, power=Power.RUNNING)}, [Keep], "Starting"),
    ("stop of what was paused here", STOPPED, {"domain": PAUSED}, [Unpause], "Stopping"),
    ("stop with its own deadline", STOPPED, {"domain": UP, "asked": 6.0, "deadline": 6.0}, [CutPower], "Stopping"),
    ("disk full", {}, {"domain": replace(UP, power=Power.PAUSED, pause_reason="IOError")}, [Resume], "StorageError"),
    ("suspended by hand", {}, {"domain": replace(UP, power=Power.PAUSED, pause_reason="User")}, [], "HypervisorError"),
    ("no libvirtd", {}, {"trouble": "libvirtd does not answer"}, [], "HypervisorError"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spec", "seen", "actions", "reason"), CASES, ids=[case[0] for case in CASES])
def test_plan(name: str, spec: dict[str, Any], seen: dict[str, Any], actions: list[type], reason: str) -> None:
    done, outcome = plan(wanted(**spec), replace(READY, **seen))
    assert ([type(each) for each in done], str(outcome.reason)) == (actions, reason)


@pytest.mark.parametrize(
    ("seen", "actions", "reason"),
    [
        ({"domain": UP, "console_exists": True}, [CutPower, Clear], "Deleting"),
        ({"domain": OFF}, [Clear], "Deleting"),
        ({"seed": "s"}, [Clear], "Deleting"),
        ({"seed": "", "console_exists": True}, [Clear], "Deleting"),
        ({"seed": ""}, [], "Released"),
        ({"seed": "", "trouble": "libvirtd does not answer"}, [], "HypervisorError"),
    ],
)
def test_deleting(seen: dict[str, Any], actions: list[type], reason: str) -> None:
    done, outcome = plan(wanted(deleting=True), replace(READY, **seen))
    assert ([type(each) for each in done], str(outcome.reason)) == (actions, reason)


@pytest.mark.parametrize(
    ("outcome", "waited", "quiet"),
    [
        (Done("Running"), 0.0, False),
        (Retry("Starting", "", 0.0), 9.0, True),
        (Retry("WaitingForVolumes", "", 1.0), 1.0, True),
        (Blocked("WaitingForVolumes", ""), 2.0, False),
        (Retry("HypervisorError", ""), 4.0, True),
        (Retry("HypervisorError", ""), 5.0, False),
        (Blocked("Crashed", ""), 0.0, False),
    ],
)
def test_what_is_on_its_way_is_not_said_at_once(outcome: Outcome, waited: float, quiet: bool) -> None:
    assert silent(outcome, Seen(waited=waited)) is quiet


@dataclass
class Host:
    """The effect of every action, without time: what the plan's next run sees."""

    seen: Seen
    starts: int = 0

    def do(self, action: object) -> None:
        domain = self.seen.domain
        match action:
            case WriteSeed():
                self.seen = replace(self.seen, seed=self.seen.seed_wanted)
            case Start(spec=spec):
                assert domain is None or not domain.active, "only what is off is started"
                self.starts += 1
                kept = replace(spec.record, started_at=self.seen.now)
                has = tuple(Attached(f"vd{number}", disk) for number, disk in enumerate(spec.disks))
                started = Domain(spec.uuid, spec.name, Power.RUNNING, record=kept, disks=has, nics=spec.nics)
                self.seen = replace(self.seen, domain=started, asked=None)
            case Keep(record=kept) | Resize(record=kept):
                assert domain
                self.seen = replace(self.seen, domain=replace(domain, record=kept))
            case AskToEnd() | CutPower():
                assert domain
                ended = replace(domain, power=Power.STOPPED, stop_reason="Shutdown")
                self.seen = replace(self.seen, domain=ended, asked=None)
            case Attach(disk=disk):
                assert domain
                has = (*domain.disks, Attached(f"vd{len(domain.disks)}", disk))
                self.seen = replace(self.seen, domain=replace(domain, disks=has))
            case Detach(target=target):
                assert domain
                has = tuple(each for each in domain.disks if each.target != target)
                self.seen = replace(self.seen, domain=replace(domain, disks=has))
            case AttachNic(nic=nic):
                assert domain and all(each.mac != nic.mac for each in domain.nics), "a MAC address has one device"
                self.seen = replace(self.seen, domain=replace(domain, nics=(*domain.nics, nic)))
            case DetachNic(tap=tap):
                assert domain
                left = tuple(each for each in domain.nics if each.tap != tap)
                self.seen = replace(self.seen, domain=replace(domain, nics=left))
            case Resume():
                assert domain
                self.seen = replace(self.seen, domain=replace(domain, power=Power.RUNNING))
            case Clear():
                self.seen = replace(self.seen, domain=None, seed="", console_exists=False)


records = st.none() | st.builds(
    Record,
    instance=st.just("instance-uid"),
    start=st.integers(0, 2),
    reboot=st.integers(0, 2),
    boot=st.sampled_from(["boot-1", "boot-2"]),
    started_at=st.sampled_from(["", "2026-11-21T12:00:00Z"]),
)
domains = st.none() | st.builds(
    Domain,
    uuid=st.just("vm-uid"),
    name=st.just("team-a-web"),
    power=st.sampled_from([Power.RUNNING, Power.STOPPED, Power.PAUSED]),
    stop_reason=st.sampled_from(["", "Crashed", "Shutdown"]),
    pause_reason=st.just("IOError"),
    record=records,
    nics=st.lists(st.sampled_from([ETH0, ETH1]), unique=True).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(
    domains,
    st.sampled_from([Power.RUNNING, Power.STOPPED]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["", "s", "old"]),
)
def test_a_repeated_plan_settles_with_one_start_at_most(
    domain: Domain | None, power: Power, start: int, reboot: int, deleting: bool, seed: str
) -> None:
    want = wanted(deleting=deleting, power=power, start_request=start, reboot_request=reboot)
    host = Host(replace(READY, domain=domain, seed=seed))
    for _ in range(10):
        actions, outcome = plan(want, host.seen)
        for action in actions:
            host.do(action)
        if not actions and not isinstance(outcome, Retry):
            break
    else:
        pytest.fail(f"does not settle: {host.seen.domain} {outcome}")
    assert host.starts <= 1
    left = host.seen.domain
    if deleting:
        assert left is None and not host.seen.seed
    elif power is Power.STOPPED:
        assert left is None or not left.active
    else:
        assert left is not None
        assert left.active or isinstance(outcome, Blocked), "what ended by itself waits to be asked for"
        assert left.record and left.record.boot == "boot-1"
        if left.active:
            assert (left.record.start >= start, left.record.reboot >= reboot) == (True, True)


def test_the_record_of_a_move_is_kept_before_the_guest_goes_over() -> None:
    (action,), _ = plan(wanted(), replace(READY, domain=copying(ready=True), disks=(MOVES,)))
    assert isinstance(action, Pivot) and action.record.moved == (("web-root", ELSEWHERE.path),)


@pytest.mark.parametrize(
    ("part", "moved", "path"),
    [
        (MOVES, (), ROOT.path),
        (MOVES, (("web-root", ELSEWHERE.path),), ELSEWHERE.path),
        (MOVES, (("web-root", "/third"),), ROOT.path),
        (MOVED, (("web-root", ELSEWHERE.path),), ELSEWHERE.path),
        (DISK, (("other", ELSEWHERE.path),), ROOT.path),
    ],
)
def test_a_guest_starts_from_the_disk_that_has_its_writes(part: Part, moved: Any, path: str) -> None:
    off = replace(OFF, record=record(moved=moved))
    actions, _ = plan(wanted(start_request=1), replace(READY, domain=off, disks=(part,)))
    (start,) = (action for action in actions if isinstance(action, Start))
    assert [disk.path for disk in start.spec.disks] == [path]


def test_a_domain_is_not_forgotten_before_storage_knows_where_its_data_is() -> None:
    off = replace(OFF, record=record(moved=(("web-root", ELSEWHERE.path),)))
    actions, outcome = plan(wanted(deleting=True), replace(READY, domain=off, unsettled=("web-root",)))
    assert (actions, str(outcome.reason)) == ([], "Deleting") and "web-root" in outcome.message
