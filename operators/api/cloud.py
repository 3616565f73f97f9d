"""The read model: what the cache holds, found by what callers of the API ask by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from operators.api.prepared import Kept
from operators.api.tags import tags_of
from operators.contract import names
from operators.contract.compute import (
    COMPUTE_OFFERING,
    USER_DATA,
    VIRTUAL_MACHINE,
    ComputeOfferingSpec,
    UserDataSpec,
    VirtualMachineSpec,
    VirtualMachineStatus,
)
from operators.contract.compute import CatalogueStatus as Quiet
from operators.contract.fabric import (
    HOST,
    HOST_GROUP,
    HOST_REPORT,
    IMAGE_STORE,
    IP_RANGE,
    RACK,
    STORAGE_POOL,
    ZONE,
    HostGroupSpec,
    HostSpec,
    HostStatus,
    ImageStoreSpec,
    IPRangeSpec,
    RackSpec,
    StoragePoolSpec,
    StoragePoolStatus,
    ZoneSpec,
)
from operators.contract.identity import ACCESS_ROLE, ACCOUNT, DOMAIN, PROJECT, USER
from operators.contract.instancegroups import INSTANCE_GROUP, InstanceGroupSpec
from operators.contract.keypairs import SSH_KEY_PAIR, SSHKeyPairSpec, SSHKeyPairStatus
from operators.contract.meta import Key, Kind, Obj, SpecT, StatusT
from operators.contract.migrations import MIGRATION, MigrationSpec, MigrationStatus
from operators.contract.networking import (
    NETWORK,
    NETWORK_OFFERING,
    PORT,
    ROUTER,
    HostSideStatus,
    NetworkOfferingSpec,
    NetworkSpec,
    NetworkStatus,
    PortSpec,
    PortStatus,
    RouterSpec,
)
from operators.contract.orchestration import FLOW, FlowSpec, FlowState, FlowStatus, OnFailure, Operation
from operators.contract.placement import AFFINITY_GROUP, AffinityGroupSpec
from operators.contract.snapshots import (
    SNAPSHOT_SCHEDULE,
    VOLUME_SNAPSHOT,
    SnapshotScheduleSpec,
    SnapshotScheduleStatus,
    VolumeSnapshotSpec,
    VolumeSnapshotStatus,
)
from operators.contract.storage import (
    DISK_OFFERING,
    IMAGE,
    VOLUME,
    DiskOfferingSpec,
    ImageSpec,
    ImageStatus,
    VolumeSpec,
    VolumeStatus,
)
from operators.contract.uploads import IMAGE_UPLOAD
from operators.contract.vmsnapshots import (
    VIRTUAL_MACHINE_SNAPSHOT,
    VirtualMachineSnapshotSpec,
    VirtualMachineSnapshotStatus,
)
from operators.contract.webhooks import WEBHOOK, WebhookSpec, WebhookStatus
from operators.kernel.cache import Cache

VM: TypeAlias = Obj[VirtualMachineSpec, VirtualMachineStatus]
Flow: TypeAlias = Obj[FlowSpec, FlowStatus]
Migration: TypeAlias = Obj[MigrationSpec, MigrationStatus]
Volume: TypeAlias = Obj[VolumeSpec, VolumeStatus]
Image: TypeAlias = Obj[ImageSpec, ImageStatus]
Network: TypeAlias = Obj[NetworkSpec, NetworkStatus]
Port: TypeAlias = Obj[PortSpec, PortStatus]
Document: TypeAlias = Obj[UserDataSpec, Quiet]
KeyPair: TypeAlias = Obj[SSHKeyPairSpec, SSHKeyPairStatus]
AffinityGroup: TypeAlias = Obj[AffinityGroupSpec, Quiet]
InstanceGroup: TypeAlias = Obj[InstanceGroupSpec, Quiet]
Snapshot: TypeAlias = Obj[VolumeSnapshotSpec, VolumeSnapshotStatus]
VMSnapshot: TypeAlias = Obj[VirtualMachineSnapshotSpec, VirtualMachineSnapshotStatus]
Schedule: TypeAlias = Obj[SnapshotScheduleSpec, SnapshotScheduleStatus]
Zone: TypeAlias = Obj[ZoneSpec, Quiet]
Rack: TypeAlias = Obj[RackSpec, Quiet]
HostGroup: TypeAlias = Obj[HostGroupSpec, Quiet]
Host: TypeAlias = Obj[HostSpec, HostStatus]
Pool: TypeAlias = Obj[StoragePoolSpec, StoragePoolStatus]
IPRange: TypeAlias = Obj[IPRangeSpec, Quiet]
ImageStore: TypeAlias = Obj[ImageStoreSpec, Quiet]
Router: TypeAlias = Obj[RouterSpec, HostSideStatus]
Webhook: TypeAlias = Obj[WebhookSpec, WebhookStatus]
ComputeOffering: TypeAlias = Obj[ComputeOfferingSpec, Quiet]
DiskOffering: TypeAlias = Obj[DiskOfferingSpec, Quiet]
NetworkOffering: TypeAlias = Obj[NetworkOfferingSpec, Quiet]

KINDS: tuple[Kind[Any, Any], ...] = (
    *(DOMAIN, ACCOUNT, PROJECT, USER, ACCESS_ROLE),
    *(ZONE, RACK, HOST_GROUP, HOST, HOST_REPORT, STORAGE_POOL, IP_RANGE, IMAGE_STORE),
    *(COMPUTE_OFFERING, DISK_OFFERING, NETWORK_OFFERING),
    *(AFFINITY_GROUP, INSTANCE_GROUP, SSH_KEY_PAIR, VOLUME_SNAPSHOT, SNAPSHOT_SCHEDULE, MIGRATION),
    *(VIRTUAL_MACHINE_SNAPSHOT, WEBHOOK, IMAGE_UPLOAD),
    *(USER_DATA, IMAGE, NETWORK, PORT, ROUTER, VOLUME, VIRTUAL_MACHINE, FLOW),
)

TAGGED: tuple[Kind[Any, Any], ...] = (VIRTUAL_MACHINE, VOLUME, NETWORK, VOLUME_SNAPSHOT, IMAGE, USER_DATA, PROJECT)
"""What bears tags."""


def index(cache: Cache) -> None:
    """Keep what is looked up by something else than its name."""
    for kind in KINDS:
        cache.index(kind, "uid", _uid)
        cache.order(kind, _namespace, _age)
    for kind in TAGGED:
        cache.index(kind, "tag", _tags)
    cache.index(USER, "api-key", lambda user: user.spec.api_keys)
    cache.index(FLOW, "target", lambda flow: (flow.spec.target.uid,))
    cache.index(
        VIRTUAL_MACHINE, "volume", lambda vm: (_place(vm, name) for name in (*vm.spec.volumes, vm.spec.root_volume))
    )
    cache.index(MIGRATION, "machine", lambda each: (f"{each.meta.namespace}/{each.spec.virtual_machine}",))
    cache.index(VIRTUAL_MACHINE, "network", lambda vm: (_place(vm, nic.network) for nic in vm.spec.nics))


def _place(vm: VM, name: str) -> str:
    return f"{vm.meta.namespace}/{name}"


def _namespace(obj: Obj[Any, Any]) -> str:
    return obj.meta.namespace


def _age(obj: Obj[Any, Any]) -> tuple[str]:
    return (obj.meta.creation_timestamp,)


def _tags(obj: Obj[Any, Any]) -> Iterable[str]:
    """Each tag by its key, and by its key and value."""
    for key, value in tags_of(obj.meta).items():
        yield key
        yield tag_named(key, value)


def tag_named(key: str, value: str) -> str:
    """How the index calls a tag with a value; no key has the character between."""
    return f"{key}\0{value}"


def _uid(obj: Obj[Any, Any]) -> Iterable[str]:
    return (obj.meta.uid,)


def name_of(obj: Obj[Any, Any]) -> str:
    """The name that the API shows: the one a caller gave, or the object's own."""
    return obj.meta.annotations.get(names.ANNOTATION_NAME) or obj.meta.name


