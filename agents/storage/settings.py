"""What the storage agent is told by its environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from operators.contract.quantity import Quantity

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Sources:
    """Where images may be fetched from; see `fetching.sources`."""

    allowed: tuple[Network, ...] = ()
    allowed_hosts: frozenset[str] = frozenset()
    denied: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Parsed once at start; a value that makes no sense stops the process with a ValueError that names it."""

    node: str
    pool_root: str = "/var/lib/cloudstack/pools"
    sources: Sources = field(default_factory=Sources)
    max_download: int = 20 << 30
    """The largest file that is fetched for an image."""
    max_virtual: int = 2 << 40
    """The largest disk that an image may unfold to."""

    store_keys: str = "/etc/cloudstack/image-stores"
    """The folder with a folder of keys for each image store that needs some."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Read `NODE_NAME`, `POOL_ROOT`, `IMAGE_SOURCES_*`, `IMAGE_MAX_*`, `IMAGE_STORE_KEYS`."""
        default = cls(node=env["NODE_NAME"])
        allowed, hosts = _sources(env.get("IMAGE_SOURCES_ALLOW", ""))
        denied, strangers = _sources(env.get("IMAGE_SOURCES_DENY", ""))
        if strangers:
            raise ValueError(f"IMAGE_SOURCES_DENY takes addresses and CIDRs only, not {sorted(strangers)}")
        return cls(
            node=default.node,
            pool_root=env.get("POOL_ROOT", "").rstrip("/") or default.pool_root,
            sources=Sources(allowed, hosts, denied),
            store_keys=env.get("IMAGE_STORE_KEYS", "") or default.store_keys,
            max_download=_size(env, "IMAGE_MAX_DOWNLOAD", default.max_download),
            max_virtual=_size(env, "IMAGE_MAX_VIRTUAL_SIZE", default.max_virtual),
        )


def _size(env: Mapping[str, str], name: str, default: int) -> int:
    try:
        return Quantity.parse(env[name]) if env.get(name) else default
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _sources(text: str) -> tuple[tuple[Network, ...], frozenset[str]]:
    """Addresses and CIDRs, and what is neither, so a host's name; separated by commas or blanks."""
    networks: list[Network] = []
    hosts = set()
    for entry in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            hosts.add(entry.lower().rstrip("."))
    return tuple(networks), frozenset(hosts)
