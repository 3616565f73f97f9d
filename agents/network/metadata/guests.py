"""Which guest of this host asks: found by network and source address, which the host's rules let nobody forge."""

from __future__ import annotations

from dataclasses import dataclass

from agents.network.metadata.tree import Guest
from operators.contract.instances import INSTANCE, InstanceSpec, InstanceStatus
from operators.contract.meta import Key, Obj
from operators.contract.networking import HOST_NETWORK, PORT_BINDING, PortBindingSpec
from operators.kernel.cache import Cache


@dataclass(frozen=True, slots=True)
class Found:
    """A guest and the NIC that it asks from."""

    instance: Obj[InstanceSpec, InstanceStatus]
    nic: PortBindingSpec

    @property
    def guest(self) -> Guest:
        """What it is told about."""
        return Guest(self.instance.spec, self.nic)


class Guests:
    """The guests of this host, as the cache has them."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def find(self, host_network: Key, address: str) -> Found | None:
        """The guest with that address on that network; None when it is none of this host's."""
        network = self._cache.get(HOST_NETWORK, host_network)
        if network is None:
            return None
        for nic in self._cache.all(PORT_BINDING):
            same = nic.meta.namespace == host_network.namespace and nic.spec.network.uid == network.spec.network.uid
            if same and nic.spec.ip == address and not nic.meta.deleting:
                for instance in self._cache.all(INSTANCE):
                    listed = {each.port_binding for each in instance.spec.nics}
                    if instance.meta.namespace == nic.meta.namespace and nic.meta.name in listed:
                        return Found(instance, nic.spec)
        return None
