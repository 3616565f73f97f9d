"""What a guest gets to read at its first boot: keys by name, and user data from several places made into one.

Several parts become one MIME multipart message, which cloud-init takes apart
(https://cloudinit.readthedocs.io/en/latest/explanation/format.html). Secrets are read when the guest is started, and
are kept no longer than that takes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import TypeAlias

from operators.compute import passwords
from operators.compute.model import VM, ReadSecrets, Seen
from operators.contract import names
from operators.contract.compute import UserData
from operators.contract.reasons import Reason
from operators.kernel.outcome import Blocked, Outcome, Rejected, Retry

MOST = 32768
"""Bytes of user data in all, as in CloudStack."""
KEY = "userdata"
"""Where in a Secret it is, unless its user says otherwise."""
LOOK_AGAIN = 30.0
"""Seconds between two looks for a Secret: nobody watches Secrets, which would take the right to read them all."""
TYPES = (
    ("#cloud-config", "cloud-config"),
    ("#!", "x-shellscript"),
    ("#include", "x-include-url"),
    ("#cloud-boothook", "cloud-boothook"),
    ("## template: jinja", "jinja2"),
)
MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
"""How a later `#cloud-config` part adds to an earlier one, in place of replacing what has the same key."""

Read: TypeAlias = Mapping[str, Mapping[str, str] | None]
"""What was read: by the Secret's name its texts by key, or None where there is none."""


@dataclass(frozen=True, slots=True)
class Unusable(Exception):
    """A part that cannot be had; `outcome` says why."""

    outcome: Outcome


def sources(vm: VM) -> tuple[UserData, ...]:
    """The parts of its user data, in order; those that say nothing are left out."""
    every = (vm.spec.user_data, *vm.spec.user_data_sources)
    return tuple(each for each in every if each.inline or each.base64 or each.secret)


def secrets(vm: VM) -> frozenset[str]:
    """The Secrets that its user data is in."""
    return frozenset(each.secret for each in sources(vm) if each.secret)


def unread(vm: VM, seen: Seen) -> ReadSecrets | None:
    """What has to be read, or made, before it can be started."""
    password = passwords.secret(vm) if passwords.due(vm, seen.instance) else ""
    wanted = secrets(vm) | ({password} if password else set())
    if not wanted or (seen.secrets is not None and wanted <= seen.secrets.keys()):
        return None
    return ReadSecrets(vm.key, vm.meta.uid, wanted, vm if password else None)


def lack(vm: VM, seen: Seen) -> Outcome | None:
    """Why its first boot cannot be prepared; None when it can."""
    if (missing := next((name for name in vm.spec.ssh_key_pairs if name not in seen.keys), None)) is not None:
        message = f"there is no SSHKeyPair {missing} with a public key yet: make it, or take it out of the spec"
        return Blocked(Reason.KEY_PAIR_NOT_FOUND, message)
    try:
        user_data(vm, seen)
    except Unusable as error:
        return error.outcome
    return None


def keys(vm: VM, seen: Seen) -> tuple[str, ...]:
    """All public keys that may log in, each once."""
    named = (seen.keys[name] for name in vm.spec.ssh_key_pairs if name in seen.keys)
    return tuple(dict.fromkeys((*vm.spec.ssh_keys, *named)))


def user_data(vm: VM, seen: Seen) -> str:
    """Its user data, whole. Raises Unusable."""
    texts = [text for part in sources(vm) if (text := _text(part, seen.secrets or {})) != ""]
    whole = texts[0] if len(texts) == 1 else merged(texts) if texts else ""
    if (size := len(whole.encode())) > MOST:
        why = f"its user data is {size} bytes long in all and may be {MOST}: have a short script download the rest"
        raise Unusable(Rejected(Reason.INVALID, why))
    return whole


def _text(part: UserData, read: Read) -> str:
    if part.inline:
        return part.inline
    if part.base64:
        try:
            return base64.b64decode(part.base64, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            why = f"userData.base64 is not a text in base64 ({error}): encode it with `base64 -w0`"
            raise Unusable(Rejected(Reason.INVALID, why)) from error
    key, found = part.key or KEY, read.get(part.secret)
    if found is None:
        why = f"there is no Secret {part.secret} in this namespace: make it with the key {key}"
        raise Unusable(Retry(Reason.SECRET_NOT_FOUND, why, LOOK_AGAIN))
    if key not in found:
        why = f"Secret {part.secret} has no text under the key {key}: add it, or name another in userData.key"
        raise Unusable(Retry(Reason.SECRET_NOT_FOUND, why, LOOK_AGAIN))
    return found[key]


def merged(texts: list[str]) -> str:
    """Several parts as one message. The same parts give the same text, so that nothing seems to have changed."""
    whole: Message = MIMEMultipart(boundary=f"=={names.digest(*texts, length=24)}==")
    for number, text in enumerate(texts, 1):
        kind = next((kind for start, kind in TYPES if text.startswith(start)), "plain")
        part = MIMEText(text, kind, "utf-8" if not text.isascii() else "us-ascii")
        part.add_header("Content-Disposition", "attachment", filename=f"part-{number:03}")
        if kind == "cloud-config":
            part.add_header("Merge-Type", MERGE)
        whole.attach(part)
    return whole.as_string()
