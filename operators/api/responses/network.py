"""A Network as CloudStack's `network`, and a NetworkOffering."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from operators.api.call import Call
from operators.api.cloud import Network, NetworkOffering, name_of
from operators.api.responses.owned import OwnedResponse, whose
from operators.api.tags import TagResponse, tag_responses
from operators.api.wire import Date, date
from operators.contract import names
from operators.contract.fabric import ZONE
from operators.contract.meta import holds
from operators.contract.networking import NETWORK_OFFERING
from operators.contract.reasons import Type

SERVICES = {"dhcp": "Dhcp", "dns": "Dns", "sourceNat": "SourceNat"}
"""What an offering calls its services, and what CloudStack does."""
PROVIDER = "VirtualRouter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderResponse:
    """Who gives a service."""

    name: str = PROVIDER


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceResponse:
    """A service of a network."""

    name: str
    provider: tuple[ProviderResponse, ...] = (ProviderResponse(),)
    capability: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResponse(OwnedResponse):
    """A network."""

    id: str
    name: str
    displaytext: str
    broadcastdomaintype: str = "Vxlan"
    traffictype: str = "Guest"
    gateway: str | None
    netmask: str
    cidr: str
    zoneid: str | None
    zonename: str
    networkofferingid: str | None
    networkofferingname: str
    networkofferingdisplaytext: str
    networkofferingconservemode: bool = True
    issystem: bool = False
    state: str
    related: str
    broadcasturi: str | None
    dns1: str | None
    dns2: str | None
    type: str
    acltype: str = "Account"
    service: tuple[ServiceResponse, ...]
    networkdomain: str
    restartrequired: bool = False
    specifyipranges: bool = False
    canusefordeploy: bool = True
    ispersistent: bool = False
    displaynetwork: bool = True
    created: Date | None
    tags: tuple[TagResponse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOfferingResponse:
    """A class of network."""

    id: str
    name: str
    displaytext: str
    traffictype: str = "Guest"
    guestiptype: str
    isdefault: bool
    specifyvlan: bool = False
    specifyipranges: bool = False
    conservemode: bool = True
    availability: str = "Optional"
    state: str = "Enabled"
    ispersistent: bool = False
    egressdefaultpolicy: bool = True
    forvpc: bool = False
    service: tuple[ServiceResponse, ...]
    created: Date | None


def network(call: Call, obj: Network) -> NetworkResponse:
    """The response of one network."""
    meta, spec = obj.meta, obj.spec
    zone = call.cloud.named(ZONE, spec.zone)
    offering = call.cloud.named(NETWORK_OFFERING, spec.offering)
    shown = offering_name(offering) if offering else spec.offering
    dns = (*(spec.dns or (zone.spec.dns if zone else ())), None, None)
    uri = f"vxlan://{obj.status.segment_id}" if obj.status.segment_id and call.caller.root else None
    return NetworkResponse(
        id=meta.uid,
        name=name_of(obj),
        displaytext=meta.annotations.get(names.ANNOTATION_DISPLAY_NAME) or name_of(obj),
        gateway=obj.status.gateway or spec.gateway or _first(spec.cidr),
        netmask=str(IPv4Network(spec.cidr, strict=False).netmask),
        cidr=spec.cidr,
        zoneid=zone.meta.uid if zone else None,
        zonename=spec.zone,
        networkofferingid=offering.meta.uid if offering else None,
        networkofferingname=shown,
        networkofferingdisplaytext=shown,
        state="Destroy"
        if meta.deleting
        else "Implemented"
        if holds(obj.status.conditions, Type.READY)
        else "Allocated",
        related=meta.uid,
        broadcasturi=uri,
        dns1=dns[0],
        dns2=dns[1],
        type=_guest_type(offering),
        **whose(call, meta.namespace),
        service=_services(offering) if offering else (),
        networkdomain=spec.domain or f"{meta.name}.{meta.namespace}.internal",
        created=date(meta.creation_timestamp),
        tags=tag_responses(meta),
    )


def network_offering(obj: NetworkOffering) -> NetworkOfferingResponse:
    """The response of one network offering."""
    return NetworkOfferingResponse(
        id=obj.meta.uid,
        name=offering_name(obj),
        displaytext=offering_name(obj),
        guestiptype=_guest_type(obj),
        isdefault=obj.meta.name == "isolated",
        service=_services(obj),
        created=date(obj.meta.creation_timestamp),
    )


def offering_name(obj: NetworkOffering) -> str:
    """What the API calls an offering."""
    return obj.spec.display_name or obj.meta.name


def _guest_type(offering: NetworkOffering | None) -> str:
    return offering.spec.guest_type.capitalize() if offering else "Isolated"


def _services(offering: NetworkOffering) -> tuple[ServiceResponse, ...]:
    return tuple(ServiceResponse(name=SERVICES.get(each, each)) for each in sorted(offering.spec.services))


def _first(cidr: str) -> str:
    return str(IPv4Network(cidr, strict=False).network_address + 1)
