"""Service offerings, which are ComputeOfferings."""

from __future__ import annotations

from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call, OwnedListArgs, asked, listing
from operators.api.changing import given, remove, update
from operators.api.cloud import VM, ComputeOffering, Zone
from operators.api.declare import ROOT_ADMIN, Answer, Single, boolean, command, integer, string, uuid
from operators.api.responses.done import Done
from operators.api.responses.offerings import ServiceOfferingResponse, offering_label, service_offering, words_of
from operators.api.responses.virtualmachine import MIB
from operators.contract.codec import to_wire
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE, ComputeOfferingSpec, CustomRange
from operators.contract.fabric import ZONE
from operators.contract.quantity import Quantity

CUSTOM = (1, 16, 128, 64 * 1024)
"""Fewest and most CPUs, least and most MB of a custom offering that leaves them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListServiceOfferings(OwnedListArgs):
    """Arguments."""

    id: ComputeOffering | None = uuid("ID of the service offering", COMPUTE_OFFERING)
    name: str = string("Name of the service offering")
    cpunumber: int | None = integer("Offerings with so many CPUs")
    memory: int | None = integer("Offerings with so much memory, in MB")
    zoneid: Zone | None = uuid("Offerings of this zone; all are in every zone", ZONE)
    virtualmachineid: VM | None = uuid("Offerings that this virtual machine could change to", VIRTUAL_MACHINE)
    issystem: bool = boolean("Whether to list those of system virtual machines, of which there are none")


@command(
    "listServiceOfferings",
    "Lists the sizes of virtual machines.",
    item=ServiceOfferingResponse,
    key="serviceoffering",
    refused="cpuspeed encryptroot gpuenabled systemvmtype templateid vgpuprofileid",
    ignored="state storagetype",
)
async def list_service_offerings(call: Call, args: ListServiceOfferings) -> Answer:
    """Offerings are for everybody, so account and domain leave all of them."""

    def wanted(obj: ComputeOffering) -> bool:
        return (
            asked(args, obj, obj.meta.name, obj.spec.display_name)
            and args.cpunumber in (None, obj.spec.cpus)
            and args.memory in (None, int(obj.spec.memory) // MIB)
            and (args.virtualmachineid is None or args.virtualmachineid.spec.offering != obj.meta.name)
            and not args.issystem
        )

    return listing(args, call.cloud.all(COMPUTE_OFFERING, None, wanted), service_offering)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateServiceOffering:
    """Arguments."""

    name: str = string("Name of the offering", required=True)
    displaytext: str = string("What people read in place of the name", length=4096)
    cpunumber: int | None = integer("Number of CPUs; each virtual machine's own choice when left out")
    memory: int | None = integer("Memory in MB; each virtual machine's own choice when left out")
    customized: bool | None = boolean("Whether each virtual machine chooses its own size", default=None)
    mincpunumber: int | None = integer("Fewest CPUs of a custom offering; 1 when left out")
    maxcpunumber: int | None = integer("Most CPUs of a custom offering; 16 when left out")
    minmemory: int | None = integer("Least memory in MB of a custom offering; 128 when left out")
    maxmemory: int | None = integer("Most memory in MB of a custom offering; 65536 when left out")
    networkrate: int | None = integer("Mbit/s that each NIC may send and receive at most; no limit when left out")
    hosttags: str = string("Tags that a host must have, with commas between")
    offerha: bool = boolean("Whether its virtual machines are restarted elsewhere when their host is lost")


@command(
    "createServiceOffering",
    "Creates a size of virtual machines.",
    item=ServiceOfferingResponse,
    key="serviceoffering",
    roles=ROOT_ADMIN,
    refused="""bytesreadrate bytesreadratemax bytesreadratemaxlength byteswriterate byteswriteratemax
        byteswriteratemaxlength cachemode customizediops diskofferingid domainid dynamicscalingenabled
        encryptroot externaldetails gpucount gpudisplay hypervisorsnapshotreserve iopsreadrate
        iopsreadratemax iopsreadratemaxlength iopswriterate iopswriteratemax iopswriteratemaxlength
        isvolatile leaseduration leaseexpiryaction maxiops miniops purgeresources rootdisksize
        serviceofferingdetails storagepolicy systemvmtype tags vgpuprofileid zoneid""",
    ignored="cpuspeed storagetype provisioningtype limitcpuuse deploymentplanner issystem diskofferingstrictness",
)
async def create_service_offering(call: Call, args: CreateServiceOffering) -> Answer:
    """The ComputeOffering that kubectl would make."""
    custom = _custom(args)
    if custom is None and (args.cpunumber is None or args.memory is None):
        raise errors.invalid("cpunumber and memory are needed together: leave both out for a custom offering")
    if args.networkrate is not None and not 0 <= args.networkrate <= 100_000:
        raise errors.invalid("networkrate is from 0 (no limit) to 100000 Mbit/s")
    spec = ComputeOfferingSpec(
        cpus=args.cpunumber if args.cpunumber is not None else custom.min_cpus if custom else 0,
        memory=Quantity(args.memory * MIB) if args.memory is not None else custom.min_memory if custom else Quantity(0),
        custom=custom,
        display_name=args.name,
        network_rate=args.networkrate or 0,
        host_tags=words_of(args.hosttags),
        ha=args.offerha,
    )
    body = await naming.create(call, COMPUTE_OFFERING, "", args.name, to_wire(spec), args.displaytext)
    return Single(service_offering(COMPUTE_OFFERING.parse(body)))


def _custom(args: CreateServiceOffering) -> CustomRange | None:
    """What virtual machines choose within; None for an offering of one size."""
    given_ = (args.mincpunumber, args.maxcpunumber, args.minmemory, args.maxmemory)
    sizes = [each for each in (*given_, args.cpunumber, args.memory) if each is not None]
    if any(each < 1 for each in sizes):
        raise errors.invalid("numbers of CPUs and sizes of memory must be positive")
    wanted = args.cpunumber is None and args.memory is None if args.customized is None else args.customized
    if not wanted:
        if any(each is not None for each in given_):
            raise errors.invalid("mincpunumber, maxcpunumber, minmemory and maxmemory are of a custom offering")
        return None
    few, many, least, most = (each or default for each, default in zip(given_, CUSTOM, strict=True))
    if not few <= (args.cpunumber or few) <= many or not least <= (args.memory or least) <= most:
        raise errors.invalid("the least of a custom offering must not be more than the most, nor its own be outside")
    return CustomRange(few, many, Quantity(least * MIB), Quantity(most * MIB))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateServiceOffering:
    """Arguments."""

    id: ComputeOffering = uuid("ID of the service offering", COMPUTE_OFFERING, required=True)
    name: str = string("What the offering is called from now on")
    displaytext: str = string("What people read in place of the name from now on", length=4096)
    hosttags: str = string("Tags that a host must have from now on, with commas between")


@command(
    "updateServiceOffering",
    "Changes an offering. What it gives stays as it is.",
    item=ServiceOfferingResponse,
    key="serviceoffering",
    roles=ROOT_ADMIN,
    refused="""cleanupexternaldetails domainid externaldetails purgeresources state storagetags zoneid""",
    ignored="sortkey",
)
async def update_service_offering(call: Call, args: UpdateServiceOffering) -> Answer:
    """Names and tags."""
    spec = given(displayName=args.name, hostTags=sorted(words_of(args.hosttags)) or None)
    return Single(service_offering(await update(call, args.id, spec, display=args.displaytext)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteServiceOffering:
    """Arguments."""

    id: ComputeOffering = uuid("ID of the service offering", COMPUTE_OFFERING, required=True)


@command("deleteServiceOffering", "Deletes an offering that no virtual machine has.", item=Done, roles=ROOT_ADMIN)
async def delete_service_offering(call: Call, args: DeleteServiceOffering) -> Answer:
    """A virtual machine needs its offering for as long as it lives, so one in use stays."""
    name = args.id.meta.name
    if users := call.cloud.all(VIRTUAL_MACHINE, None, lambda vm: vm.spec.offering == name):
        raise errors.in_use(f"Can't delete offering {offering_label(args.id)}: {len(users)} virtual machines have it")
    await remove(call, args.id)
    return Single(Done())
