"""Who may write what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.invariants.words import PEOPLE, TERMINAL, USERS, Complaints, name_of, of, status_of
from sim.store.server import Event, Table

if TYPE_CHECKING:
    from sim.run import Run


@of(*USERS)
def nobody_writes_a_users_spec(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """No controller writes a user's spec, labels or annotations."""
    if event.type != "MODIFIED" or author in PEOPLE or event.before is None or author.startswith("api#"):
        return  # the API writes what its callers ask for
    if event.obj.get("spec", {}).get("moment") and author.startswith("compute"):
        return  # one disk's share of a VirtualMachineSnapshot, which Compute made, and brings back
    for part in ("spec", "data"):
        if event.obj.get(part) != event.before.get(part):
            yield f"{author} wrote the {part} of {name_of(event.obj)}"
    for part in ("labels", "annotations", "ownerReferences"):
        if event.obj["metadata"].get(part) != event.before["metadata"].get(part):
            yield f"{author} wrote the {part} of {name_of(event.obj)}"


def agents_write_only_status_of_their_own(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """An agent writes only the status of objects of its own host."""
    _, at, host = author.partition("@")
    if not at or table.resource.plural == "leases":
        return
    if event.type != "MODIFIED" or event.before is None or event.obj.get("spec") != event.before.get("spec"):
        yield f"{author} did more to {name_of(event.obj)} than write its status"
    elif event.obj["spec"].get("hostName") != host:
        yield f"{author} wrote {name_of(event.obj)} of host {event.obj['spec'].get('hostName')}"


@of("flows")
def a_flow_ends_once(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """A Flow that ended stays as it ended."""
    if event.before is None or event.type != "MODIFIED":
        return
    before, now = status_of(event.before).get("state"), status_of(event.obj).get("state")
    if before in TERMINAL and now != before:
        yield f"{name_of(event.obj)} had ended as {before} and is {now} now"


def quota_holds(run: Run, table: Table, event: Event, author: str) -> Complaints:
    """What a ResourceQuota limits is never more than its limit."""
    if event.type != "ADDED":
        return
    for quota in run.all(("", "resourcequotas")):
        where = quota["metadata"]["namespace"]
        hard = quota["spec"]["hard"].get(f"count/{table.resource.named}")
        count = sum(1 for key in table.records if key[0] == where)
        if hard is not None and event.obj["metadata"].get("namespace") == where and count > int(hard):
            yield f"{count} {table.resource.plural} in {where}, where {hard} are allowed"
