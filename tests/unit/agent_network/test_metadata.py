"""What a guest reads about itself, and who is taken for whom."""

from __future__ import annotations

import dataclasses
import random

import pytest

from agents.network.metadata.guests import Guests
from agents.network.metadata.passwords import Passwords
from agents.network.metadata.tree import Guest, answer
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.instances import INSTANCE, CloudInit, GuestPassword, InstanceNic, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Meta, Obj, ObjectRef
from operators.contract.networking import HOST_NETWORK, PORT_BINDING, HostNetworkSpec, PortBindingSpec
from operators.contract.quantity import Quantity
from operators.kernel.cache import Cache
from operators.kernel.manager import Context
from operators.kernel.memory import MemoryServer, MemoryStore
from operators.kernel.outcome import Done
from tests.support.virtual_time import VirtualClock

KEYS = ("ssh-ed25519 AAAA one", "ssh-rsa BBBB two")
FIRST_BOOT = CloudInit("uid-web", "web-1", KEYS, "#!/bin/sh\necho secret\n")
INSTANCE_SPEC = InstanceSpec(
    "n1",
    ObjectRef("web", "uid-web"),
    "team-a-web",
    1,
    Quantity(128 << 20),
    nics=(InstanceNic("web-nic0", "web-nic0-b"),),
    cloud_init=FIRST_BOOT,
    offering="Small Instance",
    zone="default",
)
NETWORK = ObjectRef("net", "uid-net")
NIC = PortBindingSpec(
    "n1", ObjectRef("web-nic0", "p"), NETWORK, "net-n1", "csbr7", "cst1", "06:00:00:00:00:02", "10.1.1.2"
)
GUEST = Guest(INSTANCE_SPEC, NIC)
META = "/latest/meta-data"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "latest"),
        ("/latest", "meta-data\nuser-data"),
        ("/latest/user-data", FIRST_BOOT.user_data),
        ("/2009-04-04/user-data/", FIRST_BOOT.user_data),
        (f"{META}/instance-id", "uid-web"),
        (f"{META}/vm-id", "uid-web"),
        (f"{META}/local-hostname", "web-1"),
        (f"{META}/local-ipv4", "10.1.1.2"),
        (f"{META}/mac", "06:00:00:00:00:02"),
        (f"{META}/service-offering", "Small Instance"),
        (f"{META}/availability-zone", "default"),
        (f"{META}/placement/", "availability-zone"),
        (f"{META}/placement/availability-zone", "default"),
        # CloudStack's and EC2's ways to the same keys.
        (f"{META}/public-keys", "\n".join(KEYS)),
        (f"{META}/public-keys/", "0=key-0\n1=key-1"),
        (f"{META}/public-keys/1", "openssh-key"),
        ("/1.0/meta-data/public-keys/1/openssh-key", KEYS[1]),
        ("/oldest/user-data", None),
        (f"{META}/public-keys/2/openssh-key", None),
        (f"{META}/public-keys/0/openssh-key/more", None),
        (f"{META}/instance-id/more", None),
        (f"{META}/nothing", None),
        ("/latest/nothing", None),
        ("/latest/user-data/more", None),
        ("/etc/passwd", None),
    ],
)
def test_the_paths_of_cloudstack_and_ec2(path: str, text: str | None) -> None:
    assert answer(GUEST, path) == text


def test_the_listing_names_every_leaf_and_ends_folders_in_a_slash() -> None:
    listed = (answer(GUEST, f"{META}/") or "").splitlines()
    assert {"instance-id", "local-hostname", "public-keys", "service-offering", "vm-id", "placement/"} <= set(listed)
    assert all(answer(GUEST, f"{META}/{name}") is not None for name in listed)


def test_a_guest_without_first_boot_has_its_names_all_the_same() -> None:
    guest = Guest(dataclasses.replace(INSTANCE_SPEC, cloud_init=None), NIC)
    assert answer(guest, "/latest/user-data") == ""
    assert answer(guest, f"{META}/local-hostname") == "web"
    assert answer(guest, f"{META}/public-keys/") == ""


