"""Decides what this host does about a guest that comes or goes. See docs/adr/0017 for why no more than one ever runs.

Until Compute commits a move, neither side's agent starts or resumes the guest: only the move itself does, and only once
nothing of it is left at the source.
"""

from __future__ import annotations

from agents.hypervisor.driver import DiskDevice, Domain, Move, Moved, MoveDisk
from agents.hypervisor.model import Action, Depart, Instance, Part, Seen, Stay, Wanted, WriteSeed
from operators.contract.compute import Power
from operators.contract.migrations import Arrival, Departure, DepartureState, MovedDisk
from operators.contract.quantity import Quantity
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Outcome, Retry

LOOK = 1.0
"""Seconds between two looks at how far a move is."""
INSIST = 30.0
"""Seconds after which a move that was given up, and goes on all the same, is taken to be stuck at its other end."""
COMING = frozenset({"Migration", "StartingUp"})
"""Why a guest is paused of which not all is here yet."""

Plan = tuple[list[Action], Outcome]


def expects(instance: Instance) -> bool:
    """Whether a guest is to arrive that nobody but the move itself may let go on."""
    return instance.spec.incoming is not None and not instance.spec.incoming.committed


def receive(want: Wanted, seen: Seen) -> Plan:
    """Have everything ready, and let the guest in."""
    spec = want.instance.spec
    assert spec.incoming is not None
    actions: list[Action] = []
    if spec.cloud_init is not None and seen.seed != seen.seed_wanted:
        actions.append(WriteSeed(want.uuid, spec.cloud_init))
        return actions, Retry(Reason.WAITING_FOR_MIGRATION, "its NoCloud disk is being written", 0.0)
    if late := _late(seen):
        return actions, Blocked(Reason.WAITING_FOR_MIGRATION, f"not ready for the guest yet: {late.name}: {late.why}")
    if seen.domain is None:
        return actions, Blocked(
            Reason.WAITING_FOR_MIGRATION, f"ready for the guest from host {spec.incoming.from_host}"
        )
    if not arrived(seen.domain):
        return actions, Blocked(Reason.MIGRATING, f"the guest is coming from host {spec.incoming.from_host}")
    return actions, Blocked(Reason.MIGRATING, "the guest is here; Compute is to commit that")


def arrival(instance: Instance, seen: Seen) -> Arrival | None:
    """What the status says of a guest that is to arrive."""
    if instance.spec.incoming is None or not expects(instance):
        return None
    ready = _late(seen) is None and (instance.spec.cloud_init is None or seen.seed == seen.seed_wanted)
    disks = tuple(MovedDisk(part.device.path, part.copy) for part in seen.disks if isinstance(part.device, DiskDevice))
    here = seen.domain is not None and arrived(seen.domain)
    return Arrival(instance.spec.incoming.migration.uid, seen.address, disks if ready else (), here)


def arrived(domain: Domain) -> bool:
    """Whether all of a guest is here. libvirt keeps a definition of it only from then on."""
    return not (domain.power is Power.PAUSED and domain.pause_reason in COMING)


def _late(seen: Seen) -> Part | None:
    return next((part for part in (*seen.disks, *seen.nics) if part.device is None), None)


def send(want: Wanted, seen: Seen) -> Plan:
    """Have the guest moved, once, and say how that ended."""
    out = want.instance.spec.outgoing
    assert out is not None
    now = departure(want.instance, seen)
    if now is None:
        disks = zip(want.instance.spec.disks, out.disks, strict=False)
        move = Move(out.address, tuple(MoveDisk(disk.serial, there.path, there.copy) for disk, there in disks))
        begin = Depart(want.uuid, out.migration.uid, move)
        return [begin], Retry(Reason.MIGRATING, f"the guest begins to move to host {out.to_host}", 0.0)
    if now.state is DepartureState.RUNNING:
        called_off = out.cancel or want.instance.spec.power is Power.STOPPED
        # Asked for again at each look, since an abort may come while libvirt is between two steps.
        stuck = out.address if seen.called_off >= INSIST else ""
        stay: list[Action] = [Stay(want.uuid, stuck)] if called_off else []
        return stay, Retry(Reason.MIGRATING, f"the guest moves to host {out.to_host}: {now.progress} %", LOOK)
    return [], Blocked(Reason.WAITING_FOR_MIGRATION, f"{now.message}; Compute decides what follows")


def departure(instance: Instance, seen: Seen) -> Departure | None:
    """How the leaving of a guest stands; None when it is to begin. What was said last stays said."""
    out, said = instance.spec.outgoing, instance.status.departure
    if out is None:
        return None
    uid, domain = out.migration.uid, seen.domain
    if said is not None and said.migration != uid:
        said = None
    if said is not None and said.state is not DepartureState.RUNNING:
        return said
    mine = seen.attempt if seen.attempt is not None and seen.attempt.migration == uid else None
    if seen.job is not None or (mine is not None and not mine.over):
        return _under_way(uid, seen, said)
    if domain is None:
        if mine is not None and mine.moved is not None:
            return _left(uid, mine.moved, said)
        return Departure(uid, DepartureState.GONE, "the guest is no longer on this host")
    if not domain.active:
        return Departure(uid, DepartureState.ENDED, "the guest has no power on this host")
    if out.cancel:
        return Departure(uid, DepartureState.CANCELLED, "the guest stays on this host")
    if mine is not None:
        return Departure(uid, DepartureState.FAILED, f"the guest could not move: {mine.error}")
    if said is not None or domain.power is Power.PAUSED:
        why = "its move was cut off" if said or domain.pause_reason in COMING else "a paused guest is not moved"
        return Departure(uid, DepartureState.FAILED, why)
    return None


def _left(uid: str, moved: Moved, said: Departure | None) -> Departure:
    """The last word on a guest that has left; disks are counted by what was seen of them under way."""
    data = Quantity(max(moved.data, int(said.data_total or 0) if said else 0))
    done, state = "the guest has left this host", DepartureState.COMPLETED
    return Departure(uid, state, done, 100, data, data, moved.downtime)


def _under_way(uid: str, seen: Seen, said: Departure | None) -> Departure:
    job, before = seen.job, said.progress if said else 0
    if job is None or not job.total:
        return Departure(uid, DepartureState.RUNNING, progress=before)
    percent = min(99, 100 * job.processed // job.total)  # all of it is only there once the guest is
    return Departure(
        uid,
        DepartureState.RUNNING,
        progress=max(before, percent),  # more is to be sent as the guest goes on writing
        data_total=Quantity(job.total),
        data_processed=Quantity(job.processed),
    )
