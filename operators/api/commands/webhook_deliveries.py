"""What webhooks are owed, as the Data service keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from operators.api import errors
from operators.api.call import MOST, Call, ListArgs
from operators.api.cloud import Webhook, name_of
from operators.api.declare import Answer, Listing, Single, command, date, identifier, string, uuid
from operators.api.responses.done import Done
from operators.api.wire import Date
from operators.api.wire import date as written
from operators.contract.webhooks import WEBHOOK

DELIVERED = "delivered"
LOOKS, PAUSE = 40, 0.5
"""How often, and seconds apart, it is looked how a delivery went that is tried again: the Data service tries what is
due every few seconds, and waits for an answer for some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResponse:
    """One event's way to one webhook."""

    id: str
    eventid: str
    eventtype: str
    webhookid: str
    webhookname: str
    success: bool
    response: str | None
    startdate: Date | None
    enddate: Date | None


def _response(found: dict[str, Any], of: dict[str, Webhook]) -> DeliveryResponse:
    over = found["state"] != "pending"
    waits = "it is to be sent" if not found["attempts"] else "it is tried again"
    return DeliveryResponse(
        id=str(UUID(int=found["id"])),
        eventid=found["event"],
        eventtype=found["type"],
        webhookid=found["receiver"],
        webhookname=name_of(of[found["receiver"]]),
        success=found["state"] == DELIVERED,
        response=found["said"] or (None if over else waits),
        startdate=written(found["began"]),
        enddate=written(found["due"]) if over else None,
    )


def _number(command_: str, text: str) -> int | None:
    """A delivery's number, which its ID says in CloudStack's form."""
    if not text:
        return None
    try:
        return UUID(text).int if UUID(text).int < 2**62 else -1
    except ValueError:
        raise errors.no_entity(command_, "id", text) from None


def _receivers(call: Call, chosen: Webhook | None) -> dict[str, Webhook]:
    """The webhooks whose deliveries a caller may see, by uid: the one that is asked about, or all its own."""
    if chosen is not None:
        return {chosen.meta.uid: chosen}
    every = call.cloud.all(WEBHOOK, None, lambda obj: call.directory.sees(call.caller, obj))
    return {each.meta.uid: each for each in every}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDeliveries(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the delivery")
    webhookid: Webhook | None = uuid("Those of this webhook", WEBHOOK)
    eventtype: str = string("Those of events of this type, such as VM.CREATE")
    startdate: datetime | None = date("Those of events from this moment on")
    enddate: datetime | None = date("Those of events before this moment")


@command(
    "listWebhookDeliveries",
    "Lists what webhooks were sent, are owed, and never took.",
    item=DeliveryResponse,
    key="webhookdelivery",
    refused="managementserverid",
)
async def list_deliveries(call: Call, args: ListDeliveries) -> Answer:
    """From the Data service, for as long as it keeps them."""
    receivers, number = _receivers(call, args.webhookid), _number("listWebhookDeliveries", args.id)
    if not receivers or number == -1:
        return Listing(0, ())
    size = MOST if args.pagesize in (None, -1) else args.pagesize or MOST
    told = await call.history.ask(
        "deliveries",
        state="any",
        receiver=tuple(receivers),
        id=number,
        type=args.eventtype or args.keyword,
        since=args.startdate,
        until=args.enddate,
        offset=((args.page or 1) - 1) * size,
        limit=size,
    )
    return Listing(told["total"], [_response(each, receivers) for each in told["items"]])


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteDelivery:
    """Arguments."""

    id: str = identifier("ID of the delivery that is to be tried again")
    webhookid: Webhook | None = uuid("Its webhook", WEBHOOK)


@command(
    "executeWebhookDelivery",
    "Sends an event to its webhook once more, and tells how that went.",
    item=DeliveryResponse,
    key="webhookdelivery",
    refused="payload payloadurl secretkey sslverification",
)
async def execute_delivery(call: Call, args: ExecuteDelivery) -> Answer:
    """It is made due, and looked at until it was tried."""
    name, receivers = "executeWebhookDelivery", _receivers(call, args.webhookid)
    number = _number(name, args.id)
    if number is None:
        raise errors.missing(name, "id")
    chosen: dict[str, Any] = {"receiver": tuple(receivers), "id": number}
    if number == -1 or not receivers or not (await call.history.change("redeliver", **chosen))["changed"]:
        raise errors.no_entity(name, "id", args.id)
    found: Sequence[dict[str, Any]] = ()
    for _ in range(LOOKS):
        found = (await call.history.ask("deliveries", state="any", **chosen))["items"]
        if not found or found[0]["attempts"]:
            break
        await asyncio.sleep(PAUSE)
    if not found:
        raise errors.no_entity(name, "id", args.id)
    return Single(_response(found[0], receivers))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDelivery:
    """Arguments."""

    id: str = identifier("ID of the delivery")
    webhookid: Webhook | None = uuid("Those of this webhook", WEBHOOK)
    startdate: datetime | None = date("Those of events from this moment on")
    enddate: datetime | None = date("Those of events before this moment")


@command(
    "deleteWebhookDelivery",
    "Forgets deliveries. What was still to be sent is not.",
    item=Done,
    refused="managementserverid",
)
async def delete_delivery(call: Call, args: DeleteDelivery) -> Answer:
    """One, or those of a webhook, or of a time; never all at once by saying nothing."""
    name, receivers = "deleteWebhookDelivery", _receivers(call, args.webhookid)
    number = _number(name, args.id)
    if number is None and args.webhookid is None and args.startdate is None and args.enddate is None:
        raise errors.missing(name, "id")
    if receivers and number != -1:
        await call.history.change(
            "forget", receiver=tuple(receivers), id=number, since=args.startdate, until=args.enddate
        )
    return Single(Done())
