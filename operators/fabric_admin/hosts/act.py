"""Make and remove what stands for a host."""

from __future__ import annotations

from dataclasses import replace

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST, HOST_REPORT, STORAGE_POOL, HostReportSpec, HostSpec, StoragePoolSpec
from operators.contract.meta import Key
from operators.fabric_admin.hosts.model import (
    Action,
    Hold,
    LetGo,
    MakeHost,
    MakePool,
    MakeReport,
    Node,
    Remove,
    Tell,
)
from operators.fabric_admin.shared import FINALIZER, make
from operators.kernel.store import Store


async def act(store: Store, action: Action) -> None:
    """Do one action."""
    match action:
        case MakeHost(name, node):
            await _make_host(store, name, node)
        case MakeReport(owner, overcommit):
            spec = to_wire(HostReportSpec(owner.name, overcommit))
            body = HOST_REPORT.body(Key("", owner.name), spec=spec, ownerReferences=[to_wire(owner)])
            await make(store, HOST_REPORT, body)
        case Tell(report, overcommit):
            spec = to_wire(replace(report.spec, overcommit=overcommit))
            owners = to_wire(report.meta.owner_references)
            body = HOST_REPORT.body(report.key, spec=spec, uid=report.meta.uid, ownerReferences=owners)
            await store.apply(HOST_REPORT, body)
        case MakePool(owner, zone, path):
            pool = to_wire(StoragePoolSpec(path=path, host_name=owner.name, zone=zone))
            key = Key("", names.local_pool(owner.name))
            body = STORAGE_POOL.body(key, spec=pool, ownerReferences=[to_wire(owner)], finalizers=[FINALIZER])
            await make(store, STORAGE_POOL, body)
        case Hold(host):
            await store.finalize(HOST, host, host.finalizers_with(FINALIZER))
        case Remove(kind, ref):
            await store.delete(kind, Key(ref.namespace, ref.name), uid=ref.uid)
        case LetGo(host):
            await store.finalize(HOST, host, host.finalizers_without(FINALIZER))


async def _make_host(store: Store, name: str, node: Node) -> None:
    spec = HostSpec(node=name, group=node.group, rack=node.rack, zone=node.zone)
    await make(store, HOST, HOST.body(Key("", name), spec=to_wire(spec), finalizers=[FINALIZER]))
