"""Errors and answers on the wire, as CloudStack's samples show them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from operators.api import signing
from operators.contract.compute import COMPUTE_OFFERING
from operators.contract.fabric import ZONE
from tests.unit.api.world import World, api_key, secret_key

SAMPLES = Path(__file__).with_name("wire-samples.txt")
NOBODY = "00000000-0000-0000-0000-000000000000"
UNVERIFIED = "unable to verify user credentials and/or request signature"


def no_entity(command: str, name: str = "id", value: str = NOBODY) -> str:
    return (
        f"Unable to execute API command {command} due to invalid value. Invalid parameter {name} value={value} due to incorrect "
        "long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class."
    )


async def raw(world: World, params: dict[str, str], secret: str = "") -> tuple[int, dict[str, str], str]:
    if secret:
        params = params | {"signature": signing.sign(params, secret)}
    async with world.session.get(world.url, params=params) as answer:
        return answer.status, dict(answer.headers), await answer.text()


SIGNED = {"apiKey": api_key("admin"), "response": "json"}
SECRET = secret_key("admin")
ERRORS: list[tuple[str, dict[str, str], str, str, int, int | None, str]] = [
    # what the samples call it, parameters, the secret to sign with, the key, code, finer code, text
    ("bad secret", SIGNED | {"command": "listZones"}, "wrong", "listzonesresponse", 401, None, UNVERIFIED),
    ("unknown command (signed)", SIGNED | {"command": "listUnicorns"}, SECRET, "errorresponse", 401, None, UNVERIFIED),
    ("no command", SIGNED, SECRET, "null", 401, None, UNVERIFIED),
    (
        "unauthenticated, no signature",
        {"command": "listZones", "response": "json"},
        "",
        "listzonesresponse",
        401,
        None,
        UNVERIFIED,
    ),
    (
        "unknown uuid",
        SIGNED | {"command": "listVirtualMachines", "id": NOBODY},
        SECRET,
        "listvirtualmachinesresponse",
        431,
        9999,
        no_entity("listvirtualmachines"),
    ),
    (
        "unknown uuid on async cmd",
        SIGNED | {"command": "startVirtualMachine", "id": NOBODY},
        SECRET,
        "startvirtualmachineresponse",
        431,
        9999,
        no_entity("startvirtualmachine"),
    ),
    (
        "page without pagesize",
        SIGNED | {"command": "listVirtualMachines", "page": "1"},
        SECRET,
        "listvirtualmachinesresponse",
        431,
        9999,
        '"pagesize" parameter is required when "page" is specified',
    ),
    (
        "pagesize too big",
        SIGNED | {"command": "listVirtualMachines", "page": "1", "pagesize": "1000"},
        SECRET,
        "listvirtualmachinesresponse",
        431,
        4350,
        "Page size can't exceed max allowed page size value: 500",
    ),
]


@pytest.mark.parametrize(
    ("sample", "params", "secret", "key", "code", "fine", "text"), ERRORS, ids=lambda v: str(v)[:30]
)
async def test_errors(
    world: World, sample: str, params: dict[str, str], secret: str, key: str, code: int, fine: int | None, text: str
) -> None:
    status, headers, body = await raw(world, params, secret)

    content = {"uuidList": [], "errorcode": code, **({} if fine is None else {"cserrorcode": fine}), "errortext": text}
    assert status == code
    assert json.loads(body) == {key: content}
    assert headers["Content-Type"] == "application/json;charset=utf-8"
    assert headers.get("X-Description") == (None if fine is None else text)
    told = _sample(sample)
    assert (told["status"], told["body"]) == (status, json.loads(body))
    assert told["headers"].get("X-Description") == headers.get("X-Description")


def _sample(name: str) -> dict[str, Any]:
    (block,) = re.findall(rf"^## {re.escape(name)}\nHTTP (\d+)\n(\[.*\])\n(.*)$", SAMPLES.read_text(), re.MULTILINE)
    headers = dict(re.findall(r"\('([^']+)', [\"'](.*?)[\"']\)(?=[,\]])", block[1]))
    return {"status": int(block[0]), "headers": headers, "body": json.loads(block[2])}


async def test_a_missing_parameter(world: World) -> None:
    ids = {"zoneid": world.uid(ZONE, "default"), "templateid": NOBODY}
    status, body = await world.ask("admin", "deployVirtualMachine", zoneid=ids["zoneid"])

    text = "Unable to execute API command deployvirtualmachine due to missing parameter serviceofferingid"
    told = {"uuidList": [], "errorcode": 431, "cserrorcode": 9999, "errortext": text}
    assert (status, body) == (431, {"deployvirtualmachineresponse": told})
    assert body == _sample("missing required param")["body"]


async def test_a_bad_host(world: World) -> None:
    host = "00000000-0000-0000-0000-000000000001"
    ids = {"zoneid": world.uid(ZONE, "default"), "serviceofferingid": world.uid(COMPUTE_OFFERING, "tiny")}
    status, body = await world.ask("admin", "deployVirtualMachine", hostid=host, **ids)

    assert status == 431
    assert body["deployvirtualmachineresponse"]["errortext"] == no_entity("deployvirtualmachine", "hostid", host)


async def test_an_empty_list(world: World) -> None:
    assert await world.ask("admin", "listVirtualMachines") == (200, {"listvirtualmachinesresponse": {}})


async def test_xml_is_the_default(world: World) -> None:
    status, headers, body = await raw(world, {"apiKey": api_key("admin"), "command": "listZones"}, SECRET)

    assert (status, headers["Content-Type"]) == (200, "text/xml;charset=utf-8")
    assert body.startswith('<?xml version="1.0" encoding="UTF-8"?><listzonesresponse cloud-stack-version="4.22')
    assert "<count>1</count><zone><id>" in body
    assert "<securitygroupsenabled>false</securitygroupsenabled>" in body


async def test_xml_errors_and_odd_characters(world: World) -> None:
    params = {"apiKey": api_key("admin"), "command": "listHosts", "id": "<&>\x01\nü"}
    status, headers, body = await raw(world, params, SECRET)

    assert status == 431
    assert "<errorcode>431</errorcode>" in body
    assert "value=&lt;&amp;&gt;\nü" in body
    assert "\n" not in headers["X-Description"]


async def test_a_command_that_is_not_here_yet(world: World) -> None:
    status, body = await world.ask("admin", "addVmwareDc")
    assert (status, body["addvmwaredcresponse"]["errorcode"]) == (432, 432)
    status, body = await world.ask("admin", "listApis", name="addVmwareDc")
    assert status == 431
    assert "addVmwareDc" not in {each["name"] for each in (await world.call("admin", "listApis"))["api"]}


async def test_what_a_user_may_not(world: World) -> None:
    status, body = await world.ask("alice", "listHosts")

    assert (status, body["listhostsresponse"]["errorcode"]) == (432, 432)
    assert "listHosts" not in {each["name"] for each in (await world.call("alice", "listApis"))["api"]}


async def test_list_apis_says_what_clients_build_themselves_from(world: World) -> None:
    (api,) = (await world.call("alice", "listApis", name="deployVirtualMachine"))["api"]

    params = {param["name"]: param for param in api["params"]}
    assert api["isasync"] is True
    assert params["zoneid"] == {
        "name": "zoneid",
        "description": "ID of the zone",
        "type": "uuid",
        "length": 255,
        "required": True,
        "related": "listZones",
    }
    assert "bootmode" not in params, "refused, so not said"
    assert {"name": "nic", "type": "list"} in api["response"]


@pytest.mark.parametrize("spelling", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+0000"])
async def test_expiry(world: World, spelling: str) -> None:
    now = datetime.now(UTC)
    for moment, expected in ((now + timedelta(minutes=5), 200), (now - timedelta(minutes=5), 401)):
        own = {"signatureVersion": "3", "expires": moment.strftime(spelling)}
        status, _, _ = await raw(world, SIGNED | {"command": "listZones"} | own, SECRET)
        assert status == expected


async def test_post_and_repeated_names(world: World) -> None:
    params = {"command": "listZones", **SIGNED, "keyword": "default"}
    signature = signing.sign(params, SECRET)
    pairs = [("keyword", "other"), *params.items(), ("signature", signature)]
    async with world.session.post(world.url, data=pairs) as answer:
        assert (await answer.json())["listzonesresponse"]["count"] == 1


async def test_capabilities_are_plain(world: World) -> None:
    capability = (await world.call("bob", "listCapabilities"))["capability"]
    assert capability["cloudstackversion"].startswith("4.22")
    assert capability["securitygroupsenabled"] is False


async def test_a_crash_is_an_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("operators.api.commands.zones.listing", crash)
    status, body = await world.ask("admin", "listZones")
    assert (status, body["listzonesresponse"]["errorcode"]) == (530, 530)
