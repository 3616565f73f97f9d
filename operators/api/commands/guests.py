"""What guests run on, and what they are."""

from __future__ import annotations

import uuid as rfc
from dataclasses import dataclass

from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import Zone
from operators.api.declare import Answer, Listing, command, identifier, string, uuid
from operators.api.responses.virtualmachine import HYPERVISOR
from operators.contract.fabric import ZONE


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


def _id(name: str) -> str:
    return str(rfc.uuid5(rfc.NAMESPACE_DNS, f"{name}.guest-os.cloudstack.dev"))


CATEGORIES = tuple(OsCategoryResponse(id=_id(name), name=name) for name in ("Linux", "Other"))
OS_TYPES = tuple(
    OsTypeResponse(id=_id(name), name=name, description=name, oscategoryid=category.id, oscategoryname=category.name)
    for category, name in zip(CATEGORIES, ("Other Linux (64-bit)", "Other (64-bit)"), strict=True)
)
"""A guest's operating system changes nothing about how it is run here, so there are no more than clients ask for."""


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
        for each in OS_TYPES
        if args.id in ("", each.id)
        and args.oscategoryid in ("", each.oscategoryid)
        and args.description in ("", each.description)
        and contains(args.keyword, each.name)
    ]
    return listing(args, found, lambda each: each)
