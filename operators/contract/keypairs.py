"""The SSHKeyPair: a public key under a name, made here or brought along."""

from __future__ import annotations

from dataclasses import dataclass

from operators.contract import names
from operators.contract.meta import Condition, Kind


@dataclass(frozen=True, slots=True)
class SSHKeyPairSpec:
    """A key pair of a tenant. Immutable."""

    public_key: str = ""
    """In authorized_keys form; a new pair is made when left out."""


@dataclass(frozen=True, slots=True)
class SSHKeyPairStatus:
    """Written by Compute."""

    observed_generation: int = 0
    public_key: str = ""
    fingerprint: str = ""
    """As `ssh-keygen -l` prints it: `SHA256:…`."""
    secret: str = ""
    """Name of the Secret with the private key of a pair that was made here: keep a copy, then delete it."""
    conditions: tuple[Condition, ...] = ()


SSH_KEY_PAIR = Kind(names.COMPUTE, "SSHKeyPair", "sshkeypairs", SSHKeyPairSpec, SSHKeyPairStatus)

KINDS: tuple[Kind[object, object], ...] = (SSH_KEY_PAIR,)
