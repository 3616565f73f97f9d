"""Why nobody could run a VirtualMachine, of those reasons that users of the simulation can give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from operators.contract import names
from operators.contract.quantity import Quantity
from sim.invariants.words import (
    INSTANCE,
    NETWORK,
    POOL,
    ROUTER,
    VM,
    VM_SNAPSHOT,
    VOLUME,
    deleting,
    reason,
    says_ready,
    status_of,
    why,
)
from sim.store.schema import Json

if TYPE_CHECKING:
    from sim.run import Run

SIZES = {"tiny": 128 << 20, "small": 512 << 20}
"""The offerings that fit a host, with their memory."""


def obstacle(run: Run, vm: Json) -> str:
    """Why nobody could run it; "" when somebody could."""
    spec, where = vm["spec"], vm["metadata"]["namespace"]
    if spec["offering"] not in SIZES:
        return f"there is no offering {spec['offering']} that fits"
    if spec.get("image", "tiny") != "tiny":
        return f"its image is {spec['image']}"
    if (host := spec.get("placement", {}).get("host")) and host not in run.world.hosts:
        return f"there is no host {host}"
    for volume in run.all(VOLUME) if run.restored else ():
        mine = volume["metadata"]["name"] in listed(vm)
        if volume["metadata"]["namespace"] == where and mine and reason(volume, "Ready") == "StorageError":
            return "its disk was deleted after the backup that was restored"
    if run.restored and (guest := _unknown_guest(run, vm)):
        return f"guest {guest}, of which nobody knows since the backup was restored, has its disk"
    for each in run.all(VM_SNAPSHOT):
        status = status_of(each)
        under_way = status.get("reverting", 0) > status.get("revertObserved", 0)
        if under_way and status.get("virtualMachineUid") == vm["metadata"]["uid"] and reason(each, "Reverted"):
            return f"VirtualMachineSnapshot {each['metadata']['name']} is not brought back yet"
    networks = {
        each["metadata"]["name"]
        for each in run.all(NETWORK)
        if each["metadata"]["namespace"] == where and not deleting(each)
    }
    for nic in spec.get("nics", ()):
        if nic["network"] not in networks:
            return f"there is no network {nic['network']}"
        if full(run, where, nic["network"]):
            return f"network {nic['network']} has no address left"
    return _volumes_trouble(run, vm)


def _unknown_guest(run: Run, vm: Json) -> str:
    """The guest that an agent names as who has a disk of it, if it is left to an administrator to end that."""
    known = {each["metadata"]["uid"] for each in run.all(VM)}
    return next((each for each in sorted(run.orphans - known) if each in why(vm)), "")


def full(run: Run, namespace: str, network: str) -> bool:
    """Whether every address of a network is reserved for somebody."""
    for router in run.all(ROUTER):
        named = router["metadata"]["namespace"], router["spec"]["network"]["name"]
        if named == (namespace, network):
            size = 1 << 32 - int(router["spec"]["gateway"].partition("/")[2])
            return len(router["spec"].get("reservations", ())) >= size - 3  # less the network's own, and the gateway
    return False


def listed(vm: Json) -> list[str]:
    """Names of all Volumes that it lists, its root disk first, the CD last."""
    root = names.root_volume(vm["metadata"]["name"], vm["spec"].get("reinstallRequest", 0))
    cd = vm["spec"].get("cdrom")
    return [root, *vm["spec"].get("volumes", ()), *([cd] if cd else ())]


def _volumes_trouble(run: Run, vm: Json) -> str:
    where, (root, *others) = vm["metadata"]["namespace"], listed(vm)
    pools_there = run.world.server.tables[POOL].records
    volumes = {each["metadata"]["name"]: each for each in run.all(VOLUME) if each["metadata"]["namespace"] == where}
    pools = set()
    here = ("", names.SHARED_POOL, names.local_pool(status_of(vm).get("hostName", "")))
    for name in (root, *others):
        wanted = volumes.get(name, {}).get("spec", {}).get("pool", "")
        if wanted not in here or (wanted and ("", wanted) not in pools_there):
            return f"volume {name} is wanted on pool {wanted}"
    for name in others:
        if name not in volumes or deleting(volumes[name]):
            return f"there is no volume {name}"
        wanted, source = volumes[name]["spec"].get("pool", ""), volumes[name]["spec"].get("source", {})
        if (source.get("snapshot") or source.get("backup")) and not says_ready(volumes[name]):
            return f"volume {name} waits for what it is made from"
        pools.add(status_of(volumes[name]).get("hostName", "") or wanted.partition("local-")[2])
        if taken := _taken(run, vm, name):
            return taken
    hosts = {status_of(vm).get("hostName", ""), vm["spec"].get("placement", {}).get("host", ""), *pools} - {""}
    if len(hosts) > 1:
        return f"its volumes and placement are on {sorted(hosts)}"
    at = status_of(volumes.get(root, {})).get("hostName", "")
    return _no_room(run, vm, hosts or ({at} - {""}))


def _taken(run: Run, vm: Json, name: str) -> str:
    """Whether another machine lists a Volume, or has it until its next start."""
    where, uid = vm["metadata"]["namespace"], vm["metadata"]["uid"]
    for other in run.all(VM):
        if other["metadata"]["uid"] != uid and other["metadata"]["namespace"] == where and name in listed(other):
            return f"{other['metadata']['name']} lists volume {name} too"
    for other in run.all(INSTANCE):
        has = {each["volume"] for each in other["spec"].get("disks", ())}
        mine = other["spec"]["virtualMachine"]["uid"] == uid
        if not mine and other["metadata"]["namespace"] == where and name in has:
            return f"{other['metadata']['name']} has volume {name} until its next start"
    return ""


def _no_room(run: Run, vm: Json, only: set[str]) -> str:
    """Whether every host that it could go to is full of others."""
    size = SIZES[vm["spec"]["offering"]]
    for host in run.world.hosts.values():
        others = (
            Quantity.parse(each["spec"]["memory"])
            for each in run.all(INSTANCE)
            if each["spec"]["hostName"] == host.name
            and each["spec"]["power"] == "Running"
            and each["spec"]["virtualMachine"]["uid"] != vm["metadata"]["uid"]
        )
        if (not only or host.name in only) and sum(others) + size <= host.gives[1]:
            return ""
    return "no host has room for it"
