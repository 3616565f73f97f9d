"""Events: what happened, as the Data service wrote it down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from operators.api import errors
from operators.api.call import MOST, Call, OwnedListArgs, namespaces
from operators.api.declare import Answer, Listing, Single, boolean, command, date, identifier, string, words
from operators.api.responses.done import Done
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.wire import Date
from operators.api.wire import date as written
from operators.contract.identity import ACCOUNT

NOBODY = "no-namespace-has-this-name-"
"""Asks for nothing, where no namespace at all would ask for everything."""
RESOURCES = {"VirtualMachine": "UserVm", "Image": "Template", "VolumeSnapshot": "Snapshot"}
TYPES = (
    *(f"VM.{each}" for each in ("CREATE", "START", "STOP", "REBOOT", "RESTORE", "DESTROY")),
    *(
        f"{kind}.{each}"
        for kind in ("VOLUME", "SNAPSHOT", "NETWORK", "TEMPLATE", "USER.DATA", "ACCOUNT", "PROJECT", "USER", "DOMAIN")
        for each in ("CREATE", "DELETE")
    ),
    *("HOST.CREATE", "HOST.DELETE", "HOST.UP", "HOST.DOWN", "ZONE.CREATE", "ZONE.DELETE"),
    *("STORAGE.POOL.CREATE", "STORAGE.POOL.DELETE", "SERVICE.OFFERING.CREATE", "SERVICE.OFFERING.DELETE"),
    *("DISK.OFFERING.CREATE", "DISK.OFFERING.DELETE"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventResponse(OwnedResponse):
    """One event."""

    id: str
    type: str
    level: str
    state: str
    description: str
    created: Date | None
    parentid: str | None
    resourceid: str | None
    resourcetype: str | None
    resourcename: str | None
    archived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEvents(OwnedListArgs):
    """Arguments."""

    id: str = identifier("ID of the event")
    type: str = string("Those of this type, such as VM.CREATE")
    level: str = string("INFO, WARN or ERROR")
    resourceid: str = string("Those about the object of this ID")
    resourcetype: str = string("Those about objects of this type")
    startdate: datetime | None = date("From this moment on")
    enddate: datetime | None = date("Before this moment")
    archived: bool = boolean("Whether to list those that were archived, in place of the others")


@command(
    "listEvents",
    "Lists events, the newest first.",
    item=EventResponse,
    key="event",
    refused="duration entrytime startid state",
)
async def list_events(call: Call, args: ListEvents) -> Answer:
    """Of what belongs to the caller, or to whom it asks about."""
    kinds = {shown.lower(): kind for kind, shown in RESOURCES.items()}
    told = await call.history.ask(
        "events",
        namespace=asked_namespaces(call, args),
        id=args.id,
        type=args.type,
        level=args.level.upper(),
        aboutId=args.resourceid,
        aboutKind=kinds.get(args.resourcetype.lower(), args.resourcetype),
        search=args.keyword,
        since=args.startdate,
        until=args.enddate,
        archived=args.archived,
        **paged(args.page, args.pagesize),
    )
    return Listing(told["total"], [_event(call, event) for event in told["items"]])


def asked_namespaces(call: Call, args: OwnedListArgs) -> tuple[str, ...]:
    """The namespaces as the Data service takes them; none for all of them."""
    found = namespaces(call, args)
    return () if found is None else tuple(found) or (NOBODY,)


def paged(page: int | None, size: int | None) -> dict[str, int]:
    """CloudStack's pages as the Data service counts them."""
    limit = MOST if size in (None, -1) else size or MOST
    return {"offset": ((page or 1) - 1) * limit, "limit": limit}


def _event(call: Call, event: dict[str, Any]) -> EventResponse:
    return EventResponse(
        id=event["id"],
        type=event["type"],
        level=event["level"],
        state=event["state"],
        description=event["description"],
        created=written(event["created"]),
        parentid=event["parent"] or None,
        resourceid=event["about_id"] or None,
        resourcetype=RESOURCES.get(event["about_kind"], event["about_kind"]) or None,
        resourcename=event["about_name"] or None,
        archived=event["archived"],
        **whose(call, event["namespace"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvents:
    """Arguments: which of the caller's events."""

    ids: tuple[str, ...] = words("IDs of the events")
    type: str = string("Those of this type")
    startdate: datetime | None = date("From this moment on")
    enddate: datetime | None = date("Before this moment")


@command("archiveEvents", "Archives events of the caller's account, or of all that an admin sees.", item=Done)
async def archive_events(call: Call, args: ChangeEvents) -> Answer:
    """They are listed with archived=true from then on."""
    return await _change(call, args, delete=False)


@command("deleteEvents", "Deletes events of the caller's account, or of all that an admin sees.", item=Done)
async def delete_events(call: Call, args: ChangeEvents) -> Answer:
    """For good."""
    return await _change(call, args, delete=True)


async def _change(call: Call, args: ChangeEvents, *, delete: bool) -> Answer:
    if not (args.ids or args.type or args.startdate or args.enddate):
        raise errors.invalid("either ids, type, startdate or enddate must be specified")
    mine = call.cloud.all(ACCOUNT, None, lambda obj: call.directory.sees_account(call.caller, obj))
    told = await call.history.change(
        "archive",
        namespace=tuple(account.meta.name for account in mine),
        ids=args.ids,
        type=args.type,
        since=args.startdate,
        until=args.enddate,
        delete=delete,
    )
    return Single(Done(success=told["changed"] > 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEventTypes:
    """Arguments: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypeResponse:
    """A type of event."""

    name: str


@command("listEventTypes", "Lists the types of events.", item=EventTypeResponse, key="eventtype")
async def list_event_types(call: Call, args: ListEventTypes) -> Answer:
    """Those that are written down here."""
    return Listing(len(TYPES), [EventTypeResponse(name=name) for name in sorted(TYPES)])
