"""deployVirtualMachine: the VirtualMachine that kubectl would make, and its Flow as the job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from operators.api import errors, naming
from operators.api.call import Call, OwnerArgs, place_to_make
from operators.api.changing import remove
from operators.api.cloud import (
    AffinityGroup,
    ComputeOffering,
    DiskOffering,
    Document,
    Host,
    HostGroup,
    Image,
    Network,
    Volume,
    Zone,
    name_of,
)
from operators.api.commands.affinity_groups import members_of
from operators.api.commands.instance_groups import group_called
from operators.api.commands.key_pairs import named
from operators.api.commands.templates import image_for
from operators.api.commands.volume_creation import blank
from operators.api.declare import Answer, Started, boolean, command, long, maps, string, uuid, uuids, words
from operators.api.installing import belong, is_iso, prepare, root_spec
from operators.api.jobs import job_of
from operators.api.limits import gib, of_machine, of_root_disk, reserved
from operators.api.responses.virtualmachine import HYPERVISOR, VirtualMachineResponse
from operators.api.sizes import ABOUT, chosen, size_of
from operators.api.userdata import decoded
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import (
    COMPUTE_OFFERING,
    USER_DATA,
    VIRTUAL_MACHINE,
    Nic,
    Placement,
    RunPolicy,
    UserData,
    VirtualMachineSpec,
)
from operators.contract.fabric import HOST, HOST_GROUP, ZONE
from operators.contract.identity import Resource
from operators.contract.meta import Key
from operators.contract.networking import NETWORK
from operators.contract.orchestration import OnFailure, Operation
from operators.contract.placement import AFFINITY_GROUP
from operators.contract.quantity import Quantity
from operators.contract.storage import DISK_OFFERING, IMAGE, VOLUME, VolumeSpec
from operators.kernel.store import AlreadyExists, NotFound, StoreError

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy(OwnerArgs):
    """Arguments."""

    zoneid: Zone = uuid("ID of the zone", ZONE, required=True)
    serviceofferingid: ComputeOffering = uuid("ID of the service offering", COMPUTE_OFFERING, required=True)
    templateid: Image | None = uuid("ID of the template of the root disk, or of an ISO to install from", IMAGE)
    networkids: tuple[Network, ...] = uuids("IDs of the networks, in the order of the interfaces", NETWORK)
    iptonetworklist: tuple[Mapping[str, str], ...] = maps(
        "Networks with addresses, in place of networkids: iptonetworklist[0].networkid, .ip, .mac"
    )
    ipaddress: str = string("Address of the first interface")
    macaddress: str = string("MAC address of the first interface")
    name: str = string("Host name of the virtual machine")
    displayname: str = string("What people read in place of the name")
    startvm: bool = boolean("Whether to start it; true by default", default=True)
    rootdisksize: int | None = long("Size of the root disk in GB; the template's when left out")
    diskofferingid: DiskOffering | None = uuid(
        "ID of the disk offering of a data volume for it; with an ISO, of its root disk", DISK_OFFERING
    )
    size: int | None = long("Size of that volume in GB, where its offering leaves it to the caller")
    overridediskofferingid: DiskOffering | None = uuid("ID of the disk offering of the root disk", DISK_OFFERING)
    userdataid: Document | None = uuid("ID of registered user data, in place of userdata", USER_DATA)
    userdata: str = string("Base64 of what first boot gets to run or read; at most 8 KiB of it", length=1048576)
    keypair: str = string("Name of the key pair to log in with")
    keypairs: tuple[str, ...] = words("Names of key pairs to log in with, in place of keypair")
    affinitygroupids: tuple[AffinityGroup, ...] = uuids("IDs of its affinity groups", AFFINITY_GROUP)
    affinitygroupnames: tuple[str, ...] = words("Names of its affinity groups, in place of IDs")
    group: str = string("Name of its instance group, which is made if there is none")
    hostid: Host | None = uuid("Host to run on; for root admins", HOST)
    clusterid: HostGroup | None = uuid("Cluster to run in; for root admins", HOST_GROUP)
    hypervisor: str = string("KVM; there is no other")
    details: tuple[Mapping[str, str], ...] = maps(ABOUT)


@command(
    "deployVirtualMachine",
    "Creates a virtual machine and, unless told otherwise, starts it.",
    item=VirtualMachineResponse,
    key="virtualmachine",
    asynchronous=True,
    refused="""bootintosetup bootmode boottype customid datadiskofferinglist datadisksdetails
        dhcpoptionsnetworklist externaldetails extraconfig ip6address leaseduration
        leaseexpiryaction nicmultiqueuenumber nicnetworklist password podid properties securitygroupids
        securitygroupnames snapshotid userdatadetails volumeid""",
    ignored="""copyimagetags deploymentplanner displayvm dynamicscalingenabled iodriverpolicy iothreadsenabled keyboard
        nicpackedvirtqueuesenabled""",
)
async def deploy(call: Call, args: Deploy) -> Answer:
    """Make the object, then the Flow that Orchestration would make of it, for the sake of its uid."""
    namespace = place_to_make(call, args)
    spec, disk = _spec(call, args, namespace), _data_disk(args)
    given = args.name or (args.displayname if _is_name(args.displayname) else "")
    own = naming.virtual_machine(given) if given else naming.generated()
    notes = naming.notes_of(own, given or own, args.displayname) | {
        names.ANNOTATION_DEPLOY_DEADLINE: str(call.deadline),
        names.ANNOTATION_DEPLOY_ON_FAILURE: OnFailure.COMPENSATE.value,
    }
    group = {names.LABEL_GROUP: await group_called(call, namespace, args.group)} if args.group else {}
    made: tuple[Volume, ...] = ()
    if args.templateid is not None and is_iso(args.templateid):
        root = root_spec(args.templateid, args.diskofferingid, args.size)
        install = await prepare(call, namespace, own, args.templateid, root)
        made, spec = install.volumes, replace(spec, root_volume=install.root.meta.name, cdrom=install.cd.meta.name)
    elif disk is not None:
        made = (await _made(call, namespace, own, disk),)
        spec = replace(spec, volumes=(made[0].meta.name,))
    body = VIRTUAL_MACHINE.body(Key(namespace, own), spec=to_wire(spec), annotations=notes, labels=group)
    amounts = Counter(of_machine(size_of(args.serviceofferingid, spec)))
    if spec.image:
        amounts.update(of_root_disk(args.templateid, (args.rootdisksize or 0) * GIB))
    try:
        async with reserved(call, namespace, VIRTUAL_MACHINE, own, amounts):
            vm = VIRTUAL_MACHINE.parse(await call.store.create(VIRTUAL_MACHINE, body))
    except (errors.ApiError, StoreError) as error:
        for volume in made:
            await remove(call, volume)
        raise _refused(error, own, namespace) from None
    if spec.cdrom:
        await belong(call, vm, made)
    return Started(await job_of(call, vm, Operation.DEPLOY), vm.meta.uid)


def _refused(error: errors.ApiError | StoreError, own: str, namespace: str) -> errors.ApiError | StoreError:
    """What a virtual machine's creator is told."""
    match error:
        case AlreadyExists():
            return errors.invalid(f"The vm with hostName {own} already exists in the account's namespace {namespace}")
        case NotFound():
            return naming.no_namespace(namespace)
    return error


