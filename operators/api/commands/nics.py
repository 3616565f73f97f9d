"""The interfaces of virtual machines."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import VM, Network, Port
from operators.api.declare import Answer, command, uuid
from operators.api.responses.virtualmachine import NicResponse, nics_of
from operators.contract.compute import VIRTUAL_MACHINE
from operators.contract.networking import NETWORK, PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNics(ListArgs):
    """Arguments."""

    virtualmachineid: VM = uuid("ID of the virtual machine", VIRTUAL_MACHINE, required=True)
    nicid: Port | None = uuid("ID of the interface", PORT)
    networkid: Network | None = uuid("Those on this network", NETWORK)


@command(
    "listNics",
    "Lists the interfaces of a virtual machine.",
    item=NicResponse,
    key="nic",
    ignored="fordisplay",
)
async def list_nics(call: Call, args: ListNics) -> Answer:
    """As far as their Ports exist."""
    found = [
        nic
        for nic in nics_of(call, args.virtualmachineid)
        if (args.nicid is None or nic.id == args.nicid.meta.uid)
        and (args.networkid is None or nic.networkid == args.networkid.meta.uid)
        and contains(args.keyword, nic.networkname)
    ]
    return listing(args, found, lambda nic: nic)
