"""Events reach the bus at least once, signed, in order; what it never takes is given up and stays visible."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from operators.contract.meta import Key
from operators.contract.storage import VOLUME
from operators.data.history import deliveries
from operators.data.history.database import Database
from operators.data.history.recorder import Recorder, Seen
from operators.data.webhooks import envelope
from operators.data.webhooks.deliver import ATTEMPTS, Courier, Target, backoff
from operators.kernel import health
from tests.unit.data.test_history import LEDGER, Hands, hands, volume

KEY = b"k"
__all__ = ["hands"]


class Receiver:
    """An endpoint that answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.code = 200

    def app(self) -> web.Application:
        async def take(request: web.Request) -> web.Response:
            self.got.append((dict(request.headers), await request.read()))
            return web.Response(status=self.code)

        made = web.Application()
        made.router.add_post("/hook", take)
        return made


class Clock:
    """The test's own time."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def now(self) -> Any:
        return self._hands.now


async def state(database: Database, name: str) -> list[tuple[str, int]]:
    found = await deliveries.deliveries(database, deliveries.DeliveryQuery(name))
    return [(row.said, row.attempts) for row in found.items]


@pytest.mark.parametrize("outcome", ["taken", "away", "refused"])
async def test_deliveries(database: Database, hands: Hands, outcome: str) -> None:
    recorder = Recorder(database, lambda namespace, type_: ("bus",), lambda: hands.now)
    receiver = Receiver()
    async with health.served(receiver.app(), 0, "127.0.0.1") as port, aiohttp.ClientSession() as session:
        there = port if outcome != "away" else 1
        target = Target("bus", f"http://127.0.0.1:{there}/hook", KEY)
        courier = Courier(database, Clock(hands), session, {"bus": target}.get)  # type: ignore[arg-type]
        receiver.code = 500 if outcome == "refused" else 204
        for _ in range(2):
            await recorder.write(VOLUME, LEDGER, volume("2Gi"))
        await recorder.write(VOLUME, Key("team-a", "other"), volume("1Gi", uid="v9"))
        assert await courier.round() == 2
        if outcome == "taken":
            assert await courier.round() == 0
            assert len(receiver.got) == 2
            headers, body = receiver.got[0]
            event = json.loads(body)
            assert (event["specversion"], event["type"]) == ("1.0", "dev.cloudstack.volume.create")
            at = int(headers["webhook-timestamp"])
            assert headers["webhook-signature"] == f"v1,{envelope.signature(event['id'], at, body, KEY)}"
            assert len(await state(database, "delivered")) == 2
            return
        tried = len(receiver.got)
        assert tried <= 1, "the second waits behind the first"
        assert await courier.round() == 1, "the first waits for its time"
        for _ in range(3 * ATTEMPTS):
            hands.later(hours=2)
            await courier.round()
        dead = await state(database, "dead")
        assert [attempts for _, attempts in dead] == [ATTEMPTS] * 2
        assert all(said for said, _ in dead)
        assert await state(database, "pending") == []


async def test_a_bus_that_comes_back_gets_everything(database: Database, hands: Hands) -> None:
    recorder = Recorder(database, lambda namespace, type_: ("bus",), lambda: hands.now)
    receiver = Receiver()
    async with health.served(receiver.app(), 0, "127.0.0.1") as port, aiohttp.ClientSession() as session:
        target = Target("bus", f"http://127.0.0.1:{port}/hook", KEY)
        courier = Courier(database, Clock(hands), session, {"bus": target}.get)  # type: ignore[arg-type]
        receiver.code = 503
        await recorder.write(VOLUME, LEDGER, volume("2Gi"))
        await recorder.write(VOLUME, LEDGER, Seen(None))
        await courier.round()
        receiver.code = 200
        for _ in range(4):
            hands.later(minutes=1)
            await courier.round()
        assert await state(database, "pending") == []
        types = [json.loads(body)["type"] for _, body in receiver.got]
        assert set(types) == {"dev.cloudstack.volume.create", "dev.cloudstack.volume.delete"}


def test_backoff_grows_to_an_hour() -> None:
    waits = [backoff(attempt) for attempt in range(1, ATTEMPTS + 1)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(seconds=2), timedelta(hours=1))


async def test_one_that_was_given_up_is_tried_again_and_what_is_forgotten_is_not(
    database: Database, hands: Hands
) -> None:
    recorder = Recorder(database, lambda namespace, type_: ("w1", "w2"), lambda: hands.now)
    receiver = Receiver()
    async with health.served(receiver.app(), 0, "127.0.0.1") as port, aiohttp.ClientSession() as session:
        targets = {name: Target(name, f"http://127.0.0.1:{port}/hook", KEY) for name in ("w1", "w2")}
        courier = Courier(database, Clock(hands), session, targets.get)  # type: ignore[arg-type]
        receiver.code = 500
        await recorder.write(VOLUME, LEDGER, volume("2Gi"))
        for _ in range(ATTEMPTS):
            await courier.round()
            hands.later(hours=2)
        found = await deliveries.deliveries(database, deliveries.DeliveryQuery(receivers=("w1",)))
        (one,) = found.items
        assert (one.state, one.type, one.receiver) == ("dead", "VOLUME.CREATE", "w1")
        strange = deliveries.DeliveryQuery(receivers=("w2",), id=one.id)
        assert await deliveries.again(database, strange, hands.now) == 0, "it is another's"
        receiver.code, receiver.got = 204, []
        assert await deliveries.again(database, deliveries.DeliveryQuery(receivers=("w1",), id=one.id), hands.now) == 1
        await courier.round()
        (one,) = (await deliveries.deliveries(database, deliveries.DeliveryQuery(receivers=("w1",)))).items
        assert (one.state, one.attempts, len(receiver.got)) == ("delivered", 1, 1)
        late = deliveries.DeliveryQuery(receivers=("w2",), since=hands.now)
        assert await deliveries.drop(database, late) == 0
        assert await deliveries.drop(database, deliveries.DeliveryQuery(receivers=("w2",), type="VOLUME.CREATE")) == 1
        assert (await deliveries.deliveries(database, deliveries.DeliveryQuery())).total == 1
