"""What a virtual machine waits for, in the words of who holds it up, and how long before that is said."""

from __future__ import annotations

from operators.compute.model import PortView, Seen, VolumeView
from operators.contract.compute import Power
from operators.contract.reasons import ON_THE_WAY, Reason
from operators.kernel.outcome import Blocked, Outcome, Retry

PATIENCE = 2.0
"""Seconds for which something may be on its way before the status says so: each status costs the API server a write,
and a deploy is over in a third of a second."""
PATIENCE_FOR_OTHERS = 1.0
"""The same for what was not found: `kubectl apply` of several files brings it a moment later."""

SAY_AGAIN = 10.0
"""Seconds between two wordings of why no host fits. What is free where changes with every guest that comes or goes, and
a hundred guests that wait must not make each of these a hundred writes."""
TICK = 0.001
"""Seconds that are not worth waiting for: what is left by rounding must not have a key run again and again."""
_NOT_FOUND = frozenset(
    {
        Reason.OFFERING_NOT_FOUND,
        Reason.VOLUME_NOT_FOUND,
        Reason.KEY_PAIR_NOT_FOUND,
        Reason.ZONE_NOT_FOUND,
        Reason.NETWORK_NOT_FOUND,
        Reason.IMAGE_NOT_FOUND,
        Reason.AFFINITY_GROUP_NOT_FOUND,
    }
)
_LATER = frozenset({Reason.RESTART_REQUIRED})
"""What a Volume says that a running guest need not mind."""


def hindrance(seen: Seen) -> Blocked | None:
    """The first Volume or Port that is not as it should be; None when the guest has all it needs."""
    return volumes(seen) or ports(seen)


def volumes(seen: Seen) -> Blocked | None:
    """The first Volume that is not ready, of those that the guest has or is to have.

    The agent starts a guest only when its Disks and PortBindings are ready. So of a guest that runs, what is merely on
    its way is old news: the Volume's or Port's own status comes a moment after.
    """
    listed = {disk.volume for disk in seen.instance.spec.disks} if seen.instance else None
    for volume in seen.volumes:
        if (listed is None or volume.name in listed) and not volume.ready and not _old_news(volume, seen):
            return _blocked("Volume", volume, Reason.PROVISIONING)
    return None


def ports(seen: Seen) -> Blocked | None:
    """The first Port that is not ready."""
    for port in seen.ports:
        if not port.ready and not _old_news(port, seen):
            return _blocked("Port", port, Reason.WAITING_FOR_NETWORK)
    return None


def addresses(seen: Seen) -> Blocked | None:
    """The first Port of a running guest whose address is not known; it is about to be, or never."""
    for port in seen.ports:
        if not port.ip and seen.waited < PATIENCE_FOR_OTHERS:
            return Blocked(Reason.WAITING_FOR_NETWORK, f"Port {port.name} has no address yet")
    return None


def plugging(seen: Seen) -> Blocked | None:
    """A disk or NIC that a running guest has yet to get, or to let go of."""
    instance = seen.instance
    if instance is None or not instance.status.disks:
        return None
    host, spec, status = instance.spec.host_name, instance.spec, instance.status
    listed_volumes, has_volumes = ({disk.volume for disk in part.disks} for part in (spec, status))
    for port in seen.ports:
        if port.name not in spec.ports:
            earlier = "an earlier one of its name goes first" if port.deleting else "it is being made"
            return Blocked(Reason.ATTACHING, f"NIC {port.nic} is attached once Port {port.name} is there: {earlier}")
    # An agent of an earlier release says nothing of NICs, and has plugged in what is listed.
    wordless = not status.nics and status.observed_generation >= instance.meta.generation
    has_ports = spec.ports if wordless else status.ports
    for what, listed, has in (("Volume", listed_volumes, has_volumes), ("Port", spec.ports, has_ports)):
        for name in sorted(listed - has):
            return Blocked(Reason.ATTACHING, f"host {host} is attaching {what} {name}")
        for name in sorted(has - listed):
            return Blocked(Reason.DETACHING, f"the guest on host {host} has yet to let go of {what} {name}")
    return None


def _blocked(kind: str, part: VolumeView | PortView, otherwise: Reason) -> Blocked:
    why = part.message or ("it is being made" if part.exists else "it is not made yet")
    return Blocked(part.reason or otherwise, f"{kind} {part.name}: {why}")


def _old_news(part: VolumeView | PortView, seen: Seen) -> bool:
    runs = seen.instance is not None and seen.instance.status.power == Power.RUNNING
    return runs and (not part.reason or part.reason in ON_THE_WAY or part.reason in _LATER)


def patience(reason: str) -> float:
    """Seconds for which a reason is kept from the status."""
    if reason in ON_THE_WAY:
        return PATIENCE
    return PATIENCE_FOR_OTHERS if reason in _NOT_FOUND else 0.0


def patient(outcome: Outcome, seen: Seen) -> Outcome:
    """The same outcome, with a return to it when it has lasted long enough to be said."""
    if isinstance(outcome, Blocked) and outcome.reason == Reason.NO_HOST_FITS and seen.said is not None:
        return Retry(outcome.reason, outcome.message, left) if (left := SAY_AGAIN - seen.said) > TICK else outcome
    if isinstance(outcome, Blocked) and (left := patience(outcome.reason) - seen.waited) > TICK:
        return Retry(outcome.reason, outcome.message, left)
    return outcome


def silent(outcome: Outcome, seen: Seen) -> bool:
    """Whether the status need not say this yet."""
    if not isinstance(outcome, Retry):
        return False
    return outcome.reason == Reason.NO_HOST_FITS or seen.waited < patience(outcome.reason)
