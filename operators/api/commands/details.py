"""Details: texts that programs keep beside an object, by keys of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from operators.api import errors
from operators.api.call import Call, OwnedListArgs, contains, listing, namespaces
from operators.api.changing import change
from operators.api.commands.tags import ALSO, MOST, targets
from operators.api.declare import Answer, Started, command, maps, string
from operators.api.jobs import done
from operators.api.responses.done import Done
from operators.api.tags import texts_of, written
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.fabric import ZONE
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
    "Zone": ZONE,
}
"""What can have details. A zone's are the operator's."""
WHAT = "What it is: " + ", ".join(TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailResponse:
    """One detail of one object."""

    resourceid: str
    resourcetype: str
    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddResourceDetail:
    """Arguments."""

    resourceid: str = string("ID of the object", required=True)
    resourcetype: str = string(WHAT, required=True)
    details: tuple[Mapping[str, str], ...] = maps("details[0].key=a&details[0].value=b", required=True)


@command(
    "addResourceDetail",
    "Keeps details beside an object.",
    item=Done,
    asynchronous=True,
    ignored="fordisplay",
)
async def add_resource_detail(call: Call, args: AddResourceDetail) -> Answer:
    """One annotation; a detail that is there already gets the new value."""
    new = dict(pairs(args.details))
    if not new:
        raise errors.invalid("details is needed: details[0].key and details[0].value")
    obj = _target(call, args.resourcetype, args.resourceid)
    await change(call, obj, lambda now: _kept({**details_of(now), **new}))
    return Started(done(obj.meta.uid))


def pairs(details: tuple[Mapping[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Both of CloudStack's ways to write a map: by `key` and `value`, and by the key itself."""
    for each in details:
        if "key" in each:
            yield each["key"], each.get("value", "")
        else:
            yield from each.items()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveResourceDetail:
    """Arguments."""

    resourceid: str = string("ID of the object", required=True)
    resourcetype: str = string(WHAT, required=True)
    key: str = string("Key of the detail; all of them when left out")


@command("removeResourceDetail", "Takes a detail away from an object.", item=Done, asynchronous=True)
async def remove_resource_detail(call: Call, args: RemoveResourceDetail) -> Answer:
    """From the same annotation."""
    obj = _target(call, args.resourcetype, args.resourceid)

    def left(now: Obj[Any, Any]) -> Json:
        return _kept({key: value for key, value in details_of(now).items() if args.key not in ("", key)})

    await change(call, obj, left)
    return Started(done(obj.meta.uid))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListResourceDetails(OwnedListArgs):
    """Arguments."""

    resourcetype: str = string(WHAT, required=True)
    resourceid: str = string("ID of the object")
    key: str = string("Those of this key")
    value: str = string("Those of this value")


@command(
    "listResourceDetails",
    "Lists details of objects.",
    item=DetailResponse,
    key="resourcedetail",
    ignored="fordisplay",
)
async def list_resource_details(call: Call, args: ListResourceDetails) -> Answer:
    """Of what belongs to the caller, or to whom it asks about."""
    kind = _kind(args.resourcetype)
    where = None if args.resourceid or not kind.namespaced else namespaces(call, args)
    seen = call.cloud.all(kind, where, lambda each: call.directory.sees(call.caller, each))
    found = [
        DetailResponse(resourceid=obj.meta.uid, resourcetype=args.resourcetype, key=key, value=value)
        for obj in seen
        if args.resourceid in ("", obj.meta.uid)
        for key, value in sorted(details_of(obj).items())
        if args.key in ("", key) and args.value in ("", value) and contains(args.keyword, key, value)
    ]
    return listing(args, found, lambda each: each)


def details_of(obj: Obj[Any, Any]) -> Mapping[str, str]:
    """An object's details."""
    return texts_of(obj.meta, names.ANNOTATION_DETAILS)


def _kept(details: Mapping[str, str]) -> Json:
    if len(details) > MOST:
        raise errors.invalid(f"an object can have at most {MOST} details")
    return {"metadata": {"annotations": {names.ANNOTATION_DETAILS: written(details)}}}


def _kind(type_: str) -> Kind[Any, Any]:
    known = {name.lower(): kind for name, kind in TYPES.items()}
    wanted = ALSO.get(type_.lower(), type_).lower()
    if wanted not in known:
        raise errors.invalid(f"Details are not supported for resource type {type_}: there are {', '.join(TYPES)}")
    return known[wanted]


def _target(call: Call, type_: str, uid: str) -> Obj[Any, Any]:
    if not uid:
        raise errors.invalid("resourceid is needed")
    kind = _kind(type_)
    if not kind.namespaced and not call.caller.root:
        raise errors.denied(f"Only root admins may change details of a {type_}")
    (found,) = targets(call, kind, type_, (uid,))
    return found
