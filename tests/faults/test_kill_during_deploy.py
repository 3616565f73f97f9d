"""Killed at every step of a deploy: the flow is resumed, there is one domain, and nothing was done twice."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter

import pytest

from tests.support import leftovers
from tests.support.cluster import Body, Cloud, condition_of, network, vm, volume
from tests.support.faults import AGENTS, OPERATORS, Breaker, after
from tests.support.guest import address, console, guest

pytestmark = pytest.mark.alone

SEED = int(os.environ.get("FAULT_SEED", "1"))
STEPS = ("Flow", "Port", "Volume", "Instance", "Disk", "PortBinding")
"""The moment at which the first object of a kind appears; the kill comes up to JITTER after it."""
JITTER = 0.4
VICTIMS = (*OPERATORS[:4], *AGENTS)
MADE = {"Flow": 1, "Port": 1, "Volume": 2, "Instance": 1, "Disk": 2, "PortBinding": 1, "Router": 1}
"""How many of each kind there are after one deploy with a data volume and one NIC."""
QUICK = random.Random(SEED)
CASES = [
    pytest.param(victim, step, marks=() if step == quick else pytest.mark.slow)
    for victim in VICTIMS
    for quick in [QUICK.choice(STEPS)]
    for step in STEPS
]


@pytest.mark.parametrize(("victim", "step"), CASES)
def test_killed_during_deploy(cloud: Cloud, breaker: Breaker, victim: str, step: str) -> None:
    """One component dies right when a step begins."""
    host = leftovers.hosts(cloud)[0]
    delay = random.Random(f"{SEED} {victim} {step}").uniform(0, JITTER)
    struck = strike_at(cloud, step, delay, lambda: breaker.kill_component(victim, host if victim in AGENTS else ""))
    deploy(cloud, host)
    struck.join(60)
    breaker.settle()  # what is looked at is seen by the agents, one of which may still be starting
    done_once(cloud)


@pytest.mark.parametrize("number", range(3))
def test_all_operators_killed_during_deploy(cloud: Cloud, breaker: Breaker, number: int) -> None:
    """Every operator dies at the same moment, somewhere in a deploy."""
    timer = after(
        random.Random(f"{SEED} {number}").uniform(0.05, 1.5), lambda: [breaker.kill_component(x) for x in OPERATORS]
    )
    deploy(cloud, leftovers.hosts(cloud)[0])
    timer.join(60)
    done_once(cloud)


@pytest.mark.parametrize("victim", [pytest.param(victim, marks=pytest.mark.slow) for victim in VICTIMS])
def test_killed_during_destroy(cloud: Cloud, breaker: Breaker, victim: str) -> None:
    """One component dies while a machine goes; nothing is left all the same."""
    host = leftovers.hosts(cloud)[0]
    before = leftovers.inventory(cloud)
    deploy(cloud, host)
    delay = random.Random(f"{SEED} destroy {victim}").uniform(0, 0.8)
    timer = after(delay, lambda: breaker.kill_component(victim, host if victim in AGENTS else ""))
    cloud.delete("VirtualMachine", "web")
    timer.join(60)
    cloud.delete("Volume", "ledger")
    cloud.delete("Network", "backplane")
    leftovers.assert_nothing_left(cloud, before)


def deploy(cloud: Cloud, host: str) -> None:
    """One of everything, on one host."""
    cloud.apply(network(), volume(), vm("web", volumes=["ledger"], placement={"host": host}))
    cloud.ready("vm/web", "volume/ledger", "network/backplane")


def strike_at(cloud: Cloud, kind: str, delay: float, blow: object) -> threading.Thread:
    """In the background: wait for the first object of a kind, a little longer, and strike."""
    assert callable(blow)

    def wait_and_strike() -> None:
        cloud.wait_any(kind)
        threading.Event().wait(delay)
        blow()

    thread = threading.Thread(target=wait_and_strike)
    thread.start()
    return thread


def done_once(cloud: Cloud) -> None:
    """Count what a deploy makes: one of each, and the guest was started once."""
    machine = cloud.need("VirtualMachine", "web")
    uid, host = machine["metadata"]["uid"], machine["status"]["hostName"]
    assert leftovers.domains_of(cloud, uid) == [host]
    assert guest(cloud, "web").sh("hostname") == "web"
    made = {kind: len(cloud.list(kind)) for kind in MADE}
    assert made == MADE
    assert console(cloud, "web").count("TINY init") == 1, "the guest was started more than once"
    assert machine["status"].get("restarts", 0) == 0
    (router,) = cloud.list("Router")
    segments = sorted(each["spec"]["hostName"] for each in cloud.list("HostNetwork"))
    assert segments == sorted({host, router["spec"]["hostName"]})
    assert [each["ip"] for each in router["spec"]["reservations"]] == [address(cloud, "web")]
    network_uid = cloud.need("Network", "backplane")["metadata"]["uid"]
    pools = [claim["spec"]["pool"] for claim in cloud.list("Claim") if claim["spec"]["owner"]["uid"] == network_uid]
    assert Counter(pools) == Counter(set(pools)), "a value was claimed twice"
    (flow,) = cloud.list("Flow")
    cloud.wait("Flow", flow["metadata"]["name"], "Succeeded", succeeded)


def succeeded(flow: Body | None) -> bool:
    """Whether the Flow has come to its good end."""
    found = condition_of(flow, "Succeeded")
    return found is not None and found["status"] == "True"
