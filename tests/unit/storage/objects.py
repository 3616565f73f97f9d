"""Objects for the tests, each said in the words that matter there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from operators.contract.instances import INSTANCE
from operators.contract.meta import Key, Obj
from operators.contract.storage import DISK, DISK_OFFERING, IMAGE, IMAGE_COPY, VOLUME
from operators.storage.volumes.model import Holder, Pool, Seen
from operators.storage.volumes.plan import FINALIZER

AnyObj = Obj[Any, Any]


def meta(name: str, uid: str = "", *, deleting: bool = False, namespace: str = "team", **more: Any) -> dict[str, Any]:
    out = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", "resourceVersion": "1", "generation": 1}
    return out | ({"deletionTimestamp": "2026-11-21T12:00:00Z"} if deleting else {}) | more


def volume(
    name: str = "data",
    *,
    deleting: bool = False,
    protected: bool = True,
    placed: bool = False,
    uid: str = "",
    **spec: Any,
) -> AnyObj:
    finalizers = [FINALIZER] if protected else []
    if "image" in spec:
        spec["source"] = {"image": spec.pop("image")}
    status = {"disk": f"{name}-d0", "pool": "local-h1", "size": "1Gi"} if placed else {}
    return VOLUME.parse(
        {"metadata": meta(name, uid, deleting=deleting, finalizers=finalizers), "spec": spec, "status": status}
    )


def disk(
    size: str = "1Gi",
    *,
    ready: bool | None = True,
    made: str = "",
    reason: str = "AsSpecified",
    message: str = "",
    deleting: bool = False,
    keep: bool = False,
    image_copy: str = "",
    released: str = "",
) -> AnyObj:
    conditions = []
    if ready is not None and not deleting:
        conditions = [{"type": "Provisioned", "status": str(ready), "reason": reason, "message": message}]
    if released:
        conditions = [
            {"type": "Released", "status": str(released == "Released"), "reason": released, "message": message}
        ]
    status = {"conditions": conditions} | ({"virtualSize": made or size, "path": "/p"} if ready else {})
    spec = {
        "hostName": "h1",
        "pool": "local-h1",
        "path": "volumes/uid-data.qcow2",
        "volume": {"name": "data", "uid": "uid-data"},
        "size": size,
        "keep": keep,
        "imageCopy": image_copy,
    }
    return DISK.parse(
        {"metadata": meta("data-d0", deleting=deleting, finalizers=[FINALIZER]), "spec": spec, "status": status}
    )


def sight(host: str = "h2", **said: Any) -> AnyObj:
    """The Disk by which another host sees the file of `disk()`."""
    own = disk(keep=True, **said)
    spec = replace(own.spec, host_name=host, file_of="data-d0", adopt=True)
    return replace(own, meta=replace(own.meta, name=f"data-d0-{host}"), spec=spec)


def image(
    name: str = "tiny",
    *,
    deleting: bool = False,
    namespace: str = "team",
    protected: bool = True,
    came: str = "",
    **spec: Any,
) -> AnyObj:
    """`came` is the checksum of what was taken as it came."""
    said = {"url": "http://images/tiny", "checksum": "sha256:" + "0" * 64} | spec
    finalizers = [FINALIZER] if protected else []
    where = meta(name, deleting=deleting, namespace=namespace, finalizers=finalizers)
    return IMAGE.parse({"metadata": where, "spec": said, "status": {"checksum": came}})


def image_copy(
    pool: str = "local-h1",
    *,
    ready: bool | None = None,
    reason: str = "AsSpecified",
    message: str = "",
    size: str = "",
    of: str = "uid-tiny",
    deleting: bool = False,
    released: str = "",
    progress: int = 0,
    came: str = "",
) -> AnyObj:
    """`came` is the checksum of what was taken as it came."""
    conditions = []
    if ready is not None:
        conditions = [{"type": "Provisioned", "status": str(ready), "reason": reason, "message": message}]
    if released:
        conditions = [
            {"type": "Released", "status": str(released == "Released"), "reason": released, "message": message}
        ]
    spec = {
        "hostName": "h1",
        "pool": pool,
        "path": f"images/{of}.qcow2",
        "image": {"name": "tiny", "uid": of},
        "url": "http://images/tiny",
    } | ({} if came else {"checksum": "sha256:" + "0" * 64})
    status: dict[str, Any] = {"conditions": conditions, "progress": progress, "checksum": came}
    status |= {"virtualSize": size} if size else {}
    return IMAGE_COPY.parse({"metadata": meta(f"tiny-{pool}", deleting=deleting), "spec": spec, "status": status})


def offering(name: str = "standard", **spec: Any) -> AnyObj:
    return DISK_OFFERING.parse({"metadata": {"name": name, "uid": name}, "spec": spec})


def pool(name: str = "local-h1", free: int = 100 << 30, **said: Any) -> Pool:
    return Pool(name=name, executor="h1", free=free, **({"promisable": 1 << 40} | said))


def holder(vm: str = "web", host: str = "h1", *, running: bool = True) -> Holder:
    return Holder(instance=f"{vm}-i", virtual_machine=vm, host=host, running=running)


def seen(**said: Any) -> Seen:
    """What is usually there: the standard offering, a VirtualMachine that lists the Volume, one pool."""
    usual = {"offering": offering(), "holders": (holder(),), "pools": (pool(),), "reached": frozenset({"h1"})}
    return Seen(**(usual | said))


def instance(vm: str = "web", host: str = "h1", *volumes: str, power: str = "Running") -> dict[str, Any]:
    """The body of an Instance."""
    disks = [{"disk": f"{name}-d0", "volume": name, "serial": name} for name in volumes]
    spec = {
        "hostName": host,
        "virtualMachine": {"name": vm, "uid": f"uid-{vm}"},
        "domain": vm,
        "cpus": 1,
        "memory": "128Mi",
        "disks": disks,
        "power": power,
    }
    return INSTANCE.body(Key("team", f"{vm}-i"), spec=spec)
