"""The networks of running guests work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from operators.contract import names
from sim.invariants.words import BINDING, INSTANCE, PORT, ROUTER, VM, Complaints, deleting, name_of, why
from sim.store.schema import Json

if TYPE_CHECKING:
    from sim.run import Run


def networks_work(run: Run) -> Complaints:
    """A running guest's bridge, tap and rules are there, its host's peers are all others, its router serves it."""
    for host in run.world.hosts.values():
        links = host.network.spaces[""].links
        let = host.network.spaces[""].elements.get(("bridge", "cloudstack", "macs"), {})
        for uuid, spec in host.machine.running.items():
            for nic in () if uuid in run.orphans else spec.nics:
                if nic.bridge not in links or not links[nic.bridge].up:
                    yield f"guest {uuid} on {host.name} has no bridge {nic.bridge}"
                if not any(nic.mac in mark and nic.tap in mark for mark in let):
                    yield f"guest {uuid} on {host.name}: {nic.mac} is not let through"
                metadata = links.get(nic.bridge.replace("csbr", "csmi"))
                if metadata is None or metadata.master != nic.bridge:
                    yield f"guest {uuid} on {host.name} has no metadata service on bridge {nic.bridge}"
    for router in run.all(ROUTER):
        if not deleting(router):
            yield from _serves(run, router)


def guests_have_the_nics_they_ask_for(run: Run) -> Complaints:
    """A running guest has a device for each NIC of its spec, with the addresses of its Port, and no other."""
    ports = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in run.all(PORT)}
    for vm in run.all(VM):
        uid, meta = vm["metadata"]["uid"], vm["metadata"]
        hosts = [host for host in run.world.hosts.values() if uid in host.machine.running]
        off = vm["spec"]["runPolicy"] == "Stopped" or vm["spec"].get("paused") or deleting(vm)
        if off or len(hosts) != 1 or run.cancelled(vm) or run.unsatisfiable(vm) or uid in run.orphans:
            continue
        wanted = []
        for number, nic in enumerate(vm["spec"].get("nics", ())):
            port = ports.get((meta["namespace"], names.port(meta["name"], nic.get("name") or f"nic{number}")))
            wanted.append(names.tap(port["metadata"]["uid"]) if port is not None else f"no Port for {nic}")
        found = [nic.tap for nic in hosts[0].machine.running[uid].nics]
        if sorted(found) != sorted(wanted):
            yield f"{name_of(vm)} is to have {sorted(wanted)}, and its guest has {sorted(found)}: {why(vm)}"


def _serves(run: Run, router: Json) -> Complaints:
    host, spec = run.world.hosts.get(router["spec"]["hostName"]), router["spec"]
    if host is None or not host.up:
        return
    space = host.network.spaces.get(spec["netns"])
    server = [each for each in host.network.servers.values() if each.netns == spec["netns"]]
    if space is None or not server:
        yield f"{name_of(router)} has no namespace or DHCP server on {host.name}: {why(router)}"
        return
    files = host.network.state.get(server[0].state, {})
    for each in spec.get("reservations", ()):
        if not any(each["mac"] in text and each["ip"] in text for text in files.values()):
            yield f"{name_of(router)} does not serve {each['ip']} to {each['mac']}"


def guests_are_held_to_their_rates(run: Run) -> Complaints:
    """A running guest's taps have the limit of its offering, and no other tap has one."""
    taps = {(each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]["tap"] for each in run.all(BINDING)}
    for host in run.world.hosts.values():
        space, wanted = host.network.spaces[""], {}
        for instance in run.all(INSTANCE):
            for nic in instance["spec"].get("nics", ()) if instance["spec"]["hostName"] == host.name else ():
                tap = taps.get((instance["metadata"]["namespace"], nic["portBinding"]), "")
                if tap in space.links and nic.get("rate"):
                    wanted[tap] = nic["rate"] * 1_000_000 // 8
        found = {tap: rate for tap, rate in space.rates.items() if tap in space.links}
        if found != wanted:
            yield f"taps of {host.name} are held to {found} bytes a second, and should be to {wanted}"