def known(*nics: tuple[str, PortBindingSpec]) -> Guests:
    cache = Cache([INSTANCE, PORT_BINDING, HOST_NETWORK])
    for namespace, nic in nics:
        binding = names.joined(nic.port.name, "b")
        spec = dataclasses.replace(INSTANCE_SPEC, nics=(InstanceNic(nic.port.name, binding),), zone=namespace)
        network = HostNetworkSpec("n1", nic.network, 7, "csbr7", "csvx7", "10.99.0.1")
        for kind, name, body in (
            (PORT_BINDING, binding, nic),
            (INSTANCE, f"i-{nic.port.name}", spec),
            (HOST_NETWORK, nic.host_network, network),
        ):
            made = kind.body(Key(namespace, name), spec=to_wire(body))  # type: ignore[attr-defined]
            made["metadata"] |= {"uid": f"{namespace}-{kind.kind}-{name}", "resourceVersion": "1"}
            cache.put(kind, made)
    return Guests(cache)


def test_who_asks_is_found_by_network_and_address_alone() -> None:
    other = dataclasses.replace(NIC, port=ObjectRef("db-nic0", "q"), ip="10.1.1.3")
    theirs = dataclasses.replace(NIC, network=ObjectRef("net", "uid-of-theirs"))
    guests = known(("team-a", NIC), ("team-a", other), ("team-b", theirs))
    net = Key("team-a", "net-n1")
    found = guests.find(net, "10.1.1.2")
    assert found is not None
    assert found.nic.port.name == "web-nic0"
    assert (guests.find(net, "10.1.1.3") or found).nic.port.name == "db-nic0"
    assert guests.find(net, "10.1.1.9") is None
    assert guests.find(Key("team-a", "gone"), "10.1.1.2") is None
    # The same address in another tenant's network is somebody else.
    assert (guests.find(Key("team-b", "net-n1"), "10.1.1.2") or found).guest.instance.zone == "team-b"


def test_a_network_made_anew_does_not_inherit_the_guests_of_the_last_one() -> None:
    stale = dataclasses.replace(NIC, network=ObjectRef("net", "uid-of-the-old-one"))
    guests = known(("team-a", NIC), ("team-a", dataclasses.replace(stale, port=ObjectRef("x", "x"), ip="10.1.1.7")))
    network = HostNetworkSpec("n1", NETWORK, 7, "csbr7", "csvx7", "10.99.0.1")
    body = HOST_NETWORK.body(Key("team-a", "net-n1"), spec=to_wire(network))
    body["metadata"] |= {"uid": "team-a-HostNetwork-net-n1", "resourceVersion": "2"}
    guests._cache.put(HOST_NETWORK, body)
    assert guests.find(Key("team-a", "net-n1"), "10.1.1.2") is not None
    assert guests.find(Key("team-a", "net-n1"), "10.1.1.7") is None


async def test_the_password_server_tells_a_password_until_the_guest_says_that_it_has_it() -> None:
    cache = Cache([INSTANCE])
    store = MemoryStore(MemoryServer(), "agent-network")
    context = Context(store, cache, VirtualClock(), random.Random(1), {})
    pokes: list[Key] = []
    context.poke = lambda _, key: pokes.append(key)
    passwords = Passwords(context)

    def instance(**status: int) -> Obj[InstanceSpec, InstanceStatus]:
        spec = dataclasses.replace(INSTANCE_SPEC, password=GuestPassword(2, "s3cret"))
        meta = Meta("web-i0", "team-a", uid="uid-i0", resource_version="1")
        return Obj(INSTANCE, meta, spec, InstanceStatus(**status))

    asks, there = passwords.answer, instance(password_observed=1)
    assert asks(there, "send_my_password") == "s3cret"
    assert asks(there, "send_my_password") == "s3cret"
    assert asks(there, "") == asks(there, "anything") == "bad_request"
    assert asks(there, "saved_password") == "saved_password"
    assert pokes == [there.key]
    # Before any status says so, too.
    assert asks(there, "send_my_password") == "saved_password"
    (report,) = passwords.report(there, 2, Done())
    assert report.fields == {"passwordObserved": 2}
    assert passwords.report(instance(password_observed=2), 2, Done()) == []
    assert asks(instance(password_observed=2), "send_my_password") == "saved_password"
    nothing = Obj(INSTANCE, there.meta, INSTANCE_SPEC, InstanceStatus())
    assert asks(nothing, "send_my_password") == asks(nothing, "saved_password") == "saved_password"
    assert "s3cret" not in repr(there)
