"""A guest is no faster than its offering lets it be, in either direction, and from the moment that is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.instances import INSTANCE
from operators.contract.meta import Key
from tests.host.network.harness import NS, Cloud, Guest, cloud

RATE = 8
"""Mbit/s: far below what the slowest machine can do."""


async def limit(here: Cloud, guest: Guest, rate: int) -> None:
    key = Key(NS, names.instance(guest.name))
    spec = here.must(INSTANCE, key.name).spec
    spec = replace(spec, nics=tuple(replace(nic, rate=rate) for nic in spec.nics))
    await here.user.apply(INSTANCE, INSTANCE.body(key, spec=to_wire(spec)))
    shown = ["tc", "qdisc", "show", "dev", guest.binding.tap]
    table = ["nft", "list", "ruleset"]

    def holds() -> bool:
        shaped = "tbf" in guest.host.exec(shown, check=False).stdout
        policed = f"from_{guest.binding.tap}" in guest.host.exec(table).stdout
        return shaped is policed is bool(rate)

    await here.until(holds)


async def test_a_limit_holds_both_ways_and_goes_when_it_is_taken_back(tmp_path: Path) -> None:
    async with cloud(tmp_path, 1) as here:
        await here.network()
        slow, quick = await here.guest("slow", "n1", plug=False), await here.guest("quick", "n1")
        await limit_before_its_tap(here, slow)
        for guest in (slow, quick):
            guest.dhcp()
        assert 0 < slow.sends(quick) < 2 * RATE
        assert 0 < quick.sends(slow) < 2 * RATE
        await limit(here, slow, 0)
        await limit(here, quick, RATE)
        assert 0 < slow.sends(quick) < 2 * RATE
        # Gone with its tap, and back with it.
        quick.unplug()
        await here.until(
            lambda: f"from_{quick.binding.tap}" not in here.hosts["n1"].exec(["nft", "list", "ruleset"]).stdout
        )
        quick.plug_in()
        await limit(here, quick, RATE)
        await limit(here, quick, 0)
        assert "netdev" not in here.hosts["n1"].exec(["nft", "list", "ruleset"]).stdout


async def limit_before_its_tap(here: Cloud, guest: Guest) -> None:
    """The usual order: the Instance states it, and its guest is plugged in later."""
    key = Key(NS, names.instance(guest.name))
    spec = here.must(INSTANCE, key.name).spec
    spec = replace(spec, nics=tuple(replace(nic, rate=RATE) for nic in spec.nics))
    await here.user.apply(INSTANCE, INSTANCE.body(key, spec=to_wire(spec)))
    guest.plug_in()
    await limit(here, guest, RATE)
