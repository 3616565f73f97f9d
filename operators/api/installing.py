"""Virtual machines that are installed from a CD: a blank root disk, and the CD in the drive."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from operators.api import errors, naming
from operators.api.call import Call
from operators.api.changing import change, remove
from operators.api.cloud import VM, DiskOffering, Image, Volume
from operators.api.commands.templates import image_for
from operators.api.commands.volume_creation import blank
from operators.api.limits import gib
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.identity import Resource
from operators.contract.storage import VOLUME, VolumeSource, VolumeSpec

ISO = "iso"


@dataclass(frozen=True, slots=True)
class Installation:
    """The Volumes of a virtual machine that is yet to be made."""

    root: Volume
    cd: Volume

    @property
    def volumes(self) -> tuple[Volume, Volume]:
        """Both of them."""
        return self.root, self.cd


def is_iso(image: Image | None) -> bool:
    """Whether it is a CD, from which nothing boots but what installs something."""
    return image is not None and image.spec.format == ISO


def root_spec(image: Image, offering: DiskOffering | None, size: int | None) -> VolumeSpec:
    """The blank root disk, as the disk offering says. Raises ApiError."""
    if not image.spec.bootable:
        raise errors.invalid(f"Installing from ISO requires an ISO that is bootable: {image.meta.uid}")
    if offering is None:
        raise errors.invalid("Installing from ISO requires a disk offering to be specified for the root disk.")
    return blank(offering, size)


async def prepare(call: Call, namespace: str, vm: str, image: Image, root: VolumeSpec) -> Installation:
    """Make both Volumes, which are their tenant's until the virtual machine is there."""
    amounts: dict[str, int] = {Resource.VOLUMES: 1, Resource.PRIMARY_STORAGE: gib(int(root.size or 0))}
    disk = VOLUME.parse(await naming.create(call, VOLUME, namespace, f"{vm}-root", to_wire(root), amounts=amounts))
    spec = VolumeSpec(source=VolumeSource(image=image_for(call, image, namespace)))
    labels = {names.LABEL_CD: "true"}
    try:
        cd = await naming.create(call, VOLUME, namespace, names.cd(vm, image.meta.uid), to_wire(spec), labels=labels)
    except BaseException:
        await remove(call, disk)
        raise
    return Installation(disk, VOLUME.parse(cd))


async def belong(call: Call, vm: VM, volumes: Iterable[Volume]) -> None:
    """Have the Volumes go when their virtual machine does."""
    owner = to_wire(dataclasses.replace(vm.owner, controller=False, block_owner_deletion=False))
    for volume in volumes:
        await change(call, volume, lambda now: {"metadata": {"ownerReferences": [owner]}})
