"""Snapshot policies, which are SnapshotSchedules: one each for what is asked for by the API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, listing, owned
from operators.api.changing import remove, update
from operators.api.cloud import Schedule, Volume, name_of
from operators.api.declare import Answer, Single, Started, command, integer, string, uuid, uuids
from operators.api.jobs import CREATION, job_id
from operators.api.responses.done import Done
from operators.api.responses.snapshot_policy import DAYS, RULES, SnapshotPolicyResponse, policies, rule_of
from operators.contract.codec import to_wire
from operators.contract.snapshots import SNAPSHOT_SCHEDULE, Daily, Hourly, SnapshotScheduleSpec, Weekly
from operators.contract.storage import VOLUME

MOST = 100
"""Snapshots that a schedule keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSnapshotPolicy:
    """Arguments."""

    volumeid: Volume = uuid("ID of the volume", VOLUME, required=True)
    intervaltype: str = string("HOURLY, DAILY or WEEKLY", required=True)
    schedule: str = string("When: MM of the hour, MM:HH of the day, MM:HH:D of the week (1 is Sunday)", required=True)
    timezone: str = string("Time zone of the schedule, such as Europe/Zurich", required=True)
    maxsnaps: int = integer("How many snapshots are kept, 1 to 100", required=True)


@command(
    "createSnapshotPolicy",
    "Has snapshots of a volume taken at set times. One of each interval: another one changes it.",
    item=SnapshotPolicyResponse,
    key="snapshotpolicy",
    refused="storageids tags usestoragereplication zoneids",
    ignored="fordisplay",
)
async def create_snapshot_policy(call: Call, args: CreateSnapshotPolicy) -> Answer:
    """The SnapshotSchedule that kubectl would make, which goes with its volume."""
    volume, rule = args.volumeid, args.intervaltype.upper()
    if volume.meta.deleting:
        raise errors.invalid(f"Volume {name_of(volume)} is being deleted")
    spec = _spec(args, rule)
    found = next((each for each in _of(call, volume) if rule_of(each.spec) == rule), None)
    if found is not None:
        wire = to_wire(spec)
        about = {key: wire[key] for key in (rule.lower(), "timeZone")}
        return Single(policies(call, await update(call, found, about))[0])
    owner = to_wire(replace(volume.owner, controller=False, block_owner_deletion=False))
    name = f"{volume.meta.name[:40]}-{rule.lower()}"
    made = await naming.create(
        call, SNAPSHOT_SCHEDULE, volume.meta.namespace, name, to_wire(spec), ownerReferences=[owner]
    )
    return Single(policies(call, SNAPSHOT_SCHEDULE.parse(made))[0])


def _of(call: Call, volume: Volume) -> list[Schedule]:
    return call.cloud.all(
        SNAPSHOT_SCHEDULE,
        (volume.meta.namespace,),
        lambda each: each.spec.volume == volume.meta.name and not each.meta.deleting,
    )


def _spec(args: CreateSnapshotPolicy, rule: str) -> SnapshotScheduleSpec:
    if rule == "MONTHLY":
        raise errors.ApiError(432, "intervaltype MONTHLY is not supported yet: HOURLY, DAILY and WEEKLY are")
    if rule not in RULES:
        raise errors.invalid(f"Unsupported interval type {args.intervaltype}: it must be HOURLY, DAILY or WEEKLY")
    if not 1 <= args.maxsnaps <= MOST:
        raise errors.invalid(f"maxSnaps must be between 1 and {MOST}")
    try:
        ZoneInfo(args.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise errors.invalid(f"Invalid timezone {args.timezone}: it must be one such as UTC or Europe/Zurich") from None
    blank = SnapshotScheduleSpec(args.volumeid.meta.name, time_zone=args.timezone)
    match _numbers(args.schedule):
        case [minute] if rule == "HOURLY" and minute < 60:
            return replace(blank, hourly=Hourly(minute, args.maxsnaps))
        case [minute, hour] if rule == "DAILY" and minute < 60 and hour < 24:
            return replace(blank, daily=Daily(f"{hour:02}:{minute:02}", args.maxsnaps))
        case [minute, hour, day] if rule == "WEEKLY" and minute < 60 and hour < 24 and 1 <= day <= len(DAYS):
            return replace(blank, weekly=Weekly(DAYS[day - 1], f"{hour:02}:{minute:02}", args.maxsnaps))
    form = {"HOURLY": "MM", "DAILY": "MM:HH", "WEEKLY": "MM:HH:D, where D is 1 for Sunday"}[rule]
    raise errors.invalid(f"Invalid schedule {args.schedule} for interval type {rule}: it must be {form}")


def _numbers(schedule: str) -> list[int]:
    """The parts of a schedule; none when one of them is no number."""
    parts = schedule.split(":")
    if not all(part.isascii() and part.isdecimal() and len(part) < 3 for part in parts):
        return []
    return [int(part) for part in parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSnapshotPolicies(OwnedListArgs):
    """Arguments."""

    id: Schedule | None = uuid("ID of the policy", SNAPSHOT_SCHEDULE)
    volumeid: Volume | None = uuid("Those of this volume", VOLUME)


@command(
    "listSnapshotPolicies",
    "Lists when snapshots of volumes are taken.",
    item=SnapshotPolicyResponse,
    key="snapshotpolicy",
    ignored="fordisplay",
)
async def list_snapshot_policies(call: Call, args: ListSnapshotPolicies) -> Answer:
    """One for each rule of a SnapshotSchedule; those of one share its id."""
    volume = args.volumeid
    if volume is not None:
        found = [each for each in _of(call, volume) if args.id is None or each.meta.uid == args.id.meta.uid]
    else:
        found = owned(call, SNAPSHOT_SCHEDULE, args, args.id, lambda each: not each.meta.deleting)
    shown = [each for schedule in found for each in policies(call, schedule)]
    word = args.keyword.lower()
    return listing(args, [each for each in shown if word in each.volumename.lower()], lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSnapshotPolicies:
    """Arguments."""

    id: Schedule | None = uuid("ID of the policy", SNAPSHOT_SCHEDULE)
    ids: tuple[Schedule, ...] = uuids("IDs of policies, in place of id", SNAPSHOT_SCHEDULE)


@command("deleteSnapshotPolicies", "Ends snapshot policies; the snapshots that were taken stay.", item=Done)
async def delete_snapshot_policies(call: Call, args: DeleteSnapshotPolicies) -> Answer:
    """Each is deleted once, however often it is named."""
    if (args.id is None) == (not args.ids):
        raise errors.invalid("Please specify either id or ids of the snapshot policies to delete")
    for each in {obj.meta.uid: obj for obj in (*args.ids, *((args.id,) if args.id else ()))}.values():
        await remove(call, each)
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSnapshotPolicy:
    """Arguments."""

    id: Schedule | None = uuid("ID of the policy", SNAPSHOT_SCHEDULE)


@command(
    "updateSnapshotPolicy",
    "Changes how a policy is shown, which there is no choice of; createSnapshotPolicy changes when it works.",
    item=SnapshotPolicyResponse,
    key="snapshotpolicy",
    asynchronous=True,
    refused="customid",
    ignored="fordisplay",
)
async def update_snapshot_policy(call: Call, args: UpdateSnapshotPolicy) -> Answer:
    """CloudStack lets nothing else be changed here, either."""
    if args.id is None:
        raise errors.missing("updateSnapshotPolicy", "id")
    return Started(job_id(args.id.meta.uid, CREATION))
