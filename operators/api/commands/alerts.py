"""Alerts: what is wrong with hosts and pools at this moment. What is over is in the history of events."""

from __future__ import annotations

import uuid as rfc
from collections.abc import Iterator
from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import name_of
from operators.api.declare import ROOT_ADMIN, Answer, command, identifier, string
from operators.api.wire import Date, Short, date
from operators.contract.fabric import HOST, STORAGE_POOL
from operators.contract.meta import Condition, condition
from operators.contract.reasons import Type

HOST_ALERT, POOL_ALERT = 7, 20
NAMES = {HOST_ALERT: "ALERT.COMPUTE.HOST", POOL_ALERT: "ALERT.STORAGE.MISC"}
"""CloudStack's numbers and names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertResponse:
    """Something that is wrong."""

    id: str
    type: Short
    name: str
    description: str
    sent: Date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAlerts(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the alert")
    name: str = string("Name of the alert, such as ALERT.COMPUTE.HOST")
    type: str = string("Number of the alert's type: 7 for hosts, 20 for pools")


@command("listAlerts", "Lists what is wrong with hosts and pools.", item=AlertResponse, key="alert", roles=ROOT_ADMIN)
async def list_alerts(call: Call, args: ListAlerts) -> Answer:
    """From the conditions of Hosts and StoragePools; an alert ends with what it is about."""
    found = [
        each
        for each in _alerts(call)
        if args.id in ("", each.id)
        and args.name in ("", each.name)
        and args.type in ("", str(each.type))
        and contains(args.keyword, each.description)
    ]
    return listing(args, found, lambda each: each)


def _alerts(call: Call) -> Iterator[AlertResponse]:
    for host in call.cloud.all(HOST):
        told = condition(host.status.conditions, Type.REACHABLE)
        if told is not None and not told.true:
            yield _alert(HOST_ALERT, host.meta.uid, f"Host {name_of(host)} is not up", told)
    for pool in call.cloud.all(STORAGE_POOL):
        told = condition(pool.status.conditions, Type.READY)
        if told is not None and not told.true:
            yield _alert(POOL_ALERT, pool.meta.uid, f"Pool {name_of(pool)} is not ready", told)


def _alert(number: int, uid: str, what: str, told: Condition) -> AlertResponse:
    return AlertResponse(
        id=str(rfc.uuid5(rfc.NAMESPACE_OID, f"alert:{uid}:{told.reason}:{told.last_transition_time}")),
        type=Short(number),
        name=NAMES[number],
        description=f"{what}: {told.message or told.reason}",
        sent=date(told.last_transition_time),
    )
