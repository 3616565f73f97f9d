"""What clients ask before they begin, and what is plainly so here."""

from __future__ import annotations

import uuid as rfc
from dataclasses import dataclass
from datetime import datetime

from operators.api import errors
from operators.api.call import Call, ListArgs, contains, listing
from operators.api.cloud import Host, Zone
from operators.api.declare import (
    ROOT_ADMIN,
    Answer,
    Listing,
    Single,
    command,
    date,
    identifier,
    integer,
    string,
    uuid,
)
from operators.api.directory import Account, Domain, account_name
from operators.api.responses.done import Done
from operators.api.wire import VERSION
from operators.contract.fabric import HOST, ZONE
from operators.contract.identity import ACCOUNT, DOMAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionResponse:
    """A cloud among several that share their users."""

    id: int = 1
    name: str = "Local"
    gslbserviceenabled: bool = False
    portableipserviceenabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRegions(ListArgs):
    """Arguments."""

    id: int | None = integer("Number of the region")
    name: str = string("Name of the region")


@command("listRegions", "Lists regions: this one.", item=RegionResponse, key="region")
async def list_regions(call: Call, args: ListRegions) -> Answer:
    """There is one."""
    only = RegionResponse()
    is_it = args.id in (None, only.id) and args.name in ("", only.name) and contains(args.keyword, only.name)
    return listing(args, [only] if is_it else [], lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Arguments: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaResponse:
    """Whether usage is charged for."""

    isenabled: bool = False


@command("quotaIsEnabled", "Tells whether usage is charged for: it is not.", item=QuotaResponse, key="isEnabled")
async def quota_is_enabled(call: Call, args: Nothing) -> Answer:
    """It never is."""
    return Single(QuotaResponse())


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProviderResponse:
    """What makes pools, or stores of images."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStorageProviders(ListArgs):
    """Arguments."""

    type: str = string("primary or image", required=True)


PROVIDERS = {"primary": ("DefaultPrimary",), "image": ("NFS", "S3")}


@command(
    "listStorageProviders",
    "Lists what makes pools, or stores of images.",
    item=StorageProviderResponse,
    key="dataStoreProvider",
    roles=ROOT_ADMIN,
)
async def list_storage_providers(call: Call, args: ListStorageProviders) -> Answer:
    """The fixed few; a folder that every host sees is shown as NFS."""
    if args.type.lower() not in PROVIDERS:
        raise errors.invalid(f"Invalid type {args.type}: it must be {' or '.join(PROVIDERS)}")
    found = [name for name in PROVIDERS[args.type.lower()] if contains(args.keyword, name)]
    return listing(args, found, lambda name: StorageProviderResponse(name=name, type=args.type.lower()))


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateUsageRecords:
    """Arguments."""

    startdate: datetime | None = date("Since when")
    enddate: datetime | None = date("Until when")
    domainid: Domain | None = uuid("Of whom", DOMAIN)


@command(
    "generateUsageRecords",
    "Sees that usage is recorded. It is recorded as it happens, so nothing needs to be done.",
    item=Done,
    roles=ROOT_ADMIN,
)
async def generate_usage_records(call: Call, args: GenerateUsageRecords) -> Answer:
    """The Data service writes usage down when it begins and when it ends."""
    return Single(Done())


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSystemVms(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the system VM")
    name: str = string("Name of the system VM")
    state: str = string("State of the system VM")
    systemvmtype: str = string("consoleproxy or secondarystoragevm")
    zoneid: Zone | None = uuid("Those in this zone", ZONE)
    hostid: Host | None = uuid("Those on this host", HOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemVmResponse:
    """A virtual machine of the cloud's own."""

    id: str
    name: str


@command(
    "listSystemVms",
    "Lists virtual machines of the cloud's own. There are none: what they do in CloudStack, pods do here.",
    item=SystemVmResponse,
    key="systemvm",
    roles=ROOT_ADMIN,
    refused="arch podid storageid",
)
async def list_system_vms(call: Call, args: ListSystemVms) -> Answer:
    """There are none."""
    return Listing(0, [])


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementServerResponse:
    """What answers here."""

    id: str
    name: str
    version: str = VERSION
    state: str = "Up"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListManagementServers(ListArgs):
    """Arguments."""

    id: str = identifier("ID of the server")
    name: str = string("Name of the server")


def _servers(call: Call, args: ListManagementServers) -> list[ManagementServerResponse]:
    name = "cloudstack-api"
    only = ManagementServerResponse(id=str(rfc.uuid5(rfc.NAMESPACE_OID, name)), name=name)
    is_it = args.id in ("", only.id) and args.name in ("", only.name) and contains(args.keyword, only.name)
    return [only] if is_it else []


@command(
    "listManagementServers",
    "Lists management servers: the API, whose replicas are shown as one, since kubectl looks after them.",
    item=ManagementServerResponse,
    key="managementserver",
    roles=ROOT_ADMIN,
    ignored="peers",
)
async def list_management_servers(call: Call, args: ListManagementServers) -> Answer:
    """One, with the release whose API this is."""
    return listing(args, _servers(call, args), lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListManagementServersMetrics(ListManagementServers):
    """Arguments."""


@command(
    "listManagementServersMetrics",
    "Lists management servers. Their figures are at the pods' /metrics.",
    item=ManagementServerResponse,
    key="managementserver",
    roles=ROOT_ADMIN,
    ignored="peers system",
)
async def list_management_servers_metrics(call: Call, args: ListManagementServersMetrics) -> Answer:
    """As `listManagementServers`; the cloud controller asks for the version in this way."""
    return listing(args, _servers(call, args), lambda each: each)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimitResponse:
    """How many calls an account has left."""

    account: str
    accountid: str
    apiIssued: int  # noqa: N815 - CloudStack's spelling
    apiAllowed: int  # noqa: N815
    expireAfter: int  # noqa: N815
    """Milliseconds."""


@command("getApiLimit", "Tells how many calls the caller's account has left.", item=ApiLimitResponse, key="apilimit")
async def get_api_limit(call: Call, args: Nothing) -> Answer:
    """On this replica: each counts for itself."""
    account = call.caller.account
    made, left = call.throttle.state(account)
    return Single(
        ApiLimitResponse(
            account=account_name(account),
            accountid=account.meta.uid,
            apiIssued=made,
            apiAllowed=max(0, call.throttle.limit - made) if call.throttle.enabled else -1,
            expireAfter=left,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetApiLimit:
    """Arguments."""

    account: Account | None = uuid("ID of the account; every account when left out", ACCOUNT)


@command("resetApiLimit", "Lets an account call as if it had not called yet.", item=Done, roles=ROOT_ADMIN)
async def reset_api_limit(call: Call, args: ResetApiLimit) -> Answer:
    """On this replica: each counts for itself."""
    call.throttle.reset(args.account)
    return Single(Done())
