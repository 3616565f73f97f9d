"""Keys by name, user data from several places, and key pairs that are made."""

from __future__ import annotations

import base64
import email
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from operators.compute.firstboot import merged
from operators.compute.keypairs import fingerprint
from operators.contract.core import SECRET
from operators.contract.keypairs import SSH_KEY_PAIR
from operators.contract.meta import Key, condition
from operators.kernel.store import Forbidden
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, World, world

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHCDwkkzFGdVZiiJpnVKmR+CYkE9LMNfa8wKbzL0Q0Vd me@example"


async def pair(cloud: World, name: str, **spec: Any) -> None:
    await cloud.admin.as_manager("kubectl").apply(SSH_KEY_PAIR, SSH_KEY_PAIR.body(Key(NS, name), spec=spec))


async def secret(cloud: World, name: str, **texts: str) -> None:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    await cloud.admin.as_manager("kubectl").apply(SECRET, SECRET.body(Key(NS, name)) | {"data": data})


def status(cloud: World, name: str) -> Any:
    body = cloud.server.read(SSH_KEY_PAIR, Key(NS, name))
    assert body
    return SSH_KEY_PAIR.parse(body).status


def boot(cloud: World) -> Any:
    return cloud.instance().spec.cloud_init


@virtual
async def test_a_pair_is_made_once_and_its_private_key_is_in_the_secret_alone() -> None:
    async with world() as cloud:
        await pair(cloud, "mine")
        await cloud.settle(5)
        told = status(cloud, "mine")
        body = cloud.server.read(SECRET, Key(NS, told.secret))
        assert body
        private = load_ssh_private_key(base64.b64decode(body["data"]["ssh-privatekey"]), None)
        assert told.public_key.startswith("ssh-ed25519 ")
        assert told.fingerprint == fingerprint(told.public_key)
        assert private.public_key()
        assert base64.b64decode(body["data"]["ssh-publickey"]).decode() == told.public_key
        assert "PRIVATE" not in str(cloud.server.read(SSH_KEY_PAIR, Key(NS, "mine")))
        cloud.server.delete("kubectl", SECRET, Key(NS, told.secret))
        await cloud.settle(1200)
        assert cloud.server.read(SECRET, Key(NS, told.secret)) is None, "shown once"
        assert status(cloud, "mine") == told


@virtual
async def test_a_pair_that_was_made_when_compute_fell_is_the_pair() -> None:
    async with world() as cloud:
        await cloud.kill("compute")
        cloud.start_compute(1)
        died = cloud.store
        await pair(cloud, "mine")
        await cloud.settle(10)
        assert (died.creates, died.fell.is_set()) == (1, True)
        (made,) = cloud.server.all(SECRET)
        public = base64.b64decode(made["data"]["ssh-publickey"]).decode()
        assert status(cloud, "mine").public_key == public


@virtual
async def test_a_key_that_was_brought_makes_no_secret_and_nonsense_is_said() -> None:
    async with world() as cloud:
        await pair(cloud, "mine", publicKey=PUBLIC)
        await pair(cloud, "odd", publicKey="ssh-rsa AAAA")
        await cloud.settle(5)
        told = status(cloud, "mine")
        assert (told.public_key, told.secret) == (PUBLIC, "")
        ready = condition(status(cloud, "odd").conditions, "Ready")
        assert ready and ready.reason == "Invalid"
        await cloud.apply(sshKeyPairs=["mine"], sshKeys=["ssh-rsa AAAAB3Nz me"])
        await cloud.settle(5)
        assert boot(cloud).ssh_keys == ("ssh-rsa AAAAB3Nz me", PUBLIC)


@virtual
async def test_a_machine_waits_for_its_key_pair() -> None:
    async with world() as cloud:
        await cloud.apply(sshKeyPairs=["mine"])
        await cloud.settle(5)
        assert cloud.ready().reason == "KeyPairNotFound"
        await pair(cloud, "mine")
        await cloud.settle(5)
        assert cloud.ready().true
        assert boot(cloud).ssh_keys[0].startswith("ssh-ed25519")


@virtual
async def test_user_data_comes_from_secrets_too_and_is_read_anew_for_each_start() -> None:
    async with world() as cloud:
        sources = [{"base64": base64.b64encode(b"#!/bin/sh\necho b\n").decode()}, {"secret": "boot", "key": "text"}]
        await cloud.apply(userData={"inline": "#cloud-config\nhostname: a\n"}, userDataSources=sources)
        await cloud.settle(5)
        assert (cloud.ready().reason, cloud.instances()) == ("SecretNotFound", [])
        await secret(cloud, "boot", other="x")
        await cloud.settle(40)
        assert "no text under the key text" in cloud.ready().message
        await secret(cloud, "boot", text="#cloud-config\nruncmd: [true]\n")
        await cloud.settle(40)
        assert cloud.ready().true
        parts = email.message_from_string(boot(cloud).user_data).get_payload()
        assert [part.get_content_subtype() for part in parts] == ["cloud-config", "x-shellscript", "cloud-config"]
        assert parts[2].get_payload() == "#cloud-config\nruncmd: [true]\n"
        assert "runcmd" not in str(cloud.vm().status)
        writes = len(cloud.server.log)
        await secret(cloud, "boot", text="#cloud-config\nruncmd: [false]\n")
        await cloud.settle(60)
        assert condition(cloud.vm().status.conditions, "RestartRequired") is None
        assert len(cloud.server.log) == writes + 1
        more = {"userData": {"inline": "#cloud-config\nhostname: a\n"}, "userDataSources": sources}
        await cloud.apply(runPolicy="Stopped", **more)
        await cloud.settle(10)
        await cloud.apply(**more)
        await cloud.settle(10)
        assert "[false]" in boot(cloud).user_data


@virtual
async def test_without_the_right_to_read_secrets_it_says_how_to_give_it() -> None:
    async with world() as cloud:

        async def get(*_: Any) -> Any:
            raise Forbidden("secrets is forbidden")

        cloud.store.get = get  # type: ignore[method-assign]
        await cloud.apply(userData={"secret": "boot"})
        await cloud.settle(5)
        assert cloud.ready().reason == "SecretsForbidden"
        assert "kubectl -n team-a create rolebinding cloudstack-compute-secrets" in cloud.ready().message


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"userData": {"base64": "AAECA////w=="}}, "is not a text in base64"),
        ({"userDataSources": [{"inline": "x" * 8192}] * 5}, "may be 32768"),
    ],
)
@virtual
async def test_user_data_that_cannot_be_is_said(spec: dict[str, Any], reason: str) -> None:
    async with world() as cloud:
        await cloud.apply(**spec)
        await cloud.settle(5)
        assert cloud.ready().reason == "Invalid"
        assert reason in cloud.ready().message


def test_the_same_parts_make_the_same_message() -> None:
    assert merged(["#!/bin/sh\n", "ä"]) == merged(["#!/bin/sh\n", "ä"]) != merged(["ä", "#!/bin/sh\n"])
