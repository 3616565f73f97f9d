"""Affinity groups: virtual machines that share a host, or never do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, OwnedListArgs, OwnerArgs, asked, listing, owned, place_of, place_to_make
from operators.api.changing import change, remove
from operators.api.cloud import VM, AffinityGroup, name_of
from operators.api.declare import Answer, Started, command, string, uuid, uuids, words
from operators.api.jobs import CREATION, DELETION, job_id
from operators.api.responses.done import Done
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.responses.virtualmachine import VirtualMachineResponse
from operators.contract.codec import Json, to_wire
from operators.contract.compute import VIRTUAL_MACHINE, RunPolicy
from operators.contract.placement import AFFINITY_GROUP, AffinityGroupSpec, AffinityPolicy, AffinityType

TYPES: Mapping[str, tuple[AffinityType, AffinityPolicy]] = {
    "host anti-affinity": (AffinityType.ANTI_AFFINITY, AffinityPolicy.STRICT),
    "host affinity": (AffinityType.AFFINITY, AffinityPolicy.STRICT),
    "non-strict host anti-affinity": (AffinityType.ANTI_AFFINITY, AffinityPolicy.PREFERRED),
    "non-strict host affinity": (AffinityType.AFFINITY, AffinityPolicy.PREFERRED),
}
"""CloudStack's names of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinityGroupResponse(OwnedResponse):
    """A group."""

    id: str
    name: str
    description: str
    type: str
    virtualmachineIds: tuple[str, ...]  # noqa: N815 - CloudStack's spelling


def affinity_group(call: Call, obj: AffinityGroup) -> AffinityGroupResponse:
    """The response of one group."""
    kind = (obj.spec.type, obj.spec.policy)
    space = (obj.meta.namespace,)
    members = call.cloud.all(VIRTUAL_MACHINE, space, lambda vm: obj.meta.name in vm.spec.affinity_groups)
    return AffinityGroupResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        description=obj.spec.description,
        type=next(name for name, each in TYPES.items() if each == kind),
        virtualmachineIds=tuple(vm.meta.uid for vm in members),
        **whose(call, obj.meta.namespace),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAffinityGroup(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the group, unique in its account", required=True)
    type: str = string("host anti-affinity or host affinity, either also with non-strict before it", required=True)
    description: str = string("What it is for")


@command(
    "createAffinityGroup",
    "Creates an affinity group.",
    item=AffinityGroupResponse,
    key="affinitygroup",
    asynchronous=True,
)
async def create_affinity_group(call: Call, args: CreateAffinityGroup) -> Answer:
    """The AffinityGroup that kubectl would make."""
    if args.type.lower() not in TYPES:
        raise errors.invalid(f"Invalid affinity group type {args.type}: it must be one of {', '.join(TYPES)}")
    namespace = place_to_make(call, args)
    if call.cloud.all(AFFINITY_GROUP, (namespace,), lambda obj: name_of(obj) == args.name):
        raise errors.invalid(f"Unable to create affinity group, a group with name {args.name} already exists")
    type_, policy = TYPES[args.type.lower()]
    spec = to_wire(AffinityGroupSpec(type_, policy, args.description))
    made = await naming.create(call, AFFINITY_GROUP, namespace, args.name, spec)
    uid = made["metadata"]["uid"]
    return Started(job_id(uid, CREATION), uid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAffinityGroups(OwnedListArgs):
    """Arguments."""

    id: AffinityGroup | None = uuid("ID of the group", AFFINITY_GROUP)
    name: str = string("Name of the group")
    type: str = string("Those of this type")
    virtualmachineid: VM | None = uuid("Those of this virtual machine", VIRTUAL_MACHINE)


@command("listAffinityGroups", "Lists affinity groups.", item=AffinityGroupResponse, key="affinitygroup")
async def list_affinity_groups(call: Call, args: ListAffinityGroups) -> Answer:
    """Those of the caller, or of whom it asks about."""
    vm = args.virtualmachineid

    def wanted(obj: AffinityGroup) -> bool:
        has = vm is None or (obj.meta.namespace == vm.meta.namespace and obj.meta.name in vm.spec.affinity_groups)
        typed = not args.type or TYPES.get(args.type.lower()) == (obj.spec.type, obj.spec.policy)
        return has and typed and asked(args, obj, name_of(obj))

    return listing(args, owned(call, AFFINITY_GROUP, args, args.id, wanted), lambda obj: affinity_group(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteAffinityGroup(OwnerArgs):
    """Arguments."""

    id: AffinityGroup | None = uuid("ID of the group", AFFINITY_GROUP)
    name: str = string("Name of the group, in place of id")


@command("deleteAffinityGroup", "Deletes an affinity group; its members go on.", item=Done, asynchronous=True)
async def delete_affinity_group(call: Call, args: DeleteAffinityGroup) -> Answer:
    """Members that name it still are placed as if they did not."""
    group = args.id
    if group is None:
        found = call.cloud.all(AFFINITY_GROUP, (place_of(call, args),), lambda obj: name_of(obj) == args.name)
        if not found:
            raise errors.invalid(f"Unable to find affinity group {args.name}")
        group = found[0]
    await remove(call, group)
    return Started(job_id(group.meta.uid, DELETION))


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinityGroupTypeResponse:
    """A type of group."""

    type: str


@command(
    "listAffinityGroupTypes",
    "Lists the types of affinity groups.",
    item=AffinityGroupTypeResponse,
    key="affinityGroupType",
)
async def list_affinity_group_types(call: Call, args: ListArgs) -> Answer:
    """The fixed few."""
    found = [name for name in TYPES if args.keyword.lower() in name]
    return listing(args, found, lambda name: AffinityGroupTypeResponse(type=name))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateVMAffinityGroup:
    """Arguments."""

    id: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    affinitygroupids: tuple[AffinityGroup, ...] = uuids("IDs of its groups from now on", AFFINITY_GROUP)
    affinitygroupnames: tuple[str, ...] = words("Names of its groups from now on, in place of IDs")


@command(
    "updateVMAffinityGroup",
    "Puts a stopped virtual machine into other affinity groups.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
)
async def update_vm_affinity_group(call: Call, args: UpdateVMAffinityGroup) -> Answer:
    """The caller's own `spec.affinityGroups`; none are given for none from now on."""
    vm = args.id
    if vm.spec.run_policy is RunPolicy.RUNNING:
        raise errors.invalid(f"Unable to update affinity groups of virtual machine {name_of(vm)}: stop it first")
    groups = members_of(call, vm.meta.namespace, args.affinitygroupids, args.affinitygroupnames)

    def make(now: VM) -> Json:
        return {} if now.spec.affinity_groups == groups else {"spec": {"affinityGroups": list(groups)}}

    return Started(job_id((await change(call, vm, make)).meta.uid, CREATION))


def members_of(
    call: Call, namespace: str, groups: tuple[AffinityGroup, ...], named: tuple[str, ...]
) -> tuple[str, ...]:
    """The object names of groups of a namespace, given by id or by the names that callers know."""
    if groups and named:
        raise errors.invalid("affinitygroupids and affinitygroupnames cannot be given together")
    found = list(groups)
    for name in named:
        known = call.cloud.all(AFFINITY_GROUP, (namespace,), lambda obj, name=name: name_of(obj) == name)  # type: ignore[misc]
        if not known:
            raise errors.invalid(f"Unable to find affinity group by name {name}")
        found += known[:1]
    if any(group.meta.namespace != namespace for group in found):
        raise errors.denied("an affinity group belongs to another account than the virtual machine")
    return tuple(group.meta.name for group in found)
