"""Who sees what, and who changes what: nobody more than their own."""

from __future__ import annotations

import dataclasses
import json

import pytest

from operators.api.commands import ALL
from operators.api.declare import ROOT_ADMIN, Command
from operators.contract.codec import Json
from operators.contract.compute import COMPUTE_OFFERING, USER_DATA, VIRTUAL_MACHINE
from operators.contract.core import SECRET
from operators.contract.fabric import HOST, HOST_GROUP, IMAGE_STORE, IP_RANGE, RACK, STORAGE_POOL, ZONE
from operators.contract.identity import ACCESS_ROLE, ACCOUNT, DOMAIN, PROJECT, USER, Role
from operators.contract.instancegroups import INSTANCE_GROUP
from operators.contract.keypairs import SSH_KEY_PAIR
from operators.contract.meta import Key
from operators.contract.networking import NETWORK, NETWORK_OFFERING, PORT
from operators.contract.orchestration import FLOW
from operators.contract.placement import AFFINITY_GROUP
from operators.contract.snapshots import SNAPSHOT_SCHEDULE, VOLUME_SNAPSHOT
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME
from operators.contract.vmsnapshots import VIRTUAL_MACHINE_SNAPSHOT
from operators.contract.webhooks import WEBHOOK
from operators.kernel.memory import MemoryStore
from tests.unit.api.world import CHECKSUM, World, api_key
from tests.unit.api.world import PEOPLE as PEOPLE_OF

TENANT_KINDS = (
    VIRTUAL_MACHINE,
    VOLUME,
    NETWORK,
    IMAGE,
    FLOW,
    USER_DATA,
    PORT,
    AFFINITY_GROUP,
    INSTANCE_GROUP,
    SSH_KEY_PAIR,
    VOLUME_SNAPSHOT,
    SNAPSHOT_SCHEDULE,
    VIRTUAL_MACHINE_SNAPSHOT,
    WEBHOOK,
)
PEOPLE = {"Domain": DOMAIN, "Account": ACCOUNT, "User": USER, "Project": PROJECT}


async def belongings(world: World, user: str) -> dict[str, str]:
    """Something of every kind that belongs to an account; uids by kind."""
    store = MemoryStore(world.server, "kubectl")
    image = IMAGE.body(Key(user, "own"), spec={"url": "http://example.org/own.qcow2", "checksum": CHECKSUM})
    await store.create(IMAGE, image)
    await store.create(VOLUME, VOLUME.body(Key(user, "ledger"), spec={"size": "1Gi"}))
    await store.create(AFFINITY_GROUP, AFFINITY_GROUP.body(Key(user, "apart"), spec={}))
    await store.create(INSTANCE_GROUP, INSTANCE_GROUP.body(Key(user, "shop"), spec={}))
    await store.create(SSH_KEY_PAIR, SSH_KEY_PAIR.body(Key(user, "key"), spec={"publicKey": "ssh-ed25519 AAAA"}))
    await store.create(VOLUME_SNAPSHOT, VOLUME_SNAPSHOT.body(Key(user, "then"), spec={"volume": "ledger"}))
    whole = VIRTUAL_MACHINE_SNAPSHOT.body(Key(user, "whole"), spec={"virtualMachine": "web"})
    await store.create(VIRTUAL_MACHINE_SNAPSHOT, whole)
    hook = {"url": "https://hooks.example.org/", "secret": "hooks"}
    await store.create(WEBHOOK, WEBHOOK.body(Key(user, "hook"), spec=hook))
    hourly = {"volume": "ledger", "hourly": {"minute": 5}}
    await store.create(SNAPSHOT_SCHEDULE, SNAPSHOT_SCHEDULE.body(Key(user, "hourly"), spec=hourly))
    await store.create(USER_DATA, USER_DATA.body(Key(user, "boot"), spec={"data": "#!/bin/sh"}))
    await world.network(user)
    begun = await world.call(user, "deployVirtualMachine", name="web", **await world.ids(user))
    await world.job(user, begun["jobid"])
    found = {
        kind.kind: next(b for b in world.server.all(kind) if b["metadata"]["namespace"] == user)
        for kind in TENANT_KINDS
    }
    uids = {kind: body["metadata"]["uid"] for kind, body in found.items()}
    project = await world.call(user, "createProject", name=f"{user}'s")
    await world.job(user, project["jobid"])  # so that nobody has anything more to write
    names = {"Domain": PEOPLE_OF[user][1], "Account": user, "User": user}
    return uids | {kind: world.uid(PEOPLE[kind], names[kind]) for kind in names} | {"Project": project["id"]}