def _data_disk(args: Deploy) -> VolumeSpec | None:
    if is_iso(args.templateid):
        return None  # the offering is that of the root disk
    if args.diskofferingid is not None:
        return blank(args.diskofferingid, args.size)
    if args.size is not None:
        raise errors.invalid("size is a data volume's: give its diskofferingid too, or rootdisksize in place")
    return None


async def _made(call: Call, namespace: str, vm: str, spec: VolumeSpec) -> Volume:
    """The data volume; it is there before its virtual machine, and stays when that goes."""
    amounts: dict[str, int] = {Resource.VOLUMES: 1, Resource.PRIMARY_STORAGE: gib(int(spec.size or 0))}
    return VOLUME.parse(await naming.create(call, VOLUME, namespace, f"{vm}-data", to_wire(spec), amounts=amounts))


def _is_name(text: str) -> bool:
    try:
        return bool(text) and bool(naming.virtual_machine(text))
    except errors.ApiError:
        return False


def _spec(call: Call, args: Deploy, namespace: str) -> VirtualMachineSpec:
    if args.templateid is None:
        raise errors.missing("deployVirtualMachine", "templateid")
    if args.hypervisor.lower() not in ("", HYPERVISOR.lower()):
        raise errors.invalid(f"no host runs {args.hypervisor}: hypervisor must be {HYPERVISOR}")
    if not args.zoneid.spec.enabled and not call.caller.root:
        raise errors.denied(f"Cannot perform this operation, zone {args.zoneid.meta.name} is currently disabled")
    if (args.hostid or args.clusterid) and not call.caller.root:
        raise errors.denied("Only root admins may choose a host or a cluster")
    if is_iso(args.templateid) and (args.rootdisksize is not None or args.overridediskofferingid is not None):
        raise errors.invalid("rootdisksize and overridediskofferingid are a template's: an ISO takes diskofferingid")
    if args.rootdisksize is not None and args.rootdisksize < 1:
        raise errors.invalid("Root disk size should be a positive number of GB")
    size = chosen("deployVirtualMachine", args.serviceofferingid, args.details)
    return VirtualMachineSpec(
        offering=args.serviceofferingid.meta.name,
        cpus=size.cpus,
        memory=size.memory,
        image="" if is_iso(args.templateid) else image_for(call, args.templateid, namespace),
        root_disk_size=None if args.rootdisksize is None else Quantity(args.rootdisksize * GIB),
        root_disk_offering=args.overridediskofferingid.meta.name if args.overridediskofferingid else "",
        run_policy=RunPolicy.RUNNING if args.startvm else RunPolicy.STOPPED,
        nics=_nics(call, args, namespace),
        user_data=UserData(_first_boot(args, namespace)),
        ssh_key_pairs=tuple(pair.meta.name for pair in named(call, namespace, args.keypairs or _one(args.keypair))),
        affinity_groups=members_of(call, namespace, args.affinitygroupids, args.affinitygroupnames),
        placement=Placement(
            zone=args.zoneid.meta.name,
            group=args.clusterid.meta.name if args.clusterid else "",
            host=args.hostid.meta.name if args.hostid else "",
        ),
    )


