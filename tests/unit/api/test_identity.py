"""Domains, accounts, users, their keys and roles, made and changed through the API itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operators.api import passwords, signing
from operators.api.commands import accounts
from operators.contract import names
from operators.contract.codec import Json
from operators.contract.core import SECRET
from operators.contract.identity import ACCOUNT, DOMAIN, PASSWORD, PROJECT, USER
from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import IDENTITY, World, api_key

PERSON = {"username": "dave", "password": "hunter22", "firstname": "Dave", "lastname": "D", "email": "dave@example.org"}


async def account(world: World, by: str = "admin", **params: str) -> Json:
    made = await world.call(by, "createAccount", **PERSON | {"accounttype": "0"} | params)
    return dict(made["account"])


async def asked(world: World, key: str, secret: str, command: str, **params: str) -> tuple[int, Json]:
    query = {"command": command, "apiKey": key, "response": "json", **params}
    query["signature"] = signing.sign(query, secret)
    async with world.session.get(world.url, params=query) as answer:
        (content,) = (await answer.json()).values()
        return answer.status, content


async def test_an_account_with_its_user(world: World) -> None:
    east = world.uid(DOMAIN, "east")
    made = await account(world, account="team", domainid=east)
    (user,) = made["user"]
    assert (made["name"], made["domainid"], made["roletype"]) == ("team", east, "User")
    (body,) = [each for each in world.server.all(ACCOUNT) if each["metadata"]["uid"] == made["id"]]
    assert body["metadata"]["name"].startswith("team-")

    pair = (await world.call("carol", "registerUserKeys", id=user["id"]))["userkeys"]
    assert await asked(world, pair["apikey"], pair["secretkey"], "listUsers") == (
        200,
        await world.call("carol", "listUsers", id=user["id"]),
    )
    assert (await world.call("carol", "getUserKeys", id=user["id"]))["userkeys"] == {"apikey": pair["apikey"]}
    assert pair["secretkey"] not in json.dumps([*world.server.all(USER), await world.call("admin", "listUsers")])

    again = (await world.call("carol", "registerUserKeys", id=user["id"]))["userkeys"]
    assert (await asked(world, pair["apikey"], pair["secretkey"], "listUsers"))[0] == 401, "the old pair has ended"
    assert (await asked(world, again["apikey"], again["secretkey"], "listUsers"))[0] == 200

    named = world.server.read(SECRET, Key(IDENTITY, names.user_secret(_name(world, user["id"]))))
    assert named is not None
    assert set(named["data"]) == {PASSWORD, again["apikey"]}
    assert named["metadata"]["ownerReferences"][0]["uid"] == user["id"]


def _name(world: World, uid: str) -> str:
    (found,) = [body["metadata"]["name"] for body in world.server.all(USER) if body["metadata"]["uid"] == uid]
    return str(found)


@pytest.mark.parametrize(
    ("by", "params", "code"),
    [
        ("admin", {"username": "alice", "domainid": "east"}, 431),
        ("admin", {"account": "alice", "domainid": "east"}, 431),
        ("carol", {"domainid": "west"}, 431),
        ("carol", {"accounttype": "1"}, 531),
        ("admin", {"accounttype": "1", "domainid": "east"}, 431),
        ("admin", {"accounttype": "7"}, 431),
        ("bob", {}, 432),
        ("carol", {"accounttype": "2", "domainid": "east"}, 200),
    ],
)
async def test_who_may_make_which_account(world: World, by: str, params: dict[str, str], code: int) -> None:
    if "domainid" in params:
        params = params | {"domainid": world.uid(DOMAIN, params["domainid"])}
    status, body = await world.ask(by, "createAccount", **PERSON | {"accounttype": "0"} | params)
    assert status == code, body


async def test_domains(world: World) -> None:
    sales = world.uid(DOMAIN, "sales")
    made = (await world.call("carol", "createDomain", name="North"))["domain"]
    assert (made["path"], made["parentdomainid"]) == ("ROOT/sales/North", sales)
    status, _ = await world.ask("admin", "createDomain", name="north", parentdomainid=sales)
    assert status == 431, "names are unique beneath a parent"
    children = (await world.call("admin", "listDomainChildren", isrecursive="true"))["domain"]
    assert {each["name"] for each in children} == {"sales", "east", "west", "North"}
    assert (await world.call("admin", "updateDomain", id=made["id"], name="South"))["domain"][
        "path"
    ] == "ROOT/sales/South"
    status, _ = await world.ask("admin", "deleteDomain", id=sales)
    assert status == 536
    gone = await world.call("carol", "deleteDomain", id=made["id"])
    assert (await world.job("carol", gone["jobid"]))["jobresult"] == {"success": True}


async def test_disabling_an_account(world: World) -> None:
    target = world.uid(ACCOUNT, "alice")
    await world.call("carol", "disableAccount", id=target, lock="false")
    status, _ = await world.ask("alice", "listZones")
    assert status == 401
    assert (await world.call("carol", "enableAccount", account="alice", domainid=world.uid(DOMAIN, "east")))["account"]
    await world.call("alice", "listZones")
    status, _ = await world.ask("carol", "disableAccount", id=world.uid(ACCOUNT, "carol"), lock="false")
    assert status == 531


async def test_a_password_is_changed_by_who_knows_it(world: World) -> None:
    user = world.uid(USER, "alice")
    status, _ = await world.ask("alice", "updateUser", id=user, password="new", currentpassword="wrong")
    assert status == 431
    await world.call("alice", "updateUser", id=user, password="new", currentpassword="battery staple")
    body = world.server.read(SECRET, Key(IDENTITY, names.user_secret("alice")))
    assert body is not None
    import base64

    assert passwords.matches("new", base64.b64decode(body["data"][PASSWORD]).decode())
    assert api_key("alice") in body["data"], "its keys stay"


async def test_roles_narrow(world: World) -> None:
    role = (await world.call("admin", "createRole", name="reader", type="User"))["role"]
    made = await account(world, roleid=role["id"], account="readers")
    assert (made["rolename"], made["roletype"]) == ("reader", "User")
    pair = (await world.call("admin", "registerUserKeys", id=made["user"][0]["id"]))["userkeys"]
    me = (pair["apikey"], pair["secretkey"])
    assert (await asked(world, *me, "listZones"))[0] == 432, "a role without rules lets nothing"

    rules = [("listVolumes", "deny"), ("list*", "allow"), ("*", "deny")]
    for rule, permission in rules:
        await world.call("admin", "createRolePermission", roleid=role["id"], rule=rule, permission=permission)
    told = [(each["rule"], each["permission"]) for each in await permissions(world, role["id"])]
    assert told == rules
    assert (await asked(world, *me, "listZones"))[0] == 200
    assert (await asked(world, *me, "listVolumes"))[0] == 432
    assert (await asked(world, *me, "listHosts"))[0] == 432, "no rule gives what its type may not"
    apis = {each["name"] for each in (await asked(world, *me, "listApis"))[1]["api"]}
    assert "listZones" in apis
    assert not apis & {"listVolumes", "deployVirtualMachine", "listHosts"}

    first = (await permissions(world, role["id"]))[0]
    await world.call("admin", "updateRolePermission", roleid=role["id"], ruleid=first["id"], permission="allow")
    assert (await asked(world, *me, "listVolumes"))[0] == 200
    await world.call("admin", "deleteRolePermission", id=first["id"])
    assert (await world.ask("admin", "deleteRole", id=role["id"]))[0] == 536


async def permissions(world: World, role: str) -> list[dict[str, Any]]:
    answer = await world.call("admin", "listRolePermissions", roleid=role)
    return list(answer["rolepermission"])


async def test_nobody_gives_more_than_it_has(world: World) -> None:
    """A domain admin whose role was narrowed cannot make an account that may do what it may not."""
    role = (await world.call("admin", "createRole", name="hr", type="DomainAdmin"))["role"]
    for rule in ("createAccount", "registerUserKeys", "list*", "createRole*"):
        await world.call("admin", "createRolePermission", roleid=role["id"], rule=rule, permission="allow")
    made = await account(world, roleid=role["id"], account="hr", domainid=world.uid(DOMAIN, "sales"))
    pair = (await world.call("admin", "registerUserKeys", id=made["user"][0]["id"]))["userkeys"]
    person = PERSON | {"username": "mole"}
    status, told = await asked(world, pair["apikey"], pair["secretkey"], "createAccount", **person, accounttype="0")
    assert (status, "which it may not itself" in told["errortext"]) == (531, True)


async def test_a_project_is_shared(world: World) -> None:
    begun = await world.call("alice", "createProject", name="Apollo", displaytext="To the moon")
    assert (await world.job("alice", begun["jobid"]))["jobresult"]["project"]["name"] == "Apollo"
    (body,) = world.server.all(PROJECT)
    place = body["metadata"]["name"]
    assert place.startswith("project-apollo-")
    await MemoryStore(world.server, "kubectl").create(VOLUME, VOLUME.body(Key(place, "ledger"), spec={"size": "1Gi"}))
    mine = (await world.call("alice", "listVolumes", projectid=begun["id"]))["volume"][0]
    assert (mine["project"], "account" in mine) == ("Apollo", False)

    await account(world, account="erin", username="erin", domainid=world.uid(DOMAIN, "east"))
    users = (await world.call("admin", "listUsers", listall="true", username="erin"))["user"]
    pair = (await world.call("admin", "registerUserKeys", id=users[0]["id"]))["userkeys"]
    erin = (pair["apikey"], pair["secretkey"])
    assert (await asked(world, *erin, "listVolumes", projectid=begun["id"]))[0] == 431
    await world.call("alice", "addAccountToProject", projectid=begun["id"], account="erin")
    assert (await asked(world, *erin, "listVolumes", projectid=begun["id"]))[1]["volume"][0]["id"] == mine["id"]
    assert (await asked(world, *erin, "suspendProject", id=begun["id"]))[0] == 531, "it is no admin of it"

    await world.call("alice", "suspendProject", id=begun["id"])
    kind = (await world.call("alice", "listNetworkOfferings"))["networkoffering"][0]["id"]
    zone = (await world.call("alice", "listZones"))["zone"][0]["id"]
    wanted = {"name": "n", "zoneid": zone, "networkofferingid": kind, "projectid": begun["id"]}
    assert (await world.ask("alice", "createNetwork", **wanted))[0] == 531
    await world.call("alice", "activateProject", id=begun["id"])
    assert (await world.call("alice", "createNetwork", **wanted))["network"]["project"] == "Apollo"
    status, told = await world.ask("alice", "deleteAccountFromProject", projectid=begun["id"], account="alice")
    assert status == 431, told


async def test_a_new_account_can_be_used_at_once(world: World) -> None:
    made = await account(world)
    body = next(each for each in world.server.all(ACCOUNT) if each["metadata"]["uid"] == made["id"])
    assert body["status"]["namespace"] == body["metadata"]["name"]


async def test_an_account_is_made_though_the_data_service_is_away(world: World, monkeypatch: Any) -> None:
    world.hold = True
    monkeypatch.setattr(accounts, "SECONDS", 0.05)
    assert (await account(world))["name"] == "dave"
