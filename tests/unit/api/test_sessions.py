"""Login, the session that follows, and what breaks it."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.api import passwords
from operators.api.doors import WAITING, Doors
from operators.api.errors import ApiError
from operators.api.sessions import TIMEOUT, Sessions
from operators.contract.codec import Json
from operators.contract.identity import DOMAIN
from tests.unit.api.world import PASSWORD_OF, World

SESSIONS = Sessions(b"k" * 32)


async def login(world: World, session: aiohttp.ClientSession, user: str, word: str, **more: str) -> tuple[int, Json]:
    data = {"command": "login", "username": user, "password": word, "response": "json", **more}
    async with session.post(world.url, data=data) as answer:
        return answer.status, await answer.json()


def jar() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_login_and_logout(world: World) -> None:
    async with jar() as session:
        status, body = await login(world, session, "admin", PASSWORD_OF["admin"])
        told = body["loginresponse"]
        assert status == 200
        assert (told["account"], told["type"], told["timeout"]) == ("admin", "1", 1800)
        cookies = {cookie.key: cookie for cookie in session.cookie_jar}
        assert cookies["JSESSIONID"]["path"] == "/client"
        assert cookies["sessionkey"]["httponly"]
        assert cookies["sessionkey"]["samesite"] == "Lax"

        params = {"command": "listZones", "response": "json", "sessionkey": told["sessionkey"]}
        async with session.get(world.url, params=params) as answer:
            assert (await answer.json())["listzonesresponse"]["count"] == 1
        async with session.get(world.url, params=params | {"sessionkey": "forged"}) as answer:
            assert answer.status == 401
        async with session.get(world.url, params={"command": "listZones", "response": "json"}) as answer:
            assert answer.status == 401, "a cookie alone is what a forged request brings"

        kept = cookies["JSESSIONID"].value
        async with session.get(world.url, params=params | {"command": "logout"}) as answer:
            assert await answer.json() == {"logoutresponse": {"description": "success"}}
        async with session.get(world.url, params=params, headers={"Cookie": f"JSESSIONID={kept}"}) as answer:
            assert answer.status == 401


async def test_a_user_of_a_domain(world: World) -> None:
    async with jar() as session:
        word = PASSWORD_OF["alice"]
        for good in ({"domain": "/sales/east"}, {"domain": "ROOT/sales/east"}, {"domainId": world.uid(DOMAIN, "east")}):
            assert (await login(world, session, "alice", word, **good))[0] == 200, good
        assert (await login(world, session, "alice", word))[0] == 531, "not in ROOT"


@pytest.mark.parametrize(("user", "word"), [("admin", "wrong"), ("nobody", "x"), ("bob", ""), ("bob", "x")])
async def test_refused(world: World, user: str, word: str) -> None:
    async with jar() as session:
        status, body = await login(world, session, user, word)
    if not word:
        assert status == 431
        return
    text = f"Failed to authenticate user {user} in domain ROOT; please provide valid credentials"
    assert (status, body) == (531, {"loginresponse": {"uuidList": [], "errorcode": 531, "errortext": text}})


async def test_not_by_get(world: World) -> None:
    params = {"command": "login", "username": "admin", "password": PASSWORD_OF["admin"], "response": "json"}
    async with world.session.get(world.url, params=params) as answer:
        assert answer.status == 405


def test_a_session_ends() -> None:
    session = SESSIONS.begin("uid", 1000)
    cookie, key = SESSIONS.cookie(session), SESSIONS.session_key(session)

    assert SESSIONS.proven(cookie, key, 1000 + TIMEOUT - 1) == session
    assert SESSIONS.proven(cookie, key, 1000 + TIMEOUT) is None
    assert Sessions(b"x" * 32).proven(cookie, key, 1001) is None
    assert SESSIONS.renewed(session, 1030) is None
    later = SESSIONS.renewed(session, 1600)
    assert later is not None
    assert SESSIONS.proven(SESSIONS.cookie(later), key, 1000 + TIMEOUT) == later, "with the same key"


@given(st.text(max_size=80), st.text(max_size=50))
def test_nonsense_is_no_session(cookie: str, key: str) -> None:
    assert SESSIONS.proven(cookie, key, 0) is None


async def test_passwords() -> None:
    kept = await asyncio.to_thread(passwords.hashed, "correct horse")
    assert passwords.matches("correct horse", kept)
    assert not passwords.matches("correct hors", kept)
    assert not passwords.matches("", passwords.NOBODY)
    for nonsense in ("", "scrypt$1$2", "plain", "scrypt$x$8$1$eA==$eA==", "scrypt$16384$8$1$!$!"):
        assert not passwords.matches("", nonsense)


async def test_a_flood_of_logins_is_turned_away(world: World) -> None:
    async with jar() as session:
        answers = await asyncio.gather(*(login(world, session, "nobody", "x") for _ in range(3)))
        assert [status for status, _ in answers] == [531] * 3
    doors = Doors(None, None, None, SESSIONS)  # type: ignore[arg-type]
    doors._waiting = WAITING
    with pytest.raises(ApiError) as caught:
        await doors._matches("x", "x")
    assert caught.value.code == 429
