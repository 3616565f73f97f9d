"""Instance groups: names that people sort virtual machines by."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, OwnerArgs, asked, listing, owned, place_to_make
from operators.api.changing import remove, update
from operators.api.cloud import InstanceGroup, name_of
from operators.api.declare import Answer, Single, command, string, uuid
from operators.api.responses.done import Done
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.wire import Date, date
from operators.contract.instancegroups import INSTANCE_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceGroupResponse(OwnedResponse):
    """A group."""

    id: str
    name: str
    created: Date | None


def instance_group(call: Call, obj: InstanceGroup) -> InstanceGroupResponse:
    """The response of one."""
    return InstanceGroupResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        created=date(obj.meta.creation_timestamp),
        **whose(call, obj.meta.namespace),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateInstanceGroup(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the group, unique in its account", required=True)


@command("createInstanceGroup", "Creates a group of virtual machines.", item=InstanceGroupResponse, key="instancegroup")
async def create_instance_group(call: Call, args: CreateInstanceGroup) -> Answer:
    """The InstanceGroup that kubectl would make."""
    namespace = place_to_make(call, args)
    _must_be_free(call, namespace, args.name)
    return Single(instance_group(call, await _made(call, namespace, args.name)))


async def _made(call: Call, namespace: str, name: str) -> InstanceGroup:
    return INSTANCE_GROUP.parse(await naming.create(call, INSTANCE_GROUP, namespace, name, {}))


def _must_be_free(call: Call, namespace: str, name: str) -> None:
    if _named(call, namespace, name) is not None:
        raise errors.invalid(f"Unable to create instance group, a group with name {name} already exists")


def _named(call: Call, namespace: str, name: str) -> InstanceGroup | None:
    found = call.cloud.all(INSTANCE_GROUP, (namespace,), lambda obj: name_of(obj) == name)
    return found[0] if found else None


async def group_called(call: Call, namespace: str, name: str) -> str:
    """The object's name of the group that callers know by a name; made when there is none, as CloudStack does."""
    found = _named(call, namespace, name) or await _made(call, namespace, name)
    return found.meta.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInstanceGroups(OwnedListArgs):
    """Arguments."""

    id: InstanceGroup | None = uuid("ID of the group", INSTANCE_GROUP)
    name: str = string("Name of the group")


@command("listInstanceGroups", "Lists groups of virtual machines.", item=InstanceGroupResponse, key="instancegroup")
async def list_instance_groups(call: Call, args: ListInstanceGroups) -> Answer:
    """Those of the caller, or of whom it asks about."""
    found = owned(call, INSTANCE_GROUP, args, args.id, lambda obj: asked(args, obj, name_of(obj)))
    return listing(args, found, lambda obj: instance_group(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteInstanceGroup:
    """Arguments."""

    id: InstanceGroup = uuid("ID of the group", INSTANCE_GROUP, required=True)


@command("deleteInstanceGroup", "Deletes a group; its virtual machines go on, in none.", item=Done)
async def delete_instance_group(call: Call, args: DeleteInstanceGroup) -> Answer:
    """Members that bear its name still are in no group."""
    await remove(call, args.id)
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateInstanceGroup(DeleteInstanceGroup):
    """Arguments."""

    name: str = string("Name of the group from now on")


@command("updateInstanceGroup", "Gives a group another name.", item=InstanceGroupResponse, key="instancegroup")
async def update_instance_group(call: Call, args: UpdateInstanceGroup) -> Answer:
    """Its members stay: they bear the name of the object."""
    if args.name and args.name != name_of(args.id):
        _must_be_free(call, args.id.meta.namespace, args.name)
    return Single(instance_group(call, await update(call, args.id, {}, name=args.name)))
