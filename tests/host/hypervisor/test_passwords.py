"""A new password for a guest that runs, set by its own agent and seen from inside the guest."""

from __future__ import annotations

from unittest import mock

from agents.hypervisor import guests
from operators.contract.instances import GuestPassword
from operators.contract.meta import Key
from tests.host.hypervisor.both import Both, both

__all__ = ["both"]  # the fixture

METHODS = {"1": "md5", "5": "sha256", "6": "sha512"}


async def hashed(both: Both, key: Key) -> str:
    """What the guest has of root's password."""
    return await both.sh(key, "sed -n 's/^root:\\([^:]*\\):.*/\\1/p' /etc/shadow")


async def test_the_guests_agent_sets_it_and_what_it_refuses_is_said(both: Both) -> None:
    with mock.patch.object(guests, "LOOK_SOON", 1.0):
        key = await both.guest("vm1", copy="tiny")
        await both.world.until(lambda: both.world.status(key).guest is not None, 120)
    before = await hashed(both, key)
    await both.world.change(key, password=GuestPassword(1, "Corr3ct-h0rse"))
    await both.world.until(lambda: both.world.status(key).password_set == 1, 60)
    after = await hashed(both, key)
    assert after != before and after.startswith("$"), after
    _, method, salt, _ = after.split("$")
    asked = f"mkpasswd -m {METHODS[method]} -S {salt} Corr3ct-h0rse"
    assert await both.sh(key, asked) == after
    await both.world.change(key, password=GuestPassword(2, "another", user="nobody-of-that-name"))
    await both.world.until(lambda: both.world.status(key).password_refused == 2, 60)
    assert both.world.status(key).password_set == 1 and both.world.holds(key, "Realised")
