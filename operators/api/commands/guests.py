"""What guests run on, and what they are."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, ostypes
from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import Zone
from operators.api.declare import Answer, Listing, command, identifier, string, uuid
from operators.api.responses.virtualmachine import HYPERVISOR
from operators.contract.fabric import ZONE
from operators.contract.storage import IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ListHypervisors:
    """Arguments."""

    zoneid: Zone | None = uuid("Hypervisors of this zone", ZONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HypervisorResponse:
    """A kind of hypervisor."""

    name: str = HYPERVISOR


@command("listHypervisors", "Lists kinds of hypervisors.", item=HypervisorResponse, key="hypervisor")
async def list_hypervisors(call: Call, args: ListHypervisors) -> Answer:
    """There is one."""
    return Listing(1, [HypervisorResponse()])


@dataclass(frozen=True, slots=True, kw_only=True)
class OsCategoryResponse:
    """A family of guest operating systems."""

    id: str
    name: str
    isfeatured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OsTypeResponse:
    """A guest operating system."""

    id: str
    name: str
    description: str
    oscategoryid: str
    oscategoryname: str
    isuserdefined: bool = False
    fordisplay: bool = True


CATEGORIES = tuple(OsCategoryResponse(id=ostypes.id_of(name), name=name) for name in ostypes.FAMILIES)


def os_types(call: Call) -> list[OsTypeResponse]:
    """Those that are known, and those that Images name."""
    names = ostypes.every(image.spec.os_type for image in call.cloud.all(IMAGE))
    families = [(name, ostypes.family(name)) for name in names]
    return [
        OsTypeResponse(
            id=ostypes.id_of(name),
            name=name,
            description=name,
            oscategoryid=ostypes.id_of(family),
            oscategoryname=family,
        )
        for name, family in families
    ]


def os_type(call: Call, command: str, uid: str) -> str:
    """The operating system of that id; empty for none. Raises ApiError."""
    if not uid:
        return ""
    found = next((each.name for each in os_types(call) if each.id == uid), None)
    if found is None:
        raise errors.no_entity(command, "ostypeid", uid)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOsCategories(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the category")
    name: str = string("Name of the category")


@command(
    "listOsCategories",
    "Lists families of guest operating systems.",
    item=OsCategoryResponse,
    key="oscategory",
    refused="arch isfeatured isiso isvnf zoneid",
    ignored="showicon",
)
async def list_os_categories(call: Call, args: ListOsCategories) -> Answer:
    """The fixed few."""
    found = [
        each
        for each in CATEGORIES
        if args.id in ("", each.id) and args.name in ("", each.name) and contains(args.keyword, each.name)
    ]
    return listing(args, found, lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOsTypes(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the type")
    oscategoryid: str = identifier("Types of this category")
    description: str = string("Types of this description")


@command("listOsTypes", "Lists guest operating systems.", item=OsTypeResponse, key="ostype", ignored="fordisplay")
async def list_os_types(call: Call, args: ListOsTypes) -> Answer:
    """The fixed few."""
    found = [
        each
        for each in os_types(call)
        if args.id in ("", each.id)
        and args.oscategoryid in ("", each.oscategoryid)
        and args.description in ("", each.description)
        and contains(args.keyword, each.name)
    ]
    return listing(args, found, lambda each: each)
