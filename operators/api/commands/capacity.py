"""Capacity: what zones have, and what was given out of it."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, command, integer, uuid
from operators.api.wire import Long, Short
from operators.contract.fabric import ZONE

MEMORY, CPU, STORAGE, STORAGE_GIVEN = 0, 1, 2, 3
NAMES = {MEMORY: "MEMORY", CPU: "CPU_CORE", STORAGE: "STORAGE", STORAGE_GIVEN: "STORAGE_ALLOCATED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityResponse:
    """How much a zone has of something."""

    type: Short
    name: str
    zoneid: str
    zonename: str
    capacityused: Long
    capacitytotal: Long
    percentused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListCapacity(ListArgs):
    """Arguments."""

    zoneid: Zone | None = uuid("That of this zone", ZONE)
    type: int | None = integer("0 memory, 1 CPUs, 2 storage used, 3 storage given out; others are not counted")


@command(
    "listCapacity",
    "Lists what zones have and what was given out of it; CPUs in cores.",
    item=CapacityResponse,
    key="capacity",
    roles=ROOT_ADMIN,
    refused="clusterid podid sortby tag",
    ignored="fetchlatest",
)
async def list_capacity(call: Call, args: ListCapacity) -> Answer:
    """As the Data service counts it, always anew."""
    told = (await call.history.ask("capacity"))["zones"]
    found = []
    for zone in call.cloud.all(ZONE, None, lambda obj: args.zoneid in (None, obj)):
        has = told.get(zone.meta.name, {})
        figures = {
            MEMORY: (has.get("memoryGiven", 0), has.get("memory", 0)),
            CPU: (has.get("cpusGiven", 0), has.get("cpus", 0)),
            STORAGE: (has.get("storageUsed", 0), has.get("storage", 0)),
            STORAGE_GIVEN: (has.get("storageGiven", 0), has.get("storage", 0)),
        }
        found += [_capacity(zone, type_, *each) for type_, each in figures.items() if args.type in (None, type_)]
    return listing(args, [each for each in found if contains(args.keyword, each.name)], lambda each: each)


def _capacity(zone: Zone, type_: int, used: int, total: int) -> CapacityResponse:
    return CapacityResponse(
        type=Short(type_),
        name=NAMES[type_],
        zoneid=zone.meta.uid,
        zonename=name_of(zone),
        capacityused=Long(used),
        capacitytotal=Long(total),
        percentused=f"{100 * used / total if total else 0:.2f}",
    )
