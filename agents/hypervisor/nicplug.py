"""Decides how a running guest comes to its NICs: plugged in, and let go of.

A NIC is known by its tap, whose name follows from the Port's uid; so another Port of the same name is another NIC.
"""

from __future__ import annotations

from agents.hypervisor import hotplug
from agents.hypervisor.driver import Domain, NicDevice
from agents.hypervisor.model import Action, AttachNic, DetachNic, Part, Seen, Wanted
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Done, Outcome, Retry

Plan = tuple[list[Action], Outcome]


def plan(want: Wanted, domain: Domain, seen: Seen) -> Plan:
    """The next steps for the NICs of a guest that runs and is to run."""
    has = {nic.tap: nic for nic in domain.nics}
    macs = {nic.mac for nic in domain.nics}
    new = [part.device for part in seen.nics if isinstance(part.device, NicDevice) and part.device.tap not in has]
    strays = [nic for nic in domain.nics if _stray(nic, seen)]
    # One that names the MAC address of another that goes is plugged in after it.
    actions: list[Action] = [AttachNic(want.uuid, nic) for nic in new if nic.mac not in macs]
    attaching = bool(actions)
    actions += [DetachNic(want.uuid, nic.tap) for nic in strays if hotplug.due(nic.tap, seen)]
    if attaching:
        return actions, Retry(Reason.ATTACHING, "its NICs are being changed", 0.0)
    if strays:
        port = seen.owners.get(strays[0].tap, "")
        what = f"NIC {strays[0].mac}" + (f" of Port {port}" if port else "")
        return actions, hotplug.leaving(what, strays[0].tap, "take it down there", seen)
    late = [part for part in seen.nics if part.device is None and not _had(part, domain, seen)]
    if late:
        left = hotplug.PATIENCE - seen.waited
        message = f"the NIC of PortBinding {late[0].name} is attached once that is ready: {late[0].why}"
        return actions, Retry(Reason.ATTACHING, message, left) if left > 0 else Blocked(Reason.ATTACHING, message)
    return actions, Done(Reason.RUNNING)


def _stray(nic: NicDevice, seen: Seen) -> bool:
    """Whether a guest's NIC is to go: it is not listed, or it is an earlier Port's of the same name.

    What is not ready at present takes nothing from the guest that has it."""
    if any(isinstance(part.device, NicDevice) and part.device.tap == nic.tap for part in seen.nics):
        return False
    if owner := seen.owners.get(nic.tap, ""):
        part = next((each for each in seen.nics if each.port == owner), None)
        return part is None or part.device is not None
    return all(part.device is not None for part in seen.nics)


def _had(part: Part, domain: Domain, seen: Seen) -> bool:
    return any(seen.owners.get(nic.tap) == part.port for nic in domain.nics)
