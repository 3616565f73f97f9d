"""Webhooks of tenants: their own events alone, signed, into the world alone; what fails is seen."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from operators.contract.codec import Json
from operators.contract.core import SECRET
from operators.contract.meta import Key, Meta, Obj
from operators.contract.reasons import Reason
from operators.contract.storage import VOLUME
from operators.contract.webhooks import WEBHOOK, WebhookSpec, WebhookStatus
from operators.data.webhooks import deliver, envelope, guard
from operators.data.webhooks.plan import Seen, Webhook, plan, wants
from operators.kernel import health
from operators.kernel.outcome import Blocked, Done, Rejected, Retry
from tests.unit.data.test_bus import Receiver
from tests.unit.data.world import Reviewing, World, running

KEY = b"a tenant's key"
SPEC = {"secret": "hooks", "types": ["VOLUME.*"]}


def webhook(**spec: Any) -> Webhook:
    told = WebhookSpec(**{"url": "https://hooks.example.org/", "secret": "hooks"} | spec)
    return Obj(WEBHOOK, Meta("mine", "team-a", uid="w1"), told, WebhookStatus())


@pytest.mark.parametrize(
    ("seen", "outcome", "reason"),
    [
        (Seen(KEY), Done, None),
        (Seen(KEY, error="it answered 500"), Blocked, Reason.DELIVERY_FAILS),
        (Seen(), Retry, Reason.SECRET_NOT_FOUND),
        (Seen(forbidden=True), Retry, Reason.SECRETS_FORBIDDEN),
        (Seen(KEY, refusal="inside"), Rejected, Reason.ADDRESS_REFUSED),
        (Seen(forbidden=True, refusal="inside"), Rejected, Reason.ADDRESS_REFUSED),
    ],
)
def test_how_it_stands(seen: Seen, outcome: type, reason: Reason | None) -> None:
    (use,), told = plan(webhook(), seen)
    assert isinstance(told, outcome)
    assert reason is None or told.reason == reason  # type: ignore[attr-defined]
    assert use.key == (KEY if seen.key and not seen.refusal else b"")
    assert KEY.decode() not in repr((seen, use, told))


@pytest.mark.parametrize(
    ("spec", "namespace", "type_", "wanted"),
    [
        ({}, "team-a", "VM.CREATE", True),
        ({}, "team-b", "VM.CREATE", False),
        ({}, "", "ACCOUNT.CREATE", False),
        ({"types": frozenset({"VM.*"})}, "team-a", "VM.CREATE", True),
        ({"types": frozenset({"VM.*"})}, "team-a", "VOLUME.CREATE", False),
        ({"types": frozenset({"VM.STOP", "VOLUME.CREATE"})}, "team-a", "VOLUME.CREATE", True),
        ({"enabled": False}, "team-a", "VM.CREATE", False),
    ],
)
def test_what_it_wants(spec: Any, namespace: str, type_: str, wanted: bool) -> None:
    assert wants(webhook(**spec), namespace, type_) is wanted


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.example.org/a?b", True),
        ("http://93.184.216.34:8080/", True),
        ("https://[2606:4700::1111]/", True),
        ("http://127.0.0.1/", False),
        ("http://10.0.0.1/", False),
        ("http://169.254.169.254/latest", False),
        ("http://[::1]/", False),
        ("http://[::ffff:10.0.0.1]/", False),
        ("http://[fe80::1]/", False),
        ("http://224.0.0.1/", False),
        ("ftp://hooks.example.org/", False),
        ("https:///nothing", False),
        ("https://hooks.example.org:99999/", False),
    ],
)
def test_addresses(url: str, good: bool) -> None:
    assert (guard.refusal(url, ()) == "") is good


def test_the_operator_may_allow_networks_inside() -> None:
    allowed = guard.networks("10.1.0.0/16, fd00::/8")
    assert guard.refusal("http://10.1.2.3/", allowed) == ""
    assert guard.refusal("http://[fd00::1]/", allowed) == ""
    assert guard.refusal("http://10.2.2.3/", allowed) != ""


class Names(AbstractResolver):
    """A name server of the test's own."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_leads_inside_is_not_known() -> None:
    with pytest.raises(OSError, match="inside the cloud"):
        await guard.Guarded(Names("127.0.0.1", "10.0.0.7"), ()).resolve("hooks.example.org")
    found = await guard.Guarded(Names("127.0.0.1", "93.184.216.34"), ()).resolve("hooks.example.org")
    assert [each["host"] for each in found] == ["93.184.216.34"]
    connector = aiohttp.TCPConnector(resolver=guard.Guarded(Names("127.0.0.1"), ()))
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.post("http://hooks.example.org/")


