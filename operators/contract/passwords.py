"""The Secret with a guest's password, which Compute makes, or the API before it: whose is there first counts."""

from __future__ import annotations

import base64
import secrets
from dataclasses import replace

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.core import SECRET
from operators.contract.meta import Key, Obj

ENTRY = "password"
"""The Secret's key."""
LENGTH = 16
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that look alike: people type it at a console."""


def generate() -> str:
    """A new password, of some ninety bits."""
    return "".join(secrets.choice(LETTERS) for _ in range(LENGTH))


def secret_key(vm: Obj[object, object], request: int) -> Key:
    """Where the password of one request of a VirtualMachine is."""
    return Key(vm.meta.namespace, names.password_secret(vm.meta.name, vm.meta.uid, request))


def secret_of(vm: Obj[object, object], request: int, password: str) -> Json:
    """The Secret; it goes with the VirtualMachine."""
    owner = replace(vm.owner, controller=False, block_owner_deletion=False)
    data = {ENTRY: base64.b64encode(password.encode()).decode()}
    body = SECRET.body(secret_key(vm, request), ownerReferences=[to_wire(owner)])
    return body | {"type": "Opaque", "data": data}


def read(body: Json) -> str:
    """The password in a Secret; empty where there is none."""
    return base64.b64decode((body.get("data") or {}).get(ENTRY, "")).decode()