def takes_ids_of(command: Command) -> list[tuple[str, str]]:
    """The parameters with which a command names something of an account's, and the kinds they name."""
    kinds = {kind.kind for kind in TENANT_KINDS} | PEOPLE.keys()
    named = [(param.name, param.kind.kind) for param in command.params if param.kind and param.kind.kind in kinds]
    return named + ([("jobid", "Flow")] if command.name == "queryAsyncJobResult" else [])


def others(world: World, command: Command, own: dict[str, str], tested: str) -> dict[str, str]:
    """Something that makes sense for every other parameter that a command needs."""
    names = {"templatefilter": "executable", "resourcetype": "UserVm"}
    texts = {"integer": "1", "long": "1", "boolean": "false", "date": "2026-01-01", "list": own["VirtualMachine"]}
    out = {}
    for param in command.params:
        if not param.required or param.name == tested:
            continue
        if param.type == "map":
            out |= {f"{param.name}[0].key": "a", f"{param.name}[0].value": "b"}
        elif param.kind is not None:
            bodies = [body["metadata"] for body in world.server.all(param.kind)]
            out[param.name] = own.get(param.kind.kind) or (bodies[0]["uid"] if bodies else own["VirtualMachine"])
        else:
            out[param.name] = texts.get(param.type, names.get(param.name, "something"))
    return out


THE_OPERATORS = {
    *(ZONE, RACK, HOST_GROUP, HOST, STORAGE_POOL, IP_RANGE, IMAGE_STORE),
    *(COMPUTE_OFFERING, DISK_OFFERING, NETWORK_OFFERING, ACCESS_ROLE),
}
"""What belongs to no tenant."""


def test_every_kind_that_a_command_names_is_tried() -> None:
    """So that a new command, or a new kind, is no stranger's by oversight."""
    named = {(param.kind, command.roles) for command in ALL for param in command.params if param.kind is not None}
    for_all = {kind for kind, roles in named if roles != ROOT_ADMIN}
    assert {kind for kind in for_all if kind.namespaced} <= set(TENANT_KINDS)
    assert {kind for kind, _ in named if not kind.namespaced} - set(PEOPLE.values()) <= THE_OPERATORS


def everything(world: World) -> list[Json]:
    kinds = (*TENANT_KINDS, *PEOPLE.values(), SECRET)
    return [{**body, "metadata": {**body["metadata"]}} for kind in kinds for body in world.server.all(kind)]


@pytest.mark.parametrize("stranger", ["bob", "eve"])
async def test_every_command_by_id_as_another_tenant(world: World, stranger: str) -> None:
    theirs, own = await belongings(world, "alice"), await belongings(world, stranger)
    await world.settled()
    await world.still()
    before = everything(world)
    tried = 0
    role = Role(next(role for user, (_, _, role) in PEOPLE_OF.items() if user == stranger))
    for command in ALL:
        for name, kind in takes_ids_of(command):
            params = others(world, command, own, name) | {name: theirs[kind]}
            status, body = await world.ask(stranger, command.name, **params)
            (content,) = body.values()
            if role not in command.roles:
                assert status == 432, (command.name, name, body)
                continue
            assert status == 431, (command.name, name, body)
            assert theirs[kind] in content["errortext"], (command.name, name, content)
            tried += 1
    assert tried > 60
    assert everything(world) == before


