"""Decides which Ports come and go as the NICs of a virtual machine that is there do."""

from __future__ import annotations

from operators.contract import names
from operators.contract.networking import PORT
from operators.contract.orchestration import Operation
from operators.orchestration.drafts import Draft, drafts
from operators.orchestration.flows.model import Action, Doomed, Make, Port, Seen, Unmake
from operators.orchestration.record import FINALIZER, VM, Flow


def follow(flow: Flow, seen: Seen) -> list[Action]:
    """What the newest Flow of a virtual machine, ended or not, has still to do for its NICs."""
    vm = seen.vm
    if (
        flow.spec.operation is Operation.DESTROY
        or vm is None
        or vm.meta.deleting
        or FINALIZER not in vm.meta.finalizers
        or seen.newest != flow.meta.name
    ):
        return []
    actions: list[Action] = []
    if new := _missing(flow, vm, seen):
        actions.append(Make(new))
    if old := _surplus(vm, seen):
        actions.append(Unmake(tuple(Doomed(port.kind, port.ref) for port in old)))
    return actions


def _missing(flow: Flow, vm: VM, seen: Seen) -> tuple[Draft, ...]:
    wanted = (draft for draft in drafts(vm, flow.meta.name) if draft.kind is PORT)
    return tuple(draft for draft in wanted if draft.key.name not in seen.ports and str(draft) not in seen.taken)


def _surplus(vm: VM, seen: Seen) -> tuple[Port, ...]:
    """Ports of ours that are no NIC's any more and that no guest has, so that a NIC which comes back soon is the same.

    Networking frees the addresses, and not before it knows that no device is left that has them."""
    wanted = {names.port(vm.meta.name, nic.name) for nic in vm.spec.interfaces}
    used = {port for each in seen.instances for port in each.spec.ports | each.status.ports}
    ours = (port for port in seen.ports.values() if port.meta.labels.get(names.LABEL_VM_UID) == vm.meta.uid)
    return tuple(port for port in ours if port.meta.name not in wanted | used and not port.meta.deleting)
