"""Tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from operators.api import errors
from operators.api.call import Call, OwnedListArgs, contains, listing, namespaces
from operators.api.changing import change
from operators.api.declare import Answer, Started, command, maps, string, words
from operators.api.jobs import done
from operators.api.responses.done import Done
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.tags import tags_of, written
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import USER_DATA, VIRTUAL_MACHINE
from operators.contract.identity import PROJECT
from operators.contract.meta import Kind, Obj
from operators.contract.networking import NETWORK
from operators.contract.snapshots import VOLUME_SNAPSHOT
from operators.contract.storage import IMAGE, VOLUME

TYPES: Mapping[str, Kind[Any, Any]] = {
    "UserVm": VIRTUAL_MACHINE,
    "Volume": VOLUME,
    "Network": NETWORK,
    "Snapshot": VOLUME_SNAPSHOT,
    "Template": IMAGE,
    "ISO": IMAGE,
    "UserData": USER_DATA,
    "Project": PROJECT,
}
"""CloudStack's names of what can bear tags."""
ALSO = {"virtualmachine": "UserVm", "vm": "UserVm"}
MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceTagResponse(OwnedResponse):
    """One tag of one object."""

    resourceid: str
    resourcetype: str
    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTags:
    """Arguments."""

    resourceids: tuple[str, ...] = words("IDs of the objects", required=True)
    resourcetype: str = string("What they are: UserVm, Volume, Network, Template, UserData or Project", required=True)
    tags: tuple[Mapping[str, str], ...] = maps("The tags: tags[0].key=a&tags[0].value=b", required=True)


@command(
    "createTags",
    "Puts tags on objects.",
    item=Done,
    asynchronous=True,
    refused="customer",
)
async def create_tags(call: Call, args: CreateTags) -> Answer:
    """One annotation of each object; a tag that is there already gets the new value."""
    new = {each["key"]: each.get("value", "") for each in args.tags if each.get("key")}
    if not new:
        raise errors.invalid("tags is needed: tags[0].key and tags[0].value")
    found = targets(call, _kind(args.resourcetype), args.resourcetype, args.resourceids)
    for obj in found:
        await change(call, obj, lambda now: _tagged(now, {**tags_of(now.meta), **new}))
    return Started(done(found[0].meta.uid))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTags:
    """Arguments."""

    resourceids: tuple[str, ...] = words("IDs of the objects", required=True)
    resourcetype: str = string("What they are: UserVm, Volume, Network, Template, UserData or Project", required=True)
    tags: tuple[Mapping[str, str], ...] = maps("The tags to take off, by key, or by key and value; all when left out")


@command("deleteTags", "Takes tags off objects.", item=Done, asynchronous=True)
async def delete_tags(call: Call, args: DeleteTags) -> Answer:
    """A tag with another value than the given one stays."""

    def left(obj: Obj[Any, Any]) -> Mapping[str, str]:
        own = tags_of(obj.meta)
        gone = {each.get("key", ""): each.get("value") for each in args.tags} if args.tags else dict.fromkeys(own)
        return {key: value for key, value in own.items() if key not in gone or gone[key] not in (None, value)}

    found = targets(call, _kind(args.resourcetype), args.resourcetype, args.resourceids)
    for obj in found:
        await change(call, obj, lambda now: _tagged(now, left(now)))
    return Started(done(found[0].meta.uid))


def _tagged(obj: Obj[Any, Any], tags: Mapping[str, str]) -> Json:
    if len(tags) > MOST:
        raise errors.invalid(f"an object can have at most {MOST} tags")
    return {"metadata": {"annotations": {names.ANNOTATION_TAGS: written(tags)}}}


def targets(call: Call, kind: Kind[Any, Any], type_: str, uids: tuple[str, ...]) -> list[Obj[Any, Any]]:
    """Objects that the caller may change. Raises ApiError."""
    out = []
    for uid in uids:
        found = call.find(kind, uid)
        if found is None:
            raise errors.invalid(f"Unable to find resource by uuid {uid} and type {type_}")
        if found.kind.namespaced and not call.directory.owns(call.caller, found.meta.namespace):
            raise errors.denied(f"{type_} {uid} belongs to another account")
        if found.kind is PROJECT and not call.directory.runs_project(call.caller, found):
            raise errors.denied(f"only admins of project {uid} may change its tags")
        out.append(found)
    if not out:
        raise errors.invalid("resourceids is needed")
    return out


def _kind(type_: str) -> Kind[Any, Any]:
    known = {name.lower(): kind for name, kind in TYPES.items()}
    wanted = ALSO.get(type_.lower(), type_).lower()
    if wanted not in known:
        raise errors.invalid(f"Tags are not supported for resource type {type_}: there are {', '.join(TYPES)}")
    return known[wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTags(OwnedListArgs):
    """Arguments."""

    resourcetype: str = string("What bears them: UserVm, Volume, Network, Template, UserData or Project")
    resourceid: str = string("ID of the object that bears them")
    key: str = string("Tags of this key")
    value: str = string("Tags of this value")


@command("listTags", "Lists tags.", item=ResourceTagResponse, key="tag", refused="customer")
async def list_tags(call: Call, args: ListTags) -> Answer:
    """Of what belongs to the caller, or to whom it asks about."""
    wanted = _kind(args.resourcetype) if args.resourcetype else None
    where = None if args.resourceid else namespaces(call, args)
    found: list[ResourceTagResponse] = []
    for type_, kind in TYPES.items():
        if type_ != "ISO" and kind.namespaced and wanted in (None, kind):
            for obj in call.cloud.all(kind, where, lambda each: call.directory.sees(call.caller, each)):
                if args.resourceid in ("", obj.meta.uid):
                    found += _tags_of(call, type_, obj, args)
    return listing(args, found, lambda each: each)


def _tags_of(call: Call, type_: str, obj: Obj[Any, Any], args: ListTags) -> Iterator[ResourceTagResponse]:
    for key, value in sorted(tags_of(obj.meta).items()):
        if args.key in ("", key) and args.value in ("", value) and contains(args.keyword, key, value):
            yield ResourceTagResponse(
                resourceid=obj.meta.uid, resourcetype=type_, key=key, value=value, **whose(call, obj.meta.namespace)
            )
