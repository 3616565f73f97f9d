"""An inventory of everything that the cloud makes, on every host and in the API, and who it belongs to.

A thing on a host bears the uid or the name of what it was made for, so that an inventory can be taken while other tests
run: what counts as left over is what no living object explains.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dev.guest import AGENT_PODS, PYTHON, in_agent
from dev.target import SYSTEM
from operators.contract.kinds import HOST_SIDE
from tests.support.cluster import PATIENCE, Body, Cloud

_DOMAINS = """
import json, os, libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
connection = libvirt.openReadOnly(os.environ.get("LIBVIRT_URI", "qemu:///system"))
print(json.dumps([domain.UUIDString() for domain in connection.listAllDomains()]))
"""

_FILES = """
import json, os, sys
walks = [walk for top in sys.argv[1:] for walk in os.walk(top)]
print(json.dumps([os.path.join(folder, name) for folder, _, names in walks for name in names]))
"""

_NETWORK = """
import json, os, subprocess
def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
def names(listed):
    return [link["ifname"] for link in json.loads(listed or "[]") if link]
links = [name for name in names(run("ip", "-j", "link")) if name.startswith("cs")]
spaces = [name for name in os.listdir("/run/netns") if name.startswith("csr")]
elements = []
for entry in json.loads(run("nft", "-j", "list", "ruleset"))["nftables"]:
    body = entry.get("set", {})
    if body.get("table") == "cloudstack":
        elements += [" ".join([body["family"], body["name"], json.dumps(each)]) for each in body.get("elem", [])]
daemons = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/cmdline").read().split("\\0")
    except OSError:
        continue
    if os.path.basename(words[0]) == "dnsmasq":
        daemons.append(" ".join(words))
print(json.dumps({"link": links, "netns": spaces, "rule": elements, "dnsmasq": daemons}))
"""

_SHARED = "/pools/shared/"
_MARK = "/.cloudstack-pool"
"""A pool's own file, there as long as its folder."""


@dataclass(frozen=True, order=True)
class Thing:
    """One thing: where it is (a host, or `api`), what it is, and its name."""

    where: str
    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} {self.name}"


def hosts(cloud: Cloud) -> list[str]:
    """The nodes with an agent pod that runs."""
    words = ("-n", SYSTEM, "get", "pods", "-l", AGENT_PODS, "--field-selector=status.phase=Running")
    return sorted(set(cloud.where.kubectl(*words, "-o", "jsonpath={.items[*].spec.nodeName}").split()))


def inventory(cloud: Cloud) -> set[Thing]:
    """Everything that is there now."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = set().union(*pool.map(lambda host: on_host(cloud, host), hosts(cloud)))
    return found | in_api(cloud)


def in_api(cloud: Cloud) -> set[Thing]:
    """Host-side objects of the tenant, and all claims."""
    found = {Thing("api", kind.kind, body["metadata"]["name"]) for kind in HOST_SIDE if kind.namespaced
             for body in cloud.list(kind.kind)}  # fmt: skip
    return found | {Thing("api", "Claim", body["metadata"]["name"]) for body in cloud.list("Claim")}


def on_host(cloud: Cloud, host: str) -> set[Thing]:
    """What the three agents of one host see on it."""

    def ask(agent: str, script: str, *words: str) -> str:
        return in_agent(cloud.where, host, agent, [PYTHON, "-", *words], input=script, timeout=60)

    found = {Thing(host, "domain", uuid) for uuid in json.loads(ask("hypervisor", _DOMAINS))}
    own = json.loads(ask("hypervisor", _FILES, "/var/lib/cloudstack/seeds", "/var/log/cloudstack"))
    pools = json.loads(ask("storage", _FILES, "/var/lib/cloudstack/pools"))
    pools = [path for path in pools if not path.endswith(_MARK)]
    found |= {Thing("shared" if _SHARED in path else host, "file", path) for path in [*own, *pools]}
    network = json.loads(ask("network", _NETWORK))
    return found | {Thing(host, what, name) for what, names in network.items() for name in names}


def explained(cloud: Cloud) -> set[tuple[str, str]]:
    """What living objects, of all tenants, account for: a host and a word that the names of their things there hold."""
    words: set[tuple[str, str]] = set()
    for kind, of in _WORDS.items():
        for body in cloud.list(kind, everywhere=True):
            host = body["spec"]["hostName"]
            words |= {(where, word) for where in (host, "shared") for word in of(body["spec"])}
    return words | _owned_claims(cloud)


_WORDS: dict[str, Callable[[Body], Iterable[str]]] = {
    "Instance": lambda spec: (spec["virtualMachine"]["uid"], spec["domain"]),
    "Disk": lambda spec: (spec["path"],),
    "ImageCopy": lambda spec: (spec["path"],),
    "PortBinding": lambda spec: (spec["tap"],),
    "HostNetwork": lambda spec: (spec["bridge"], spec["vxlan"]),
    "Router": lambda spec: (spec["netns"], *(f"cs{part}{spec['segmentId']}" for part in ("br", "ri", "rp"))),
}


def _owned_claims(cloud: Cloud) -> set[tuple[str, str]]:
    uids = {body["metadata"]["uid"] for body in cloud.list("Network", everywhere=True)}
    return {("api", body["metadata"]["name"]) for body in cloud.list("Claim") if body["spec"]["owner"]["uid"] in uids}


def unexplained(things: Iterable[Thing], words: set[tuple[str, str]]) -> set[Thing]:
    """What is there although no living object stands for it."""

    def known(thing: Thing) -> bool:
        whole = (
            re.search(rf"(?<!\w){re.escape(word)}(?!\w)", thing.name) for where, word in words if where == thing.where
        )
        return any(whole)

    return {thing for thing in things if not known(thing)}


def assert_nothing_left(cloud: Cloud, before: set[Thing], *, timeout: float = PATIENCE) -> None:
    """Wait until nothing is there that was not before, but what living objects explain. Fails with a list otherwise."""
    deadline, pause = time.monotonic() + timeout, threading.Event()
    while left := unexplained(inventory(cloud) - before, explained(cloud)):
        if time.monotonic() > deadline:
            raise AssertionError("left over:\n" + "\n".join(str(thing) for thing in sorted(left)))
        # Hosts send no events to a test.
        pause.wait(2.0)


def domains_of(cloud: Cloud, uid: str) -> list[str]:
    """The hosts that have a domain with this uuid; an Instance has exactly one."""
    things = {thing for host in hosts(cloud) for thing in on_host_domains(cloud, host)}
    return sorted(thing.where for thing in things if thing.name == uid)


def on_host_domains(cloud: Cloud, host: str) -> set[Thing]:
    """The domains of one host."""
    text = in_agent(cloud.where, host, "hypervisor", [PYTHON, "-"], input=_DOMAINS, timeout=60)
    return {Thing(host, "domain", uuid) for uuid in json.loads(text)}


def objects_of(cloud: Cloud) -> list[Body]:
    """All host-side objects of the tenant."""
    return [body for kind in HOST_SIDE if kind.namespaced for body in cloud.list(kind.kind)]
