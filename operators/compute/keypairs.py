"""The controller of SSHKeyPairs: a public key is checked, and a pair that is missing is made.

The private key of a pair that was made goes into a Secret and nowhere else. It is made once: whoever deletes the Secret
has their copy.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from operators.contract import names
from operators.contract.codec import Json, to_wire
from operators.contract.core import SECRET
from operators.contract.keypairs import SSH_KEY_PAIR, SSHKeyPairSpec, SSHKeyPairStatus
from operators.contract.meta import Key, Kind, Obj
from operators.contract.reasons import Reason
from operators.kernel.controller import Report
from operators.kernel.manager import Context
from operators.kernel.outcome import Done, Outcome, Problem, Rejected, Retry
from operators.kernel.report import Voice
from operators.kernel.store import AlreadyExists, Forbidden

KeyPair: TypeAlias = Obj[SSHKeyPairSpec, SSHKeyPairStatus]
PRIVATE, PUBLIC = "ssh-privatekey", "ssh-publickey"
"""Keys of the Secret; the first is that of Kubernetes's own type of Secret."""
LOOK_AGAIN = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a pair besides its status."""

    made: str = ""
    """The public key of the pair that this process has just made, or found made by one before."""


@dataclass(frozen=True, slots=True)
class Make:
    """Make a pair, its private key into a Secret."""

    pair: KeyPair

    def __str__(self) -> str:
        return str(self.pair.key)


@dataclass
class KeyPairs:
    """Keyed by SSHKeyPair."""

    context: Context
    name: str = "key-pairs"
    kind: Kind[Any, Any] = SSH_KEY_PAIR
    workers: int = 2
    voice: Voice = field(default_factory=Voice)
    made: dict[str, str] = field(default_factory=dict)
    """Public keys that no status has yet, by the pair's uid."""

    def triggers(self) -> Mapping[Kind[Any, Any], Callable[[Any], Iterable[Key]]]:
        """A pair concerns itself."""
        return {SSH_KEY_PAIR: lambda pair: (pair.key,)}

    async def observe(self, key: Key) -> tuple[KeyPair, Seen] | None:
        """Read one pair."""
        pair = self.context.cache.get(SSH_KEY_PAIR, key)
        if pair is None or pair.meta.deleting:
            return None
        if pair.status.public_key:
            self.made.pop(pair.meta.uid, None)
        return pair, Seen(self.made.get(pair.meta.uid, ""))

    def plan(self, pair: KeyPair, seen: Seen) -> tuple[Sequence[Make], Outcome]:
        """Check the key that was brought, or have a pair made once."""
        public = pair.spec.public_key or pair.status.public_key or seen.made
        if not public:
            return [Make(pair)], Retry(Reason.PROGRESSING, "its key pair is being made", 0.0)
        if not fingerprint(public):
            return [], Rejected(Reason.INVALID, "publicKey is not a public key in authorized_keys form: copy it anew")
        return [], Done()

    async def act(self, action: Make) -> None:
        """Make the pair, or find the one that was made before this process fell."""
        pair = action.pair
        private, public = generate(f"{pair.meta.namespace}/{pair.meta.name}")
        body = secret_of(pair, private, public)
        key = Key(pair.meta.namespace, body["metadata"]["name"])
        try:
            await self.context.store.create(SECRET, body)
        except AlreadyExists:
            found = await self.context.store.get(SECRET, key)
            owners = found["metadata"].get("ownerReferences", ()) if found else ()
            if found is None or pair.meta.uid not in {owner["uid"] for owner in owners}:
                why = f"Secret {key.name} is in the way: delete it"
                raise Problem(Retry(Reason.NAME_TAKEN, why, LOOK_AGAIN)) from None
            public = base64.b64decode(found["data"][PUBLIC]).decode()
        except Forbidden as error:
            raise Problem(Retry(Reason.SECRETS_FORBIDDEN, allow(pair.meta.namespace), LOOK_AGAIN)) from error
        self.made[pair.meta.uid] = public

    def report(self, pair: KeyPair, seen: Seen, outcome: Outcome) -> Sequence[Report]:
        """The public key, and where the private one is."""
        public = pair.spec.public_key or pair.status.public_key or seen.made
        if not public and isinstance(outcome, Retry) and outcome.after == 0.0:
            return ()
        status = SSHKeyPairStatus(public_key=public, fingerprint=fingerprint(public))
        if public and not pair.spec.public_key:
            status = replace(status, secret=names.key_pair_secret(pair.meta.name, pair.meta.uid))
        return (Report(pair, status),)


def generate(comment: str) -> tuple[bytes, str]:
    """A new Ed25519 pair: the private key in OpenSSH's own form, the public key as authorized_keys has it."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, f"{public.decode()} {comment}"


def fingerprint(public: str) -> str:
    """`SHA256:…` of a public key; empty for what is none."""
    kind, _, rest = public.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        return ""
    if not blob[4:].startswith(kind.encode()):  # the blob begins with its own type, after four bytes of length
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def secret_of(pair: KeyPair, private: bytes, public: str) -> Json:
    """The Secret of a pair; it goes with it."""
    owner = replace(pair.owner, block_owner_deletion=False)
    key = Key(pair.meta.namespace, names.key_pair_secret(pair.meta.name, pair.meta.uid))
    data = {PRIVATE: base64.b64encode(private).decode(), PUBLIC: base64.b64encode(public.encode()).decode()}
    return SECRET.body(key, ownerReferences=[to_wire(owner)]) | {"type": "kubernetes.io/ssh-auth", "data": data}


def allow(namespace: str) -> str:
    """What a tenant does to have Compute work with Secrets."""
    role = names.SECRETS_ROLE
    return (
        f"Compute may not read or make Secrets in namespace {namespace}; to allow it: kubectl -n {namespace} create "
        f"rolebinding {role} --clusterrole={role} --serviceaccount=NAMESPACE_OF_CLOUDSTACK:cloudstack-compute"
    )