@dataclass(frozen=True, slots=True)
class Cloud:
    """Questions to the cache."""

    cache: Cache
    catalogue: str
    """The namespace of Images that everybody may use."""
    kept: Kept = field(default_factory=Kept)
    """Responses as they were written."""

    def by_uid(self, kind: Kind[SpecT, StatusT], uid: str) -> Obj[SpecT, StatusT] | None:
        """The very object of that uid."""
        return next(iter(self.cache.by(kind, "uid", uid)), None)

    async def seen(self, kinds: Collection[Kind[Any, Any]], check: Callable[[], object], seconds: float) -> bool:
        """Wait until something is so that objects of these kinds tell of; whether it was, in that time."""
        try:
            async with asyncio.timeout(seconds):
                while not check():
                    await self.cache.coming(kinds)
        except TimeoutError:
            return False
        return True

    async def appearing(self, kinds: Collection[Kind[Any, Any]], uid: str, seconds: float) -> bool:
        """Wait for an object that another replica has just made, and that our watch has not told of yet."""
        return await self.seen(kinds, lambda: any(self.by_uid(kind, uid) for kind in kinds), seconds)

    def named(self, kind: Kind[SpecT, StatusT], name: str, namespace: str = "") -> Obj[SpecT, StatusT] | None:
        """The object of that name."""
        return self.cache.get(kind, Key(namespace, name))

    def zone(self, name: str = "") -> Zone | None:
        """The zone of that name; of what is nowhere yet, the one that is named `default`, or the only one."""
        if name:
            return self.named(ZONE, name)
        zones = self.all(ZONE)
        return self.named(ZONE, "default") or (zones[0] if len(zones) == 1 else None)

    def all(
        self,
        kind: Kind[SpecT, StatusT],
        namespaces: Collection[str] | None = None,
        *conditions: Callable[[Obj[SpecT, StatusT]], bool],
    ) -> list[Obj[SpecT, StatusT]]:
        """The objects of some namespaces (None: of all) that fulfil every condition, oldest first."""
        found = self.cache.ordered(kind, namespaces)
        for holds in conditions:
            found = [obj for obj in found if holds(obj)]
        return found

    def tagged(
        self,
        kind: Kind[SpecT, StatusT],
        tag: str,
        namespaces: Collection[str] | None,
        *conditions: Callable[[Obj[SpecT, StatusT]], bool],
    ) -> list[Obj[SpecT, StatusT]]:
        """As `all`, of those alone that have a tag: its key, or `tag_named` with its value."""
        keys = [key for key in self.cache.under(kind, "tag", tag) if namespaces is None or key.namespace in namespaces]
        found = (obj for key in keys if (obj := self.cache.get(kind, key)) is not None)
        return sorted((obj for obj in found if all(holds(obj) for holds in conditions)), key=_oldest)

    def stamp(self, kinds: Iterable[Kind[Any, Any]]) -> int:
        """A number that is another one after any change of any object of these kinds."""
        return sum(self.cache.changes(kind) for kind in kinds)

    def image(self, reference: str, namespace: str) -> Image | None:
        """The Image that a spec names, as the contract says: own, then the catalogue's, or `namespace/name`."""
        if "/" in reference:
            other, _, name = reference.partition("/")
            return self.named(IMAGE, name, other)
        return self.named(IMAGE, reference, namespace) or self.named(IMAGE, reference, self.catalogue)

    def machines_with(self, volume: Volume) -> tuple[VM, ...]:
        """The VirtualMachines whose spec names a Volume."""
        return self.cache.by(VIRTUAL_MACHINE, "volume", str(volume.key))

    def machines_on(self, network: Network) -> tuple[VM, ...]:
        """The VirtualMachines with an interface on a Network."""
        return self.cache.by(VIRTUAL_MACHINE, "network", str(network.key))

    def migration_of(self, vm: VM) -> Migration | None:
        """The move of a virtual machine that is under way."""
        moves = self.cache.by(MIGRATION, "machine", str(vm.key))
        return next((each for each in moves if not each.status.finished_at and not each.meta.deleting), None)

    def machine_of(self, flow: Flow) -> VM | None:
        """The virtual machine that a Flow is about: its target, or that of a Migration."""
        if flow.spec.operation is not Operation.MIGRATE:
            return self.by_uid(VIRTUAL_MACHINE, flow.spec.target.uid)
        migration = self.by_uid(MIGRATION, flow.spec.target.uid)
        vm = (
            self.named(VIRTUAL_MACHINE, migration.spec.virtual_machine, migration.meta.namespace) if migration else None
        )
        known = migration.status.uid if migration else ""
        return vm if vm is not None and known in ("", vm.meta.uid) else None

    def deploying(self, vm: VM) -> Flow | None:
        """The deployment that is under way."""
        flow = self._last_deploy(vm)
        return flow if flow is not None and not _ended(flow) else None

    def given_up(self, vm: VM) -> bool:
        """Whether its deployment failed or was cancelled and is taken back."""
        flow = self._last_deploy(vm)
        if flow is None:
            return False
        failed = flow.status.state == FlowState.FAILED and flow.spec.on_failure is OnFailure.COMPENSATE
        return failed or (flow.status.state == FlowState.CANCELLED and self._newest(vm) is flow)

    def _last_deploy(self, vm: VM) -> Flow | None:
        flows = [flow for flow in self.flows_of(vm) if flow.spec.operation is Operation.DEPLOY]
        return max(flows, key=lambda flow: flow.spec.target_generation, default=None)

    def _newest(self, vm: VM) -> Flow | None:
        return max(self.flows_of(vm), key=lambda flow: (flow.spec.target_generation, *_oldest(flow)), default=None)

    def flows_of(self, vm: VM) -> tuple[Flow, ...]:
        """The Flows whose target it is."""
        return self.cache.by(FLOW, "target", vm.meta.uid)


def _ended(flow: Flow) -> bool:
    return flow.status.state in tuple(FlowState) and FlowState(flow.status.state).terminal


def _oldest(obj: Obj[Any, Any]) -> tuple[str, str, str]:
    return obj.meta.creation_timestamp, obj.meta.namespace, obj.meta.name
