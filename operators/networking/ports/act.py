"""The writes of the Ports' controller, each safe to repeat."""

from __future__ import annotations

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from operators.contract.networking import PORT, PORT_BINDING
from operators.contract.reasons import Reason
from operators.kernel.making import make
from operators.kernel.outcome import Problem, Retry
from operators.kernel.store import Store
from operators.networking.ports.model import Action, Bind, BindingObj, Protect, Unbind, Unprotect
from operators.networking.ports.plan import FINALIZER

_LABELS = (names.LABEL_VM_UID, names.LABEL_FLOW)


async def act(store: Store, action: Action) -> None:
    """Do one action."""
    match action:
        case Protect(port):
            await store.finalize(PORT, port.meta, port.meta.finalizers_with(FINALIZER))
        case Unprotect(port):
            await store.finalize(PORT, port.meta, port.meta.finalizers_without(FINALIZER))
        case Bind():
            await make(store, PORT_BINDING, body(action))  # not over that of an earlier Port of the name
        case Unbind(binding):
            await _unused(binding, store)
            await store.delete(PORT_BINDING, binding.key, uid=binding.meta.uid)


async def _unused(binding: BindingObj, store: Store) -> None:
    """Raise if the API server knows an Instance that has the Port there: a cache may lack it, if two lead (ADR 20)."""
    made_for, port = binding.meta.labels.get(names.LABEL_VM_UID, ""), binding.spec.port.name
    for found in await store.list(INSTANCE, field_selector=f"spec.hostName={binding.spec.host_name}"):
        instance = INSTANCE.parse(found)
        ours = instance.meta.namespace == binding.meta.namespace
        ours = ours and made_for in ("", instance.spec.virtual_machine.uid)
        if ours and port in instance.spec.ports | instance.status.ports:
            raise Problem(Retry(Reason.PROGRESSING, f"Instance {instance.meta.name} needs it after all", 1.0))


def body(action: Bind) -> Json:
    """The PortBinding."""
    port, spec = action.port, action.spec
    labels = {name: port.meta.labels[name] for name in _LABELS if name in port.meta.labels}
    return PORT_BINDING.body(
        Key(port.meta.namespace, names.port_binding(port.meta.name, spec.host_name)),
        spec=to_wire(spec),
        finalizers=[FINALIZER],
        ownerReferences=[to_wire(port.owner)],
        **({"labels": labels} if labels else {}),
    )
