"""Events and usage by HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

from operators.contract.codec import Json
from operators.data.history import deliveries, queries
from operators.data.history.database import Database
from operators.data.rest.declare import LIST, BadRequest, Endpoint, Param, Values
from operators.data.rest.objects import PAGE

SINCE = Param("since", "From this moment on", "date-time")
UNTIL = Param("until", "Before this moment", "date-time")
EVENTS = (
    Param("namespace", "Those in these namespaces; all when left out", "list"),
    Param("id", "The one of this id"),
    Param("type", "Those of this type, such as VM.CREATE"),
    Param("level", "INFO, WARN or ERROR"),
    Param("aboutId", "Those about the object of this uid"),
    Param("aboutKind", "Those about objects of this kind"),
    Param("search", "Those whose description contains this"),
    Param("archived", "Whether to tell those that were archived, in place of the others", "boolean", default=False),
    SINCE,
    UNTIL,
    *PAGE,
)
USAGE = (
    Param("since", "From this moment on", "date-time", required=True),
    Param("until", "Before this moment", "date-time", required=True),
    Param("namespace", "What these namespaces used; all when left out", "list"),
    Param("type", "What is metered, by CloudStack's number", "integer"),
    Param("uid", "What this object used"),
    *PAGE,
)
OF = (
    Param("receiver", "Those of the Webhooks of these uids", "list"),
    Param("id", "The one of this number", "integer", maximum=2**62),
    Param("type", "Those of events of this type"),
    SINCE,
    UNTIL,
)
DELIVERIES = (Param("state", "pending, delivered, dead or any; dead by default", default="dead"), *OF, *PAGE)
CHOSEN = (Param("receiver", "Those of the Webhooks of these uids", "list", required=True), *OF[1:])
ARCHIVE = (
    Param("namespace", "Those in these namespaces", "list", required=True),
    Param("ids", "Those of these ids", "list"),
    Param("type", "Those of this type"),
    SINCE,
    UNTIL,
    Param("delete", "Whether to delete them, in place of archiving", "boolean", default=False),
)


class Told:
    """The endpoints over one database."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def endpoints(self) -> tuple[Endpoint, ...]:
        """All of them."""
        return (
            Endpoint("/data/v1/events", "What happened, the newest first", self.events, EVENTS, LIST),
            Endpoint("/data/v1/archive", "Archive or delete events", self.archive, ARCHIVE, method="POST"),
            Endpoint(
                "/data/v1/deliveries", "What the event bus is owed, or never took", self.deliveries, DELIVERIES, LIST
            ),
            Endpoint("/data/v1/redeliver", "Try deliveries once more, at once", self.redeliver, CHOSEN, method="POST"),
            Endpoint("/data/v1/forget", "Forget deliveries", self.forget, CHOSEN, method="POST"),
            Endpoint("/data/v1/usage", "What was used between two moments", self.usage, USAGE, LIST),
        )

    async def events(self, values: Values) -> Json:
        """A page of events."""
        query = queries.EventQuery(
            namespaces=values["namespace"],
            ids=(values["id"],) if values["id"] else (),
            type=values["type"],
            level=values["level"],
            about_id=values["aboutId"],
            about_kind=values["aboutKind"],
            search=values["search"],
            since=values["since"],
            until=values["until"],
            archived=values["archived"],
            offset=values["offset"],
            limit=values["limit"],
        )
        found = await queries.events(self._database, query)
        return {"total": found.total, "items": [asdict(event) for event in found.items]}

    async def archive(self, values: Values) -> Json:
        """How many were archived or deleted."""
        query = queries.EventQuery(
            namespaces=values["namespace"],
            ids=values["ids"],
            type=values["type"],
            since=values["since"],
            until=values["until"],
        )
        return {"changed": await queries.archive(self._database, query, delete=values["delete"])}

    async def deliveries(self, values: Values) -> Json:
        """A page of deliveries."""
        state = values["state"] or deliveries.DEAD
        query = _chosen(values, "" if state == "any" else state, values["offset"], values["limit"])
        found = await deliveries.deliveries(self._database, query)
        return {"total": found.total, "items": [asdict(row) for row in found.items]}

    async def redeliver(self, values: Values) -> Json:
        """How many are tried again."""
        return {"changed": await deliveries.again(self._database, _chosen(values), self._now())}

    async def forget(self, values: Values) -> Json:
        """How many were forgotten."""
        return {"changed": await deliveries.drop(self._database, _chosen(values))}

    async def usage(self, values: Values) -> Json:
        """A page of usage."""
        if values["until"] <= values["since"]:
            raise BadRequest("until must be later than since")
        query = queries.UsageQuery(
            since=values["since"],
            until=values["until"],
            namespaces=values["namespace"],
            type=values["type"],
            uid=values["uid"],
            offset=values["offset"],
            limit=values["limit"],
        )
        found = await queries.usage(self._database, query)
        return {"total": found.total, "items": [asdict(row) for row in found.items]}


def _chosen(values: Values, state: str = "", offset: int = 0, limit: int = 0) -> deliveries.DeliveryQuery:
    return deliveries.DeliveryQuery(
        state=state,
        receivers=values["receiver"],
        id=values["id"],
        type=values["type"],
        since=values["since"],
        until=values["until"],
        offset=offset,
        limit=limit,
    )
