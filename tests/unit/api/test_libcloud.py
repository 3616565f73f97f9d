"""apache-libcloud drives the whole life."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

from tests.unit.api.world import World, api_key, secret_key


@pytest.mark.filterwarnings("ignore")
async def test_a_life(world: World) -> None:
    await world.network("alice")

    def life() -> None:
        parts = urlsplit(world.url)
        driver = get_driver(Provider.CLOUDSTACK)(
            key=api_key("alice"),
            secret=secret_key("alice"),
            secure=False,
            host=parts.hostname,
            port=parts.port,
            path=parts.path,
        )
        (location,) = driver.list_locations()
        size = next(each for each in driver.list_sizes() if each.name == "Tiny Instance")
        (image,) = driver.list_images()
        (network,) = driver.ex_list_networks()
        assert (size.ram, network.name) == (128, "front")
        pair = driver.create_key_pair("mine")
        assert pair.private_key.startswith("-----BEGIN RSA PRIVATE KEY-----")
        assert [each.name for each in driver.list_key_pairs()] == ["mine"]

        node = driver.create_node(
            name="web",
            size=size,
            image=image,
            location=location,
            networks=[network],
            ex_keyname="mine",
            ex_start_vm=True,
        )
        (found,) = driver.list_nodes()
        assert (found.id, found.name, found.state) == (node.id, "web", NodeState.RUNNING)
        assert found.private_ips == ["10.1.1.5"]
        assert driver.ex_stop(found) == "Stopped"
        assert driver.list_nodes()[0].state == NodeState.STOPPED
        assert driver.ex_start(found) == "Running"
        assert driver.reboot_node(found)
        assert driver.ex_attach_nic_to_node(found, network, "10.1.1.77")
        first, second = driver.ex_list_nics(found)
        assert (first.is_default, second.is_default, second.network_id) == (True, False, network.id)
        assert driver.ex_detach_nic_from_node(second, found)
        assert [nic.id for nic in driver.ex_list_nics(found)] == [first.id]

        volume = driver.create_volume(1, "ledger", location=location)
        assert [each.name for each in driver.list_volumes() if each.id == volume.id] == ["ledger"]
        driver.ex_create_tags([node.id], "UserVm", {"tier": "front"})
        assert driver.destroy_volume(volume)
        assert driver.destroy_node(found)
        driver.delete_key_pair(pair)  # it takes only "true" as text for a yes
        assert driver.list_key_pairs() == []

    await asyncio.to_thread(life)
