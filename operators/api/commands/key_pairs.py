"""SSH key pairs: public keys that first boot gives to guests. Private keys stay with their owners."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, OwnerArgs, asked, listing, owned, place_of, place_to_make
from operators.api.changing import remove
from operators.api.cloud import KeyPair, name_of
from operators.api.declare import Answer, Single, command, string, uuid
from operators.api.responses.done import Done
from operators.api.responses.owned import whose
from operators.contract.codec import to_wire
from operators.contract.keypairs import SSH_KEY_PAIR, SSHKeyPairSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPairResponse:
    """The public half of a key pair."""

    id: str
    name: str
    fingerprint: str | None
    account: str | None
    domainid: str | None
    domain: str
    project: str | None
    projectid: str | None


def key_pair(call: Call, obj: KeyPair) -> KeyPairResponse:
    """The response of one."""
    owner = {name: value for name, value in whose(call, obj.meta.namespace).items() if name != "domainpath"}
    return KeyPairResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        fingerprint=obj.status.fingerprint or _fingerprint(obj.spec.public_key),
        **owner,
    )


def _fingerprint(public_key: str) -> str | None:
    """As `ssh-keygen -l` prints it, and as Compute will report it in a moment."""
    words = public_key.split()
    try:
        blob = base64.b64decode(words[1], validate=True) if len(words) > 1 else b""
    except binascii.Error:
        return None
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}" if blob else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSSHKeyPair(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the key pair, unique in its account", required=True)
    publickey: str = string("The public key, in authorized_keys form", required=True, length=5120)


@command("registerSSHKeyPair", "Registers a public key.", item=KeyPairResponse, key="keypair")
async def register_ssh_key_pair(call: Call, args: RegisterSSHKeyPair) -> Answer:
    """The SSHKeyPair that kubectl would make."""
    return Single(key_pair(call, await _registered(call, args, args.name, args.publickey.strip())))


async def _registered(call: Call, args: OwnerArgs, name: str, public_key: str) -> KeyPair:
    namespace = place_to_make(call, args)
    if call.cloud.all(SSH_KEY_PAIR, (namespace,), lambda obj: name_of(obj) == name):
        raise errors.invalid(f"A key pair with name {name} already exists for the account")
    spec = to_wire(SSHKeyPairSpec(public_key))
    return SSH_KEY_PAIR.parse(await naming.create(call, SSH_KEY_PAIR, namespace, name, spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKeyPairResponse(KeyPairResponse):
    """A new key pair with its private half, which is never shown again."""

    privatekey: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSSHKeyPair(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the key pair, unique in its account", required=True)


@command(
    "createSSHKeyPair",
    "Creates a key pair. The private key is shown now and never again.",
    item=NewKeyPairResponse,
    key="keypair",
)
async def create_ssh_key_pair(call: Call, args: CreateSSHKeyPair) -> Answer:
    """Made here and told once, so that nobody but its owner ever has the private half."""
    private, public = await asyncio.to_thread(_generated)
    made = await _registered(call, args, args.name, public)
    return Single(NewKeyPairResponse(**asdict(key_pair(call, made)), privatekey=private))


def _generated() -> tuple[str, str]:
    """RSA, in the form that every client of CloudStack's reads."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return pem.decode(), key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSSHKeyPairs(OwnedListArgs):
    """Arguments."""

    id: KeyPair | None = uuid("ID of the key pair", SSH_KEY_PAIR)
    name: str = string("Name of the key pair")
    fingerprint: str = string("That of this fingerprint")


@command("listSSHKeyPairs", "Lists key pairs.", item=KeyPairResponse, key="sshkeypair")
async def list_ssh_key_pairs(call: Call, args: ListSSHKeyPairs) -> Answer:
    """Those of the caller, or of whom it asks about."""

    def wanted(obj: KeyPair) -> bool:
        return asked(args, obj, name_of(obj)) and args.fingerprint in ("", obj.status.fingerprint)

    return listing(args, owned(call, SSH_KEY_PAIR, args, args.id, wanted), lambda obj: key_pair(call, obj))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSSHKeyPair(OwnerArgs):
    """Arguments."""

    name: str = string("Name of the key pair", required=True)


@command("deleteSSHKeyPair", "Deletes a key pair; guests keep what they were given.", item=Done)
async def delete_ssh_key_pair(call: Call, args: DeleteSSHKeyPair) -> Answer:
    """By its name, as CloudStack has it."""
    for pair in named(call, place_of(call, args), (args.name,)):
        await remove(call, pair)
    return Single(Done())


def named(call: Call, namespace: str, wanted: tuple[str, ...]) -> tuple[KeyPair, ...]:
    """Key pairs of a namespace by the names that callers know. Raises ApiError."""
    known = {name_of(obj): obj for obj in call.cloud.all(SSH_KEY_PAIR, (namespace,))}
    if missing := [name for name in wanted if name not in known]:
        raise errors.invalid(f"A key pair with name {missing[0]} does not exist for the account")
    return tuple(known[name] for name in wanted)
