"""Zones."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, ListArgs, asked, listing
from operators.api.changing import given, remove, update
from operators.api.cloud import Zone, name_of
from operators.api.declare import ROOT_ADMIN, Answer, Single, boolean, command, string, uuid, uuids
from operators.api.responses import fabric as respond
from operators.api.responses.done import Done
from operators.contract.codec import to_wire
from operators.contract.fabric import HOST, HOST_GROUP, RACK, STORAGE_POOL, ZONE, ZoneSpec
from operators.contract.meta import Obj
from operators.contract.networking import NETWORK


@dataclass(frozen=True, slots=True, kw_only=True)
class ListZones(ListArgs):
    """Arguments."""

    id: Zone | None = uuid("ID of the zone", ZONE)
    ids: tuple[Zone, ...] = uuids("IDs of zones", ZONE)
    name: str = string("Name of the zone")
    networktype: str = string("Advanced; there is no other")
    available: bool = boolean("Whether to list all that can be used; the others are for the root admin alone")


@command(
    "listZones",
    "Lists zones.",
    item=respond.ZoneResponse,
    key="zone",
    refused="domainid showcapacities storageaccessgroup tags",
    ignored="showicon",
)
async def list_zones(call: Call, args: ListZones) -> Answer:
    """A zone that is not enabled is only for the root admin to see."""
    ids = {each.meta.uid for each in args.ids}

    def wanted(obj: Zone) -> bool:
        return (
            (obj.spec.enabled or call.caller.root)
            and (not ids or obj.meta.uid in ids)
            and asked(args, obj, name_of(obj))
            and args.networktype.lower() in ("", "advanced")
        )

    return listing(args, call.cloud.all(ZONE, None, wanted), respond.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateZone:
    """Arguments."""

    name: str = string("Name of the zone", required=True)
    networktype: str = string("Advanced; there is no other", required=True)
    dns1: str = string("First name server of its guests", required=True)
    dns2: str = string("Second name server of its guests")
    internaldns1: str = string("First name server of the cloud's own hosts, which is theirs to know", required=True)
    allocationstate: str = string("Enabled or Disabled")


@command(
    "createZone",
    "Creates a zone. Hosts join it by the label cloudstack.dev/zone of their nodes.",
    item=respond.ZoneResponse,
    key="zone",
    roles=ROOT_ADMIN,
    refused="""domain domainid guestcidraddress ip6dns1 ip6dns2 isedge securitygroupenabled storageaccessgroups""",
    ignored="internaldns2 localstorageenabled",
)
async def create_zone(call: Call, args: CreateZone) -> Answer:
    """The Zone that kubectl would make."""
    if args.networktype.lower() != "advanced":
        raise errors.ApiError(432, "networktype must be Advanced: there are no basic zones")
    spec = ZoneSpec(dns=tuple(each for each in (args.dns1, args.dns2) if each), enabled=enabled(args.allocationstate))
    body = await naming.create(call, ZONE, "", args.name, to_wire(spec) | {"enabled": spec.enabled})
    return Single(respond.zone(ZONE.parse(body)))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateZone:
    """Arguments."""

    id: Zone = uuid("ID of the zone", ZONE, required=True)
    name: str = string("What the zone is called from now on")
    dns1: str = string("First name server of its guests")
    dns2: str = string("Second name server of its guests")
    allocationstate: str = string("Enabled or Disabled")


@command(
    "updateZone",
    "Changes a zone.",
    item=respond.ZoneResponse,
    key="zone",
    roles=ROOT_ADMIN,
    refused="details dhcpprovider dnssearchorder domain guestcidraddress ip6dns1 ip6dns2 ispublic",
    ignored="internaldns1 internaldns2 localstorageenabled sortkey",
)
async def update_zone(call: Call, args: UpdateZone) -> Answer:
    """Name servers that are not given stay."""
    dns = [*args.id.spec.dns, "", ""][:2]
    servers = [each for each in (args.dns1 or dns[0], args.dns2 or dns[1]) if each]
    said = given(enabled=enabled(args.allocationstate) if args.allocationstate else None)
    spec = said | ({"dns": servers} if args.dns1 or args.dns2 else {})
    return Single(respond.zone(await update(call, args.id, spec, name=args.name)))


def enabled(state: str) -> bool:
    """What an allocation state says; enabled when left out."""
    if state.lower() not in ("", "enabled", "disabled"):
        raise errors.invalid(f"allocationstate must be Enabled or Disabled, not {state}")
    return state.lower() != "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteZone:
    """Arguments."""

    id: Zone = uuid("ID of the zone", ZONE, required=True)


@command("deleteZone", "Deletes a zone that nothing is in.", item=Done, roles=ROOT_ADMIN)
async def delete_zone(call: Call, args: DeleteZone) -> Answer:
    """Refuse what is in use; a deletion cannot be taken back."""

    def inside(obj: Obj[object, object]) -> bool:
        return getattr(obj.spec, "zone", "") == args.id.meta.name

    for kind in (RACK, HOST_GROUP, HOST, STORAGE_POOL, NETWORK):
        if found := call.cloud.all(kind, None, inside):
            raise errors.in_use(f"Can't delete zone {name_of(args.id)}: {kind.kind} {name_of(found[0])} is in it")
    await remove(call, args.id)
    return Single(Done())
