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
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE, ComputeOfferingSpec
from operators.contract.fabric import ZONE
from operators.contract.quantity import Quantity


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
    cpunumber: int | None = integer("Number of CPUs")
    memory: int | None = integer("Memory in MB")
    hosttags: str = string("Tags that a host must have, with commas between")
    offerha: bool = boolean("Whether its virtual machines are restarted elsewhere when their host is lost")


@command(
    "createServiceOffering",
    "Creates a size of virtual machines.",
    item=ServiceOfferingResponse,
    key="serviceoffering",
    roles=ROOT_ADMIN,
    refused="""bytesreadrate bytesreadratemax bytesreadratemaxlength byteswriterate byteswriteratemax
        byteswriteratemaxlength cachemode customized customizediops diskofferingid domainid
        dynamicscalingenabled encryptroot externaldetails gpucount gpudisplay hypervisorsnapshotreserve
        iopsreadrate iopsreadratemax iopsreadratemaxlength iopswriterate iopswriteratemax
        iopswriteratemaxlength isvolatile leaseduration leaseexpiryaction maxcpunumber maxiops maxmemory
        mincpunumber miniops minmemory networkrate purgeresources rootdisksize serviceofferingdetails
        storagepolicy systemvmtype tags vgpuprofileid zoneid""",
    ignored="cpuspeed storagetype provisioningtype limitcpuuse deploymentplanner issystem diskofferingstrictness",
)
async def create_service_offering(call: Call, args: CreateServiceOffering) -> Answer:
    """The ComputeOffering that kubectl would make."""
    if args.cpunumber is None or args.memory is None:
        raise errors.ApiError(
            432, "cpunumber and memory are needed: offerings with sizes of the caller's are not supported yet"
        )
    if args.cpunumber < 1 or args.memory < 1:
        raise errors.invalid("cpunumber and memory must be positive")
    spec = ComputeOfferingSpec(
        cpus=args.cpunumber,
        memory=Quantity(args.memory * MIB),
        display_name=args.name,
        host_tags=words_of(args.hosttags),
        ha=args.offerha,
    )
    body = await naming.create(call, COMPUTE_OFFERING, "", args.name, to_wire(spec), args.displaytext)
    return Single(service_offering(COMPUTE_OFFERING.parse(body)))


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