@pytest.mark.parametrize("command", ["addResourceDetail", "removeResourceDetail"])
async def test_details_as_another_tenant(world: World, command: str) -> None:
    theirs = await belongings(world, "alice")
    for type_, kind in (("UserVm", "VirtualMachine"), ("Volume", "Volume"), ("Snapshot", "VolumeSnapshot")):
        details = {"details[0].key": "a", "details[0].value": "b"} if command.startswith("add") else {}
        status, _ = await world.ask("bob", command, resourcetype=type_, resourceid=theirs[kind], **details)
        assert status == 431, type_
        status, body = await world.ask("bob", "listResourceDetails", resourcetype=type_, resourceid=theirs[kind])
        assert (status, body["listresourcedetailsresponse"]) == (200, {})
    status, _ = await world.ask(
        "bob", "addResourceDetail", resourcetype="Zone", resourceid="x", **{"details[0].a": "b"}
    )
    assert status == 531


@pytest.mark.parametrize("command", ["createTags", "deleteTags"])
async def test_tags_as_another_tenant(world: World, command: str) -> None:
    theirs = await belongings(world, "alice")
    for type_, kind in (
        ("UserVm", "VirtualMachine"),
        ("Volume", "Volume"),
        ("Network", "Network"),
        ("Template", "Image"),
    ):
        tags = {"tags[0].key": "a", "tags[0].value": "b"}
        status, _ = await world.ask("bob", command, resourcetype=type_, resourceids=theirs[kind], **tags)
        assert status == 431, type_
        status, _ = await world.ask("bob", "listTags", resourceid=theirs[kind])
        assert status == 200


@pytest.mark.parametrize("stranger", ["bob", "eve"])
async def test_every_list_as_another_tenant(world: World, stranger: str) -> None:
    theirs, own = set((await belongings(world, "alice")).values()), await belongings(world, stranger)
    await world.call(
        "alice",
        "createTags",
        resourcetype="UserVm",
        resourceids=world.uid(VIRTUAL_MACHINE, "web", "alice"),
        **{"tags[0].key": "a", "tags[0].value": "b"},
    )
    role, tried = PEOPLE_OF[stranger][2], 0
    for command in ALL:
        if not command.name.startswith("list") or role not in {role.value for role in command.roles}:
            continue
        for listall in ("true", "false"):
            optional = {"listall": listall} if "listall" in {param.name for param in command.params} else {}
            status, body = await world.ask(stranger, command.name, **optional, **others(world, command, own, ""))
            assert status == 200, (command.name, body)
            text = json.dumps(body)
            assert not [uid for uid in theirs if uid in text], command.name
            tried += 1
    assert tried > 60


@pytest.mark.parametrize(
    ("user", "params", "sees"),
    [
        ("alice", {}, {"alice"}),
        ("alice", {"listall": "true"}, {"alice"}),
        ("bob", {"listall": "true"}, {"bob"}),
        ("carol", {}, set()),
        ("carol", {"listall": "true"}, {"alice"}),
        ("carol", {"account": "alice", "domainid": "east"}, {"alice"}),
        ("carol", {"domainid": "sales"}, set()),
        ("carol", {"domainid": "sales", "isrecursive": "true"}, {"alice"}),
        ("admin", {}, set()),
        ("admin", {"listall": "true"}, {"alice", "bob", "nobody"}),
        ("admin", {"domainid": "root"}, {"bob"}),
        ("admin", {"account": "bob"}, {"bob"}),
        ("admin", {"keyword": "nothing like it", "listall": "true"}, set()),
    ],
)
async def test_scopes(world: World, user: str, params: dict[str, str], sees: set[str]) -> None:
    store = MemoryStore(world.server, "kubectl")
    for account in ("alice", "bob", "nobody"):
        await store.create(VOLUME, VOLUME.body(Key(account, "ledger"), spec={"size": "1Gi"}))
    if "domainid" in params:
        params = params | {"domainid": world.uid(DOMAIN, params["domainid"])}

    listed = await world.call(user, "listVolumes", **params)
    assert {each["account"] for each in listed.get("volume", ())} == sees


