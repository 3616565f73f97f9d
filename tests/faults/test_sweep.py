"""Killed at any step of a machine's whole life: in the end no file, domain, device or object is left on any host."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.support import leftovers
from tests.support.cluster import Cloud, network, vm, volume
from tests.support.faults import AGENTS, OPERATORS, Breaker, after

SEED = int(os.environ.get("FAULT_SEED", "1"))
VICTIMS = (*OPERATORS[:4], *AGENTS)
STEPS = ("deploy", "stop", "start", "reboot", "destroy")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("victim", (*VICTIMS, "libvirtd"))
def test_nothing_is_left_of_a_life_in_which_each_step_was_cut_off(cloud: Cloud, breaker: Breaker, victim: str) -> None:
    """One component dies somewhere in every step: deploy, stop, start, reboot and destroy all end well, and leave nothing."""
    host, rng = leftovers.hosts(cloud)[0], random.Random(f"{SEED} life {victim}")
    before = leftovers.inventory(cloud)

    def strike() -> None:
        if victim == "libvirtd":
            breaker.kill_libvirtd(host)
        else:
            breaker.kill_component(victim, host if victim in AGENTS else "")

    def machine(**spec: object) -> dict[str, object]:
        return vm("web", volumes=["ledger"], placement={"host": host}, **spec)

    steps: dict[str, Callable[[], None]] = {
        "deploy": lambda: cloud.apply(network(), volume(), machine()),
        "stop": lambda: cloud.apply(machine(runPolicy="Stopped")),
        "start": lambda: cloud.apply(machine(runPolicy="Running")),
        "reboot": lambda: cloud.apply(machine(runPolicy="Running", rebootRequest=1)),
    }
    for step in STEPS[:-1]:
        timer = after(rng.uniform(0.0, 0.8), strike)
        steps[step]()
        timer.join(60)
        cloud.ready("vm/web")
        assert leftovers.domains_of(cloud, cloud.need("VirtualMachine", "web")["metadata"]["uid"]) in ([host], [])
    timer = after(rng.uniform(0.0, 0.8), strike)
    cloud.delete("VirtualMachine", "web")
    timer.join(60)
    cloud.delete("Volume", "ledger")
    cloud.delete("Network", "backplane")
    breaker.settle()
    leftovers.assert_nothing_left(cloud, before)
