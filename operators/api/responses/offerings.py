"""ComputeOfferings, DiskOfferings and Images as CloudStack's offerings and templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from operators.api import ostypes, uploads
from operators.api.call import Call
from operators.api.cloud import ComputeOffering, DiskOffering, Image, Zone, name_of
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.responses.virtualmachine import HYPERVISOR, MIB
from operators.api.tags import TagResponse, tag_responses
from operators.api.wire import Date, Long, date
from operators.contract import names
from operators.contract.compute import CustomRange
from operators.contract.meta import condition
from operators.contract.reasons import Type

GIB = 2**30
EXTRACT_MODE = "HTTP_DOWNLOAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOfferingResponse:
    """A size of virtual machine."""

    id: str
    name: str
    displaytext: str
    cpunumber: int | None
    memory: int | None
    """In MB; like `cpunumber` absent where users choose."""
    serviceofferingdetails: Mapping[str, str] | None
    """What users choose within."""
    created: Date | None
    offerha: bool
    hosttags: str | None
    networkrate: int | None
    """In Mbit/s; absent where there is no limit."""
    state: str = "Active"
    issystem: bool = False
    defaultuse: bool = False
    isvolatile: bool = False
    iscustomized: bool
    limitcpuuse: bool = False
    storagetype: str = "local"
    provisioningtype: str = "thin"
    dynamicscalingenabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskOfferingResponse:
    """A class of disk."""

    id: str
    name: str
    displaytext: str
    disksize: Long
    iscustomized: bool
    tags: str | None
    created: Date | None
    state: str = "Active"
    displayoffering: bool = True
    storagetype: str = "local"
    provisioningtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateResponse(OwnedResponse):
    """A template of a root disk."""

    id: str
    name: str
    displaytext: str
    created: Date | None
    zoneid: str | None
    zonename: str | None
    ispublic: bool
    isfeatured: bool
    isready: bool
    status: str
    size: Long | None
    format: str
    hypervisor: str = HYPERVISOR
    ostypeid: str
    ostypename: str
    checksum: str | None
    url: str | None
    bootable: bool
    templatetype: str = "USER"
    crossZones: bool = True  # noqa: N815 - CloudStack's spelling
    isextractable: bool = False
    isdynamicallyscalable: bool = False
    passwordenabled: bool = False
    sshkeyenabled: bool = True
    requireshvm: bool = True
    details: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[TagResponse, ...] = ()


def offering_label(obj: ComputeOffering | DiskOffering) -> str:
    """What the API calls an offering."""
    return obj.spec.display_name or obj.meta.name


def displayed(obj: ComputeOffering | DiskOffering) -> str:
    """What people read in place of its name."""
    return obj.meta.annotations.get(names.ANNOTATION_DISPLAY_NAME) or offering_label(obj)


def words_of(text: str) -> frozenset[str]:
    """Tags, as callers write them with commas between."""
    return frozenset(each.strip() for each in text.split(",") if each.strip())


def service_offering(obj: ComputeOffering) -> ServiceOfferingResponse:
    """The response of one service offering."""
    custom = obj.spec.custom
    return ServiceOfferingResponse(
        id=obj.meta.uid,
        name=offering_label(obj),
        displaytext=displayed(obj),
        cpunumber=obj.spec.cpus if custom is None else None,
        memory=int(obj.spec.memory) // MIB if custom is None else None,
        serviceofferingdetails=_range(custom) if custom is not None else None,
        iscustomized=custom is not None,
        dynamicscalingenabled=custom is not None,
        created=date(obj.meta.creation_timestamp),
        offerha=obj.spec.ha,
        hosttags=",".join(sorted(obj.spec.host_tags)) or None,
        networkrate=obj.spec.network_rate or None,
    )


def _range(custom: CustomRange) -> Mapping[str, str]:
    return {
        "mincpunumber": str(custom.min_cpus),
        "maxcpunumber": str(custom.max_cpus),
        "minmemory": str(-(-int(custom.min_memory) // MIB)),
        "maxmemory": str(int(custom.max_memory) // MIB),
    }


def disk_offering(obj: DiskOffering) -> DiskOfferingResponse:
    """The response of one disk offering; without a size of its own, users give one."""
    size = obj.spec.size
    return DiskOfferingResponse(
        id=obj.meta.uid,
        name=offering_label(obj),
        displaytext=displayed(obj),
        disksize=Long(-(-int(size) // GIB) if size is not None else 0),
        iscustomized=size is None,
        tags=",".join(sorted(obj.spec.tags)) or None,
        created=date(obj.meta.creation_timestamp),
        provisioningtype=obj.spec.provisioning.value.lower(),
    )


_SPELLINGS = {"md5": "", "sha1": "{SHA-1}", "sha256": "{SHA-256}", "sha512": "{SHA-512}"}


def _checksum(said: str) -> str | None:
    """As CloudStack's clients say it when they register one: they look for it by what they said."""
    algorithm, _, digits = said.partition(":")
    return f"{_SPELLINGS[algorithm]}{digits}" if said else None


def template(call: Call, obj: Image, zone: Zone | None) -> TemplateResponse:
    """The response of one template. Images are in every zone, so the zone is the one that was asked about."""
    owner = whose(call, obj.meta.namespace)
    in_catalogue = obj.meta.namespace == call.cloud.catalogue
    ready = condition(obj.status.conditions, Type.READY)
    usable = ready.true if ready is not None else obj.spec.source is None
    system = obj.spec.os_type or ostypes.UNKNOWN
    coming = uploads.awaited(call, obj.spec.url)
    return TemplateResponse(
        id=obj.meta.uid,
        name=name_of(obj),
        displaytext=obj.spec.display_name or obj.meta.name,
        **(owner | ({"account": "system"} if in_catalogue else {})),
        created=date(obj.meta.creation_timestamp),
        zoneid=zone.meta.uid if zone else None,
        zonename=zone.meta.name if zone else None,
        ispublic=obj.spec.public or in_catalogue,
        isfeatured=in_catalogue,
        isready=usable and not coming,
        status=coming or ("Download Complete" if usable else ready.message if ready else ""),
        size=Long(int(obj.status.virtual_size)) if obj.status.virtual_size is not None else None,
        format=obj.spec.format.upper(),
        ostypeid=ostypes.id_of(system),
        ostypename=system,
        checksum=_checksum(obj.spec.checksum or obj.status.checksum),
        url=_address(call, obj),
        bootable=obj.spec.bootable,
        tags=tag_responses(obj.meta),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractResponse:
    """Where something can be fetched."""

    id: str
    name: str
    url: str | None
    state: str = "DOWNLOAD_URL_CREATED"
    extractMode: str = EXTRACT_MODE  # noqa: N815 - CloudStack's spelling
    storagetype: str = "template"


def extract(call: Call, obj: Image) -> ExtractResponse:
    """The response of one that is to be fetched."""
    return ExtractResponse(id=obj.meta.uid, name=name_of(obj), url=_address(call, obj))


def _address(call: Call, obj: Image) -> str | None:
    """Where an image comes from, which may hold a password, is its owner's to know."""
    mine = call.caller.root or obj.meta.namespace == call.caller.account.meta.name
    return obj.spec.url if mine and obj.spec.url else None