def _one(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _nics(call: Call, args: Deploy, namespace: str) -> tuple[Nic, ...]:
    if args.networkids and args.iptonetworklist:
        raise errors.invalid("ipToNetworkMap can't be specified along with networkIds")
    nics: list[tuple[Network, str, str]] = [(network, "", "") for network in args.networkids]
    for entry in args.iptonetworklist:
        network = call.find(NETWORK, entry.get("networkid", ""))
        if network is None:
            raise errors.no_entity("deployVirtualMachine", "iptonetworklist", entry.get("networkid", ""))
        nics.append((network, entry.get("ip", ""), entry.get("mac", "")))
    if not nics:
        nics = [(_only(call.cloud.all(NETWORK, (namespace,))), "", "")]
    first, ip, mac = nics[0]
    nics[0] = first, args.ipaddress or ip, args.macaddress or mac
    for network, _, _ in nics:
        if network.meta.namespace != namespace:
            raise errors.denied(f"network {network.meta.name} belongs to another account than the virtual machine")
        if network.spec.zone != args.zoneid.meta.name:
            raise errors.invalid(
                f"network {network.meta.name} is in zone {network.spec.zone}, not {args.zoneid.meta.name}"
            )
    return tuple(Nic(network.meta.name, address, hardware) for network, address, hardware in nics)


def _only(networks: Sequence[Network]) -> Network:
    if len(networks) != 1:
        have = "has none: create one with createNetwork" if not networks else "has several: choose with networkids"
        raise errors.invalid(f"no network was given and the account {have}")
    return networks[0]


def _first_boot(args: Deploy, namespace: str) -> str:
    """What is given, or the registered text as it is now."""
    document = args.userdataid
    if document is None:
        return decoded(args.userdata)
    if args.userdata:
        raise errors.invalid("Both userdata and userdataid inputs are not allowed. Please provide only one")
    if document.meta.namespace != namespace:
        raise errors.denied(f"user data {name_of(document)} belongs to another account than the virtual machine")
    return document.spec.data