@asynccontextmanager
async def hooked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **env: str
) -> AsyncIterator[tuple[World, Receiver, str]]:
    """The service delivering, and an endpoint."""
    monkeypatch.setattr(deliver, "IDLE", 0.01)
    receiver = Receiver()
    async with running(folder, **env) as world, health.served(receiver.app(), 0, "127.0.0.1") as port:
        delivering = asyncio.create_task(world.service.deliver())
        try:
            yield world, receiver, f"http://127.0.0.1:{port}/hook"
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])


async def secret(world: World) -> None:
    data = {"key": base64.b64encode(KEY).decode()}
    await world.user.create(SECRET, SECRET.body(Key("team-a", "hooks")) | {"data": data})


def status(world: World) -> Json:
    return dict((world.body(WEBHOOK, "mine", "team-a") or {}).get("status") or {})


def reason(world: World) -> str:
    return next((each["reason"] for each in status(world).get("conditions", ()) if each["type"] == "Ready"), "")


ALLOWED = {"WEBHOOK_NETWORKS": "127.0.0.0/8"}


async def test_a_tenant_gets_its_own_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hooked(tmp_path, monkeypatch, **ALLOWED) as (world, receiver, url):
        await secret(world)
        await world.make(WEBHOOK, "mine", SPEC | {"url": url}, "team-a")
        await world.until(lambda: reason(world) == Reason.AS_SPECIFIED, "it is ready")
        await world.make(VOLUME, "theirs", {"size": "1Gi"}, "team-b")
        await world.make(VOLUME, "ledger", {"size": "1Gi"}, "team-a")
        await world.until(lambda: receiver.got, "it is told")
        headers, body = receiver.got[0]
        event = json.loads(body)
        at = int(headers["webhook-timestamp"])
        assert (event["type"], event["data"]["name"]) == ("dev.cloudstack.volume.create", "ledger")
        assert headers["webhook-signature"] == f"v1,{envelope.signature(event['id'], at, body, KEY)}"
        await world.make(VOLUME, "second", {"size": "1Gi"}, "team-a")
        await world.until(lambda: len(receiver.got) > 1)
        assert "theirs" not in str(receiver.got)


async def test_what_fails_is_seen_and_dead_letters_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "ATTEMPTS", 1)
    async with hooked(tmp_path, monkeypatch, **ALLOWED) as (world, receiver, url):
        await secret(world)
        receiver.code = 500
        await world.make(WEBHOOK, "mine", SPEC | {"url": url}, "team-a")
        await world.until(lambda: reason(world) == Reason.AS_SPECIFIED)
        await world.make(VOLUME, "ledger", {"size": "1Gi"}, "team-a")
        await world.until(lambda: (status(world).get("dead"), reason(world)) == (1, Reason.DELIVERY_FAILS))
        assert status(world)["lastError"] == "it answered 500"
        receiver.code = 204
        await world.make(VOLUME, "second", {"size": "1Gi"}, "team-a")
        await world.until(lambda: reason(world) == Reason.AS_SPECIFIED, "it is well again")
        assert status(world)["dead"] == 1
        dead = (await world.get("/data/v1/deliveries", state="dead"))[1]
        assert [each["said"] for each in dead["items"]] == ["it answered 500"]


async def test_nothing_is_sent_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hooked(tmp_path, monkeypatch) as (world, receiver, url):
        await secret(world)
        await world.make(WEBHOOK, "mine", SPEC | {"url": url}, "team-a")
        await world.until(lambda: reason(world) == Reason.ADDRESS_REFUSED)
        await world.make(VOLUME, "ledger", {"size": "1Gi"}, "team-a")
        await world.until(lambda: "inside the cloud" in status(world).get("lastError", ""))
        assert receiver.got == []


async def test_a_secret_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reviewing, "closed", {"team-a"})
    async with hooked(tmp_path, monkeypatch, **ALLOWED) as (world, _, url):
        await secret(world)
        await world.make(WEBHOOK, "mine", SPEC | {"url": url}, "team-a")
        await world.until(lambda: reason(world) == Reason.SECRETS_FORBIDDEN)
        assert KEY.decode() not in json.dumps(status(world))
