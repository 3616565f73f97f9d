"""Webhooks by CloudStack's commands: the same objects as kubectl's, keys told once, deliveries of one's own alone."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from operators.contract.core import SECRET
from operators.contract.meta import Key
from operators.contract.webhooks import WEBHOOK
from operators.kernel.store import Forbidden
from tests.unit.api.world import Told, World

URL = "https://hooks.example.org/in"


def spec(world: World, name: str = "hook") -> dict[str, Any]:
    body = world.server.read(WEBHOOK, Key("alice", name))
    assert body is not None
    return dict(body["spec"])


def key(world: World) -> str:
    body = world.server.read(SECRET, Key("alice", spec(world)["secret"]))
    assert body is not None
    return base64.b64decode(body["data"]["key"]).decode()


async def test_the_life_of_a_webhook(world: World) -> None:
    made = (await world.call("alice", "createWebhook", name="hook", payloadurl=URL, description="Ours"))["webhook"]
    assert (made["state"], made["scope"], made["sslverification"]) == ("Enabled", "Local", True)
    assert made["secretkey"] == key(world)
    secret = world.server.read(SECRET, Key("alice", spec(world)["secret"]))
    assert secret is not None and secret["metadata"]["ownerReferences"][0]["uid"] == made["id"]
    (listed,) = (await world.call("alice", "listWebhooks"))["webhook"]
    assert listed == {name: value for name, value in made.items() if name != "secretkey"}
    about = {"state": "disabled", "name": "other", "secretkey": "a new one"}
    changed = (await world.call("alice", "updateWebhook", id=made["id"], **about))["webhook"]
    assert (changed["name"], changed["state"], "secretkey" in changed) == ("other", "Disabled", False)
    assert (key(world), spec(world)["enabled"], spec(world)["url"]) == ("a new one", False, URL)
    assert await world.call("alice", "listWebhooks", state="Enabled") == {}
    assert (await world.call("alice", "deleteWebhook", id=made["id"]))["success"] is True
    assert await world.call("alice", "listWebhooks") == {}


@pytest.mark.parametrize(
    ("params", "code", "says"),
    [
        ({"payloadurl": "ftp://hooks.example.org"}, 431, "http"),
        ({"scope": "Global"}, 432, "Local"),
        ({"sslverification": "false"}, 432, "sslverification"),
        ({"state": "asleep"}, 431, "Enabled or Disabled"),
        ({"secretkey": "a\nb"}, 431, "one line"),
    ],
)
async def test_what_a_webhook_cannot_be(world: World, params: dict[str, str], code: int, says: str) -> None:
    status, body = await world.ask("alice", "createWebhook", **({"name": "hook", "payloadurl": URL} | params))
    assert (status, says in body["createwebhookresponse"]["errortext"]) == (code, True), body
    assert not list(world.server.all(WEBHOOK))


async def test_where_the_api_may_keep_no_secrets_it_says_who_can_allow_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.server.hook

    async def hook(verb: str, kind: Any, at: Key) -> None:
        if kind is SECRET and verb == "create":
            raise Forbidden("secrets are forbidden")
        await before(verb, kind, at)

    monkeypatch.setattr(world.server, "hook", hook)
    status, body = await world.ask("alice", "createWebhook", name="hook", payloadurl=URL)
    assert (status, "create rolebinding" in body["createwebhookresponse"]["errortext"]) == (531, True)
    assert not list(world.server.all(WEBHOOK))


class Kept(Told):
    """A Data service that keeps one delivery, and notes what it is asked."""

    def __init__(self, receiver: str) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.row = {
            "id": 7,
            "receiver": receiver,
            "event": "e1",
            "type": "VOLUME.CREATE",
            "state": "dead",
            "attempts": 12,
            "began": "2026-11-21T10:00:00+00:00",
            "due": "2026-11-21T14:00:00+00:00",
            "said": "it answered 500",
        }

    async def ask(self, what: str, **params: Any) -> dict[str, Any]:
        self.asked.append((what, params))
        mine = what == "deliveries" and self.row["receiver"] in params["receiver"] and params["id"] in (None, 7)
        return {"total": 1, "items": [self.row]} if mine else {"total": 0, "items": []}

    async def change(self, what: str, **params: Any) -> dict[str, Any]:
        self.asked.append((what, params))
        if self.row["receiver"] not in params["receiver"] or params["id"] not in (None, 7):
            return {"changed": 0}
        self.row |= {"state": "delivered", "attempts": 1, "said": ""}
        return {"changed": 1}


async def test_deliveries(world: World) -> None:
    made = (await world.call("alice", "createWebhook", name="hook", payloadurl=URL))["webhook"]
    kept = Kept(made["id"])
    world.told.append(kept)
    (one,) = (await world.call("alice", "listWebhookDeliveries"))["webhookdelivery"]
    assert (one["webhookname"], one["success"], one["response"]) == ("hook", False, "it answered 500")
    assert one["enddate"] == "2026-11-21T14:00:00+0000"
    again = (await world.call("alice", "executeWebhookDelivery", id=one["id"]))["webhookdelivery"]
    assert (again["id"], again["success"]) == (one["id"], True)
    await world.call("bob", "createWebhook", name="own", payloadurl=URL)
    assert await world.call("bob", "listWebhookDeliveries", id=one["id"]) == {}
    status, _ = await world.ask("bob", "executeWebhookDelivery", id=one["id"])
    assert status == 431
    status, body = await world.ask("alice", "deleteWebhookDelivery")
    assert (status, "missing parameter id" in body["deletewebhookdeliveryresponse"]["errortext"]) == (431, True)
    await world.call("alice", "deleteWebhookDelivery", webhookid=made["id"])
    assert kept.asked[-1] == ("forget", {"receiver": (made["id"],), "id": None, "since": None, "until": None})
    status, _ = await world.ask("alice", "executeWebhookDelivery", id="nonsense")
    assert status == 431


async def test_who_has_no_webhook_is_owed_nothing(world: World) -> None:
    assert await world.call("alice", "listWebhookDeliveries") == {}
    assert (await world.call("alice", "deleteWebhookDelivery", startdate="2026-01-01"))["success"] is True
