"""Lists, search, counts, capacity and topology by HTTP; and whatever its description allows is answered as it says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from operators.contract.compute import COMPUTE_OFFERING, USER_DATA, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, HOST_GROUP, HOST_REPORT, RACK, STORAGE_POOL, ZONE
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from tests.unit.data.world import GOOD, STRANGER, World

SECRET = "s3cr3t"


async def furnish(world: World) -> None:
    for kind in (ZONE, RACK, HOST_GROUP):
        await world.make(kind, "default", {})
    await world.make(HOST, "node1", {"node": "node1"})
    await world.make(HOST_REPORT, "node1", {"hostName": "node1"})
    told = {"hypervisor": {"cpus": 8, "memory": "16Gi", "driver": "simulated"}}
    await world.user.apply_status(HOST_REPORT, Key("", "node1"), told, resource_version="")
    await world.make(STORAGE_POOL, "local", {"hostName": "node1", "path": "local"})
    pool = {"capacity": "100Gi", "free": "60Gi"}
    await world.user.apply_status(STORAGE_POOL, Key("", "local"), pool, resource_version="")
    await world.make(COMPUTE_OFFERING, "tiny", {"cpus": 2, "memory": "512Mi"})
    # In the order of their names, too: whether they are made within one second is the machine's to say.
    for name, space in (("db", "team-a"), ("web", "team-a"), ("web", "team-b")):
        spec = {"offering": "tiny", "image": "tiny", "userData": {"inline": SECRET}}
        await world.make(VIRTUAL_MACHINE, name, spec, space, labels={"tier": name})
        status = {"hostName": "node1", "addresses": [f"10.1.1.{len(name)}"]}
        await world.user.apply_status(VIRTUAL_MACHINE, Key(space, name), status, resource_version="")
    await world.make(USER_DATA, "boot", {"data": SECRET}, "team-a")
    await world.make(VOLUME, "ledger", {"size": "10Gi"}, "team-a")


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["team-a/db", "team-a/web", "team-b/web"]),
        ({"namespace": "team-a"}, ["team-a/db", "team-a/web"]),
        ({"namespace": "team-a,team-b", "name": "web"}, ["team-a/web", "team-b/web"]),
        ({"search": "WE"}, ["team-a/web", "team-b/web"]),
        ({"label": "tier=db"}, ["team-a/db"]),
        ({"limit": "1", "offset": "1"}, ["team-a/web"]),
        ({"uid": "nothing"}, []),
    ],
)
async def test_lists(world: World, params: dict[str, str], names: list[str]) -> None:
    await furnish(world)
    status, told = await world.get("/data/v1/objects/virtualmachines", **params)
    assert status == 200
    assert [f"{each['namespace']}/{each['name']}" for each in told["items"]] == names
    assert told["total"] == (3 if "limit" in params else len(names))


async def test_one_search_counts_and_secrets(world: World) -> None:
    await furnish(world)
    uid = (world.body(VIRTUAL_MACHINE, "web", "team-a") or {})["metadata"]["uid"]
    answers = [
        await world.get(f"/data/v1/objects/virtualmachines/{uid}"),
        await world.get("/data/v1/objects/userdata"),
        await world.get("/data/v1/search", q="10.1.1.3"),
        await world.get("/data/v1/counts"),
    ]
    assert [status for status, _ in answers] == [200] * 4
    assert answers[0][1]["name"] == "web"
    assert {each["name"] for each in answers[2][1]["items"]} == {"web"}
    assert answers[3][1]["virtualmachines"] == {"total": 3, "namespaces": {"team-a": 2, "team-b": 1}}
    assert SECRET not in json.dumps(answers)
    assert (await world.get("/data/v1/objects/virtualmachines/none"))[0] == 404
    assert (await world.get("/data/v1/objects/nothings"))[0] == 404


async def test_capacity_and_topology(world: World) -> None:
    await furnish(world)
    status, told = await world.get("/data/v1/capacity")
    assert status == 200
    zone = told["zones"]["default"]
    assert (zone["cpus"], zone["cpusGiven"], zone["memoryGiven"]) == (8, 6, 3 * 512 * 2**20)
    assert (zone["storage"], zone["storageUsed"]) == (100 * 2**30, 40 * 2**30)
    status, told = await world.get("/data/v1/topology")
    (host,) = told["zones"][0]["racks"][0]["groups"][0]["hosts"]
    assert host == {"name": "node1", "reachable": False, "virtualMachines": 3}


@pytest.mark.parametrize(("token", "code"), [("", 401), ("nobody", 401), (STRANGER, 403), (GOOD, 200)])
async def test_who_may_read(world: World, token: str, code: int) -> None:
    assert (await world.get("/data/v1/counts", token=token))[0] == code


async def test_a_list_shows_what_was_written_before_it(world: World) -> None:
    """The version that a write got makes the list wait until it is seen."""
    made = await world.make(VOLUME, "late", {"size": "1Gi"}, "team-a")
    version = int(made["metadata"]["resourceVersion"])
    assert (await world.get("/data/v1/objects/volumes", resourceVersion=str(version)))[1]["total"] == 1

    asking = asyncio.create_task(world.get("/data/v1/objects/volumes", resourceVersion=str(version + 1)))
    await asyncio.sleep(0.05)
    assert not asking.done()
    await world.make(VOLUME, "later", {"size": "1Gi"}, "team-a")
    assert (await asking)[1]["total"] == 2


async def test_history_is_told(world: World) -> None:
    await furnish(world)

    async def events() -> list[dict[str, Any]]:
        _, told = await world.get("/data/v1/events", namespace="team-a", type="VOLUME.CREATE")
        return list(told["items"])

    for _ in range(200):
        if found := await events():
            break
        await asyncio.sleep(0.02)
    assert [each["about_name"] for each in found] == ["ledger"]
    window = {"since": "2020-01-01T00:00:00Z", "until": "2050-01-01T00:00:00Z"}
    status, told = await world.get("/data/v1/usage", type="6", **window)
    assert (status, told["total"], told["items"][0]["amount"]) == (200, 1, 10 * 2**30)
    assert (await world.get("/data/v1/usage", since="2020-01-01T00:00:00Z", until="2019-01-01T00:00:00Z"))[0] == 400


async def test_whatever_the_description_allows(world: World) -> None:
    """schemathesis: no answer that the description does not have, and none of ours that is at fault."""
    await furnish(world)

    def fuzz() -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {GOOD}"
            schema = schemathesis.openapi.from_dict(session.get(f"{world.url}/openapi.json").json())
            schema.config.update(base_url=world.url)
            operations = [found.ok() for found in schema.get_all_operations()]
            routes = world.service.application().router.routes()
            served = {(route.method, route.resource.canonical) for route in routes if route.resource is not None}
            told = {(operation.method.upper(), operation.path) for operation in operations}
            assert told == {each for each in served if each[0] != "HEAD"} - {("GET", "/openapi.json")}, "all are tried"
            for operation in operations:

                @settings(
                    max_examples=25,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    phases=[Phase.generate],
                )
                @operation_cases(operation)
                def check(case: schemathesis.Case) -> None:
                    answer = case.call(session=session)
                    assert answer.status_code < 500, (case.path, case.query, answer.text)
                    case.validate_response(answer, checks=[schemathesis.checks.not_a_server_error])

                check()

    await asyncio.to_thread(fuzz)


def operation_cases(operation: Any) -> Any:
    from hypothesis import given

    return given(case=operation.as_strategy())
