"""Users and their secrets: passwords as hashes and key pairs, in one Secret each that nothing else shows."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping

from operators.api import errors, naming, passwords
from operators.api.call import Call
from operators.api.changing import change
from operators.api.directory import Domain, User
from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.core import SECRET
from operators.contract.identity import PASSWORD, USER, UserSpec
from operators.contract.meta import Key
from operators.kernel.store import AlreadyExists, Conflict

MOST = 8
"""Key pairs of a user, as a User takes them."""
TRIES = 5


def check_username(call: Call, name: str, domain: Domain) -> None:
    """Refuse a name that a user of the domain has. Raises ApiError."""
    if call.directory.by_username(name, domain) is not None:
        raise errors.invalid(f"The user {name} already exists in domain {call.directory.path(domain)}")


async def make_user(call: Call, spec: UserSpec, domain: Domain, password: str) -> User:
    """The User, whose name is a function of domain and username, so that only one can have it; then its Secret."""
    own = names.joined(naming.slug(spec.username, "user"), names.digest(domain.meta.name, spec.username, length=6))
    taken = f"The user {spec.username} already exists in domain {call.directory.path(domain)}"
    user = await naming.claim(call, USER, own, to_wire(spec), taken)
    await set_password(call, user, password)
    return user


async def set_password(call: Call, user: User, password: str) -> None:
    """Keep the hash of a password, which takes a while by design."""
    hashed = await asyncio.to_thread(passwords.hashed, password)
    await _keep(call, user, {PASSWORD: hashed})


async def new_pair(call: Call, user: User) -> tuple[str, str]:
    """A key pair in place of the user's newest one; the secret half is told here and never again."""
    pair = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
    await take_pair(call, user, *pair)
    return pair


async def take_pair(call: Call, user: User, api_key: str, secret: str) -> User:
    """Keep a pair: the secret half first, since an API key counts from the moment that the User lists it."""
    old = user.spec.api_keys[-1:]
    await _keep(call, user, {api_key: secret} | dict.fromkeys(old))

    def make(now: User) -> Json:
        others = [each for each in now.spec.api_keys if each not in (*old, api_key)]
        return {"spec": {"apiKeys": [*others, api_key][-MOST:]}}

    return await change(call, user, make)


async def _keep(call: Call, user: User, entries: Mapping[str, str | None]) -> None:
    """Write entries of the user's Secret; None takes one away. The Secret ends with its User."""
    key = Key(call.directory.identity, names.user_secret(user.meta.name))
    data = {
        name: None if value is None else base64.b64encode(value.encode()).decode() for name, value in entries.items()
    }
    for _ in range(TRIES):
        body = await call.store.get(SECRET, key)
        try:
            if body is not None:
                await call.store.merge(SECRET, SECRET.parse(body).meta, {"data": data})
                return
            owner = {"apiVersion": USER.api_version, "kind": USER.kind, "name": user.meta.name, "uid": user.meta.uid}
            made = SECRET.body(key, ownerReferences=[owner]) | {"type": "Opaque"}
            await call.store.create(SECRET, made | {"data": {name: each for name, each in data.items() if each}})
            return
        except (AlreadyExists, Conflict):
            continue
    raise errors.unavailable("the user is being changed by others all the time: try again")
