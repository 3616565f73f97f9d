"""What is declared is what CloudStack has: names, types and fields. The facts are in `contract.jsonl`, one command a line."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from operators.api.commands import ALL
from operators.api.commands.system import response_fields
from operators.api.declare import Declared
from operators.api.doors import LOGIN, LOGOUT
from operators.api.known import NAMES
from operators.api.missing import WHY

FACTS = Path(__file__).with_name("contract.jsonl")
DECLARED: tuple[Declared, ...] = (*ALL, LOGIN, LOGOUT)
SAME = {"set": "list", "int": "integer"}
"""Names of types that look alike on the wire."""
OWN = {"jobid", "jobstatus"}

each_command = pytest.mark.parametrize("command", DECLARED, ids=lambda command: command.name)


SOON = {"updateIso"}
"""Commands that clients call and somebody is at."""
_WEBHOOK = {
    **dict.fromkeys(("id", "name", "description", "state", "scope", "payloadurl", "secretkey"), "string"),
    **dict.fromkeys(("account", "domain", "domainid", "domainpath", "project", "projectid"), "string"),
    "sslverification": "boolean",
    "created": "date",
}
_ABOUT_WEBHOOK = {
    **dict.fromkeys(("description", "state", "scope", "secretkey"), "string"),
    "sslverification": "boolean",
}
_SCOPED = {
    **dict.fromkeys(("account", "keyword"), "string"),
    **dict.fromkeys(("domainid", "projectid"), "uuid"),
    **dict.fromkeys(("listall", "isrecursive"), "boolean"),
    **dict.fromkeys(("page", "pagesize"), "integer"),
}
_DELIVERY = {
    **dict.fromkeys(("id", "eventid", "eventtype", "webhookid", "webhookname", "headers", "payload"), "string"),
    **dict.fromkeys(("managementserverid", "managementservername", "response"), "string"),
    "success": "boolean",
    **dict.fromkeys(("startdate", "enddate"), "date"),
}
_CHOSEN = {
    **dict.fromkeys(("id", "webhookid", "managementserverid"), "uuid"),
    **dict.fromkeys(("startdate", "enddate"), "date"),
}


def _beyond(params: dict[str, str], response: dict[str, str]) -> dict[str, Any]:
    return {"params": params, "response": response, "async": False}


_SUCCESS = {"success": "boolean", "displaytext": "string"}
BEYOND: dict[str, Any] = {
    "createWebhook": _beyond(
        {
            "name": "string!",
            "payloadurl": "string!",
            **_ABOUT_WEBHOOK,
            **{name: _SCOPED[name] for name in ("account", "domainid", "projectid")},
        },
        _WEBHOOK,
    ),
    "listWebhooks": _beyond({**_SCOPED, "id": "uuid", **dict.fromkeys(("name", "state", "scope"), "string")}, _WEBHOOK),
    "updateWebhook": _beyond({"id": "uuid!", "name": "string", "payloadurl": "string", **_ABOUT_WEBHOOK}, _WEBHOOK),
    "deleteWebhook": _beyond({"id": "uuid!"}, _SUCCESS),
    "listWebhookDeliveries": _beyond(
        {**_CHOSEN, "eventtype": "string", **{name: _SCOPED[name] for name in ("keyword", "page", "pagesize")}},
        _DELIVERY,
    ),
    "deleteWebhookDelivery": _beyond(_CHOSEN, _SUCCESS),
    "executeWebhookDelivery": _beyond(
        {
            **dict.fromkeys(("id", "webhookid"), "uuid"),
            **dict.fromkeys(("payload", "payloadurl", "secretkey"), "string"),
            "sslverification": "boolean",
        },
        _DELIVERY,
    ),
    "getApiLimit": {
        "params": {},
        "response": {
            "account": "string",
            "accountid": "string",
            "apiIssued": "integer",
            "apiAllowed": "integer",
            "expireAfter": "integer",
        },
        "async": False,
    },
    "updateImageStore": {
        "params": {"id": "uuid!", "name": "string", "readonly": "boolean", "capacitybytes": "long"},
        "response": {
            "id": "string",
            "name": "string",
            "url": "string",
            "protocol": "string",
            "providername": "string",
            "readonly": "boolean",
        },
        "async": False,
    },
    **{
        f"getUploadParamsFor{what}": {
            "params": dict.fromkeys(["name", "format"], "string!")
            | {"zoneid": "uuid!", "domainid": "uuid", "projectid": "uuid"}
            | dict.fromkeys(["checksum", "account"], "string")
            | more,
            "response": dict.fromkeys(["id", "postURL", "metadata", "expires", "signature"], "string"),
            "async": False,
        }
        for what, more in {
            "Template": {"hypervisor": "string!", "ostypeid": "uuid", "bits": "integer", "details": "map"}
            | dict.fromkeys(["displaytext", "arch", "templatetag", "templatetype"], "string")
            | dict.fromkeys(
                ["isdynamicallyscalable", "isextractable", "isfeatured", "ispublic", "isrouting"], "boolean"
            )
            | dict.fromkeys(["passwordenabled", "requireshvm", "sshkeyenabled", "deployasis", "forcks"], "boolean"),
            "Iso": {"displaytext": "string", "ostypeid": "uuid", "arch": "string"}
            | dict.fromkeys(["bootable", "ispublic", "isextractable", "isfeatured"], "boolean"),
            "Volume": {"diskofferingid": "uuid", "imagestoreuuid": "string"},
        }.items()
    },
    "resetApiLimit": {"params": {"account": "uuid"}, "response": {"success": "boolean"}, "async": False},
}
"""What the file does not have, as CloudStack's documentation says it."""


@cache
def facts() -> dict[str, Any]:
    return BEYOND | {one["name"]: one for one in map(json.loads, FACTS.read_text().splitlines())}


def test_what_is_said_to_be_missing_is() -> None:
    assert not WHY.keys() & {command.name for command in DECLARED}
    assert WHY.keys() <= NAMES


def test_what_clients_call_and_is_missing_has_a_reason() -> None:
    callers = json.loads(FACTS.with_name("callers.json").read_text())
    called = {name for names in callers.values() for name in names}
    assert not sorted(called - WHY.keys() - {command.name for command in DECLARED} - SOON)


def test_every_command_is_declared_once_and_known() -> None:
    assert len({command.name.lower() for command in DECLARED}) == len(DECLARED)
    assert {command.name for command in DECLARED} <= NAMES


@each_command
def test_every_parameter_is_said_once(command: Declared) -> None:
    names = [param.name.lower() for param in command.params]
    assert len(set(names)) == len(names)
    assert not command.refused & command.ignored
    assert not set(names) & (command.refused | command.ignored)
    assert all(param.about for param in command.params)


@each_command
def test_parameters(command: Declared) -> None:
    expected = facts()[command.name]["params"]
    declared = {param.name: param for param in command.params}

    assert declared.keys() | command.refused | command.ignored == expected.keys(), "each is taken, ignored or refused"
    for name, param in declared.items():
        assert param.type == expected[name].rstrip("!"), name
        assert param.required == expected[name].endswith("!"), name


@each_command
def test_responses(command: Declared) -> None:
    expected = facts()[command.name]["response"]

    for name, type_ in response_fields(command.item).items():
        assert name in expected, name
        there = SAME.get(expected[name], expected[name])
        plain = type_ == "string" and there not in ("integer", "long", "boolean", "list", "map", "date")
        assert type_ == there or plain, f"{name}: {type_}, not {there}"


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.name)
def test_jobs_are_jobs(command: Any) -> None:
    assert command.asynchronous == facts()[command.name]["async"]
