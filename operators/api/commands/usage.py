"""Usage: who used how much of what between two days, as the Data service wrote it down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from operators.api import errors
from operators.api.call import Call, OwnedListArgs, OwnerArgs
from operators.api.commands.events import asked_namespaces, paged
from operators.api.declare import ADMINS, Answer, Listing, boolean, command, date, integer, long, string, uuid
from operators.api.directory import Account
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.wire import Date, Long
from operators.api.wire import date as written
from operators.contract.identity import ACCOUNT

GIB = 2**30
TYPES = {
    1: ("Running Vm Usage", "running virtual machine"),
    2: ("Allocated Vm Usage", "allocated virtual machine"),
    3: ("IP Address Usage", "public address"),
    6: ("Volume Usage", "volume"),
    7: ("Template Usage", "template"),
    9: ("Snapshot Usage", "snapshot"),
}
SIZED = frozenset({6, 7, 9})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTypeResponse:
    """Something that is metered."""

    id: int
    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUsageTypes:
    """Arguments: none."""


@command("listUsageTypes", "Lists what is metered.", item=UsageTypeResponse, key="usagetype", roles=ADMINS)
async def list_usage_types(call: Call, args: ListUsageTypes) -> Answer:
    """What is written down here."""
    found = [UsageTypeResponse(id=number, name=name, description=about) for number, (name, about) in TYPES.items()]
    return Listing(len(found), found)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecordResponse(OwnedResponse):
    """One stretch of use, cut to the time that was asked about."""

    accountid: str | None
    usageid: str
    usagetype: int
    description: str
    name: str
    usage: str
    rawusage: str
    size: Long | None
    virtualmachineid: str | None
    startdate: Date | None
    enddate: Date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUsageRecords(OwnerArgs):
    """Arguments."""

    keyword: str = string("Those whose description contains this")
    page: int | None = integer("The page, counted from 1; needs pagesize")
    pagesize: int | None = integer("Entries of a page, at most 500; needs page")
    isrecursive: bool = boolean("Whether domainid means the domains beneath it, too")

    startdate: datetime = date("From this day on", required=True)
    enddate: datetime = date("To this day, and with it when no time of day is given", required=True)
    accountid: Account | None = uuid("What this account used", ACCOUNT)
    type: int | None = long("What is metered, by its number")
    usageid: str = string("What this object used")


@command(
    "listUsageRecords",
    "Lists what was used: hours of virtual machines and addresses, hours and sizes of volumes, templates, snapshots.",
    item=UsageRecordResponse,
    key="usagerecord",
    roles=ADMINS,
    ignored="oldformat includetags",
)
async def list_usage_records(call: Call, args: ListUsageRecords) -> Answer:
    """Of all that the caller sees, or of whom it asks about."""
    end = args.enddate + timedelta(days=1) if _is_day(args.enddate) else args.enddate
    if end <= args.startdate:
        raise errors.invalid("Incorrect Date Range. Start date is after end date")
    space = (args.accountid.meta.name,) if args.accountid else ()
    scope = OwnedListArgs(
        account=args.account,
        domainid=args.domainid,
        projectid=args.projectid,
        isrecursive=args.isrecursive,
        listall=True,
    )
    told = await call.history.ask(
        "usage",
        since=args.startdate,
        until=min(end, call.clock.now()) if end > call.clock.now() > args.startdate else end,
        namespace=space or asked_namespaces(call, scope),
        type=args.type,
        uid=args.usageid,
        **paged(args.page, args.pagesize),
    )
    records = [_record(call, row) for row in told["items"]]
    return Listing(told["total"], [each for each in records if args.keyword.lower() in each.description.lower()])


def _is_day(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second) == (0, 0, 0)


def _record(call: Call, row: dict[str, Any]) -> UsageRecordResponse:
    account = call.directory.account_of(row["namespace"])
    about = TYPES.get(row["type"], ("", "something"))[1]
    size = f", {row['amount'] / GIB:.2f} GB" if row["type"] in SIZED else ""
    return UsageRecordResponse(
        accountid=account.meta.uid if account else None,
        usageid=row["uid"],
        usagetype=row["type"],
        description=f"{about} {row['name']}{size} ({row['detail']})"
        if row["detail"]
        else f"{about} {row['name']}{size}",
        name=row["name"],
        usage=f"{row['hours']:.6f} Hrs",
        rawusage=f"{row['hours']:.6f}",
        size=Long(row["amount"]) if row["type"] in SIZED else None,
        virtualmachineid=row["uid"] if row["type"] in (1, 2) else None,
        startdate=written(row["began"]),
        enddate=written(row["ended"]),
        **whose(call, row["namespace"]),
    )
