"""What a guest is told about itself, as CloudStack's virtual router and EC2 lay it out. Pure.

The paths are those of CloudStack (https://docs.cloudstack.apache.org/en/latest/adminguide/virtual_machines/user-data.html)
and the part of EC2's (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html) that
cloud-init's CloudStack and EC2 data sources read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from operators.contract.instances import InstanceSpec
from operators.contract.networking import PortBindingSpec

VERSIONS = re.compile(r"latest|1\.0|20\d\d-\d\d-\d\d")
"""A guest may ask for any version of the tree; there is one."""

Tree: TypeAlias = "Mapping[str, Tree | str]"


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest of this host, found by the NIC that it asks from."""

    instance: InstanceSpec
    nic: PortBindingSpec


def answer(guest: Guest, path: str) -> str | None:
    """The text at a path such as `/latest/meta-data/instance-id`, a listing for a folder; None where nothing is."""
    match [part for part in path.split("/") if part]:
        case []:
            return "latest"
        case [version, *_] if not VERSIONS.fullmatch(version):
            return None
        case [_]:
            return "meta-data\nuser-data"
        case [_, "user-data"]:
            return guest.instance.cloud_init.user_data if guest.instance.cloud_init else ""
        case [_, "meta-data", "public-keys", *rest] if rest or path.endswith("/"):
            return _numbered(_keys(guest), rest)
        case [_, "meta-data", *rest]:
            return _walked(_meta_data(guest), rest)
    return None


def _walked(node: Tree | str, names: list[str]) -> str | None:
    for name in names:
        if isinstance(node, str) or name not in node:
            return None
        node = node[name]
    # What has more beneath it ends in a slash, by which EC2's readers tell.
    return (
        node
        if isinstance(node, str)
        else "\n".join(name if isinstance(below, str) else f"{name}/" for name, below in node.items())
    )


def _numbered(keys: tuple[str, ...], names: list[str]) -> str | None:
    """EC2's folder of keys: it lists `0=name`, and has the key at `0/openssh-key`."""
    if not names:
        return "\n".join(f"{number}=key-{number}" for number in range(len(keys)))
    return _walked({str(number): {"openssh-key": key} for number, key in enumerate(keys)}, names)


def _meta_data(guest: Guest) -> Tree:
    spec, first_boot = guest.instance, guest.instance.cloud_init
    hostname = first_boot.hostname if first_boot else spec.virtual_machine.name
    return {
        "availability-zone": spec.zone,
        "cloud-identifier": "CloudStack",
        "hostname": hostname,
        "instance-id": first_boot.instance_id if first_boot else spec.virtual_machine.uid,
        "instance-type": spec.offering,
        "local-hostname": hostname,
        "local-ipv4": guest.nic.ip,
        "mac": guest.nic.mac,
        "placement": {"availability-zone": spec.zone},
        # A text here, one key a line, as CloudStack has it; EC2's numbered ones are found beneath it all the same.
        "public-keys": "\n".join(_keys(guest)),
        "service-offering": spec.offering,
        "vm-id": spec.virtual_machine.uid,
    }


def _keys(guest: Guest) -> tuple[str, ...]:
    return guest.instance.cloud_init.ssh_keys if guest.instance.cloud_init else ()
