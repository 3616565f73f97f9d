"""What the API and Data components owe tenants: limits, jobs that end, and a history with nothing twice or missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from operators.data.history.database import utc
from operators.data.history.facts import RECORDED, Facts, facts_of
from operators.data.history.tables import EVENTS, OBJECTS, USAGE
from sim.invariants.words import VM, VOLUME, Complaints, name_of, of
from sim.store.server import Event, Table
from sim.tenancy import people

if TYPE_CHECKING:
    from sim.run import Run


@of("virtualmachines")
def limits_are_never_exceeded(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """However many deploy at once, and on whatever replica, nobody gets more than was allowed."""
    if event.type == "DELETED" or event.obj["metadata"]["namespace"] not in people.ACCOUNTS:
        return
    run.listed |= {(event.obj["metadata"]["namespace"], name) for name in event.obj["spec"].get("volumes", ())}
    if event.type != "ADDED":
        return
    has = {
        account: [vm["spec"]["offering"] for vm in run.all(VM) if vm["metadata"]["namespace"] == account]
        for account in people.ACCOUNTS
    }
    yield from _beyond(f"domain {people.DOMAIN}", people.LIMITS, [each for every in has.values() for each in every])
    for account, limits in people.ACCOUNTS.items():
        yield from _beyond(f"account {account}", limits, has[account])


def _beyond(who: str, limits: Mapping[str, int], offerings: list[str]) -> Iterator[str]:
    used = {
        "virtualMachines": len(offerings),
        "cpus": len(offerings),
        "memory": sum(people.MEMORY[each] for each in offerings),
    }
    for what, limit in limits.items():
        if used.get(what, 0) > limit:
            yield f"{who} may have {limit} of {what}, and has {used[what]}"


def jobs_have_ended(run: Run) -> Complaints:
    """Every job that the API told of has ended, and no answer was one of ours gone wrong."""
    client = run.world.client
    for job in client.jobs if client is not None else ():
        if not job.state:
            yield f"the job {job.id} of {job.user}'s {job.what} has not ended since {job.begun:.3f}"
    yield from client.broken if client is not None else ()


def nothing_is_deployed_twice(run: Run) -> Complaints:
    """A deployment that was asked for again after its answer was lost leaves no second data volume."""
    for volume in run.all(VOLUME) if run.world.client is not None else ():
        meta = volume["metadata"]
        mine = meta["namespace"] in people.ACCOUNTS and "-data" in meta["name"]
        if mine and (meta["namespace"], meta["name"]) not in run.listed:
            yield f"{name_of(volume)} was made for a machine that never came to be"


def caches_are_up_to_date(run: Run) -> Complaints:
    """What every process takes to be there is what is there; so is what Data answers."""
    for process in run.world.processes.values():
        if process.manager is None:
            continue
        for stream in process.streams:
            if stream.watch.kind.plural == "leases":
                continue  # which are renewed all the time
            records = stream.table.records.values()
            wanted = {
                (each.obj["metadata"].get("namespace", ""), each.obj["metadata"]["name"]): each.obj["metadata"][
                    "resourceVersion"
                ]
                for each in records
                if stream.chosen(each.obj)
            }
            cached = process.manager.cache.all(stream.watch.kind)
            known = {(each.key.namespace, each.key.name): each.meta.resource_version for each in cached}
            if stream.watch.field_selector:
                # What is another host's was asked for by name, and is asked for again whenever it matters.
                known = {key: version for key, version in known.items() if key in wanted}
            if wanted != known:
                where = sorted(wanted.items() ^ known.items())[:3]
                yield f"{process.name} knows other {stream.watch.kind.plural} than there are: {where}"


def history_is_complete(run: Run) -> Complaints:
    """The database has every event and every use of what is there, and the end of all that is not."""
    records = run.world.records
    if records is None or records.away:
        return
    facts = {each.uid: each for each in _facts(run)}
    with records.engine.connect() as connection:
        events = set(connection.scalars(sa.select(EVENTS.c.id)))
        alive = set(connection.scalars(sa.select(OBJECTS.c.uid).where(OBJECTS.c.gone_at.is_(None))))
        usage = connection.execute(sa.select(USAGE).order_by(USAGE.c.began, USAGE.c.seq)).all()
    for uid, each in facts.items():
        if lacking := [event.type for event in each.events if event.id not in events]:
            yield f"history lacks {lacking} of {each.kind} {each.namespace}/{each.name}"
        if uid not in alive:
            yield f"history does not know that {each.kind} {each.namespace}/{each.name} is there"
    for uid in alive - facts.keys():
        yield f"history takes {uid} to be there, which is gone"
    yield from _wrong_usage(run, facts, usage)


def _facts(run: Run) -> Iterator[Facts]:
    for kind in RECORDED:
        for obj in run.all((kind.group, kind.plural)):
            yield facts_of(kind.parse(obj))


def _wrong_usage(run: Run, facts: Mapping[str, Facts], usage: Any) -> Complaints:
    open_: dict[tuple[str, int], tuple[int, str]] = {}
    last: dict[tuple[str, int], Any] = {}
    clocks_agree = not any(trouble.kind == "skew" for trouble in run.scenario.troubles)
    for row in usage:
        key = row.uid, row.type
        if key in open_:
            yield f"history counts {row.kind} {row.namespace}/{row.name} twice, for {row.type}"
        if clocks_agree and key in last and utc(row.began) < last[key]:
            yield f"history counts {row.kind} {row.namespace}/{row.name} twice from {row.began} on, for {row.type}"
        if row.ended is None:
            open_[key] = row.amount, row.detail
        else:
            last[key] = utc(row.ended)
    wanted = {(uid, meter.type): (meter.amount, meter.detail) for uid, each in facts.items() for meter in each.meters}
    for key in sorted(wanted.items() ^ open_.items(), key=str)[:3]:
        yield f"history takes other things to be used than are: {key}"
