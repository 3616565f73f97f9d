"""The certificate that a replica makes for itself at its start, and that agents pin: no authority has a part in it."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AGE = timedelta(days=3650)
"""Longer than any process lives: it ends with the process, since its key is nowhere else."""


@dataclass(frozen=True)
class Certificate:
    """The server's side of TLS, and by what its peers know it."""

    tls: ssl.SSLContext
    sha256: str
    """Of its DER form, in hexadecimal."""


def made(now: datetime) -> Certificate:
    """A new key and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cloudstack-console")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + AGE)
        .sign(key, hashes.SHA256())
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The ssl module loads keys from files only; this one is the process's own and gone at once.
    with tempfile.NamedTemporaryFile() as both:
        both.write(private + signed.public_bytes(serialization.Encoding.PEM))
        both.flush()
        tls.load_cert_chain(both.name)
    return Certificate(tls, hashlib.sha256(signed.public_bytes(serialization.Encoding.DER)).hexdigest())