@pytest.mark.parametrize("params", [{"account": "alice"}, {"account": "alice", "domainid": "east"}])
async def test_acting_for_others_is_refused(world: World, params: dict[str, str]) -> None:
    if "domainid" in params:
        params = params | {"domainid": world.uid(DOMAIN, params["domainid"])}
    status, _ = await world.ask("bob", "listVolumes", **params)
    assert status == 431


async def test_an_admin_acts_for_an_account(world: World) -> None:
    network = await world.network("alice")
    ids = await world.ids("admin")
    east = world.uid(DOMAIN, "east")
    deploy = {"name": "web", "account": "alice", "domainid": east, "networkids": network, **ids}
    begun = await world.call("carol", "deployVirtualMachine", **deploy)
    assert world.uid(VIRTUAL_MACHINE, "web", "alice") == begun["id"]

    status, body = await world.ask("admin", "deployVirtualMachine", name="mine", networkids=network, **ids)
    assert (status, "another account" in body["deployvirtualmachineresponse"]["errortext"]) == (531, True)


async def test_paging(world: World) -> None:
    store = MemoryStore(world.server, "kubectl")
    for number in range(7):
        await store.create(VOLUME, VOLUME.body(Key("alice", f"v{number}"), spec={"size": "1Gi"}))
    pages = [await world.call("alice", "listVolumes", page=str(page), pagesize="3") for page in (1, 2, 3, 4)]

    assert [page["count"] for page in pages] == [7] * 4
    assert [[each["name"] for each in page.get("volume", ())] for page in pages] == [
        ["v0", "v1", "v2"],
        ["v3", "v4", "v5"],
        ["v6"],
        [],
    ]


async def test_people(world: World) -> None:
    domains = (await world.call("admin", "listDomains"))["domain"]
    assert {each["path"]: each["level"] for each in domains} == {
        "ROOT": 0,
        "ROOT/sales": 1,
        "ROOT/sales/east": 2,
        "ROOT/west": 1,
    }
    assert {each["name"] for each in (await world.call("carol", "listDomains"))["domain"]} == {"sales", "east"}
    assert {each["name"] for each in (await world.call("alice", "listDomains"))["domain"]} == {"east"}

    accounts = (await world.call("carol", "listAccounts", listall="true"))["account"]
    assert {each["name"]: each["accounttype"] for each in accounts} == {"carol": 2, "alice": 0}
    (user,) = (await world.call("alice", "listUsers"))["user"]
    assert (user["username"], user["apikey"]) == ("alice", api_key("alice"))
    assert "secretkey" not in user


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (USER, {"spec": {"account": "alice", "apiKeys": [api_key("alice")], "enabled": False}}),
        (USER, {"spec": {"account": "alice"}}),
        (ACCOUNT, {"spec": {"domain": "east", "role": "User", "enabled": False}}),
    ],
)
async def test_what_is_disabled_is_out_at_once(world: World, kind: object, change: Json) -> None:
    assert await world.call("alice", "listVolumes") == {}
    key = Key("", "alice")
    body = world.server.read(kind, key)  # type: ignore[arg-type]
    assert body is not None

    def changed(before: object) -> object:
        return dataclasses.replace(before, body=body | change)  # type: ignore[type-var]

    world.server.change("operator", "apply", kind, key, changed)  # type: ignore[arg-type]
    status, _ = await world.ask("alice", "listVolumes")
    assert status == 401


async def test_the_components_namespace_is_nobodys(world: World) -> None:
    store = MemoryStore(world.server, "operator")
    await store.create(ACCOUNT, ACCOUNT.body(Key("", "cloudstack-system"), spec={"domain": "root", "role": "User"}))
    listed = await world.call("admin", "listAccounts", listall="true")
    assert "cloudstack-system" not in {each["name"] for each in listed["account"]}
