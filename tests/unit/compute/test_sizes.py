"""Custom offerings, and what a change of size does to a running guest."""

from __future__ import annotations

from operators.contract.compute import COMPUTE_OFFERING
from operators.contract.meta import condition
from tests.support.virtual_time import virtual
from tests.unit.compute.world import World, world

CUSTOM = {
    "cpus": 1,
    "memory": "256Mi",
    "custom": {"minCpus": 1, "maxCpus": 4, "minMemory": "128Mi", "maxMemory": "4Gi"},
}
MIB = 1 << 20


async def custom(cloud: World, **spec: object) -> None:
    await cloud.put(COMPUTE_OFFERING, "custom", CUSTOM)
    await cloud.apply(offering="custom", **spec)
    await cloud.settle(5)


def restart(cloud: World) -> str:
    found = condition(cloud.vm().status.conditions, "RestartRequired")
    return found.message if found else ""


@virtual
async def test_a_machine_chooses_its_own_size() -> None:
    async with world() as cloud:
        await custom(cloud, cpus=2, memory="512Mi")
        spec = cloud.instance().spec
        assert (spec.cpus, int(spec.memory), spec.max_cpus) == (2, 512 * MIB, 4)
        assert cloud.ready().true


@virtual
async def test_what_an_offering_does_not_give_is_said() -> None:
    async with world() as cloud:
        await custom(cloud, cpus=5)
        assert (cloud.ready().reason, cloud.instances()) == ("Invalid", [])
        assert "gives 1 to 4 CPUs, and 5 are asked for" in cloud.ready().message
        await custom(cloud, memory="64Mi")
        assert "gives 128Mi to 4Gi of memory" in cloud.ready().message
        await cloud.apply(cpus=1)
        await cloud.settle(5)
        assert "is of one size" in cloud.ready().message
        await cloud.apply()
        await cloud.settle(5)
        assert cloud.ready().true


@virtual
async def test_a_running_guest_is_given_what_it_can_be_given_and_the_rest_is_said() -> None:
    async with world() as cloud:
        await custom(cloud, memory="512Mi")
        host, uuid = cloud.sim()
        await custom(cloud, cpus=3, memory="256Mi")
        assert (host.specs[uuid].cpus, host.specs[uuid].memory) == (3, 256 * MIB)
        assert cloud.starts()[uuid] == 1
        assert not restart(cloud)
        await custom(cloud, cpus=1, memory="1Gi")
        assert (host.specs[uuid].cpus, host.specs[uuid].memory) == (3, 256 * MIB)
        assert "1 CPUs instead of 3, 1Gi of memory instead of 256Mi" in restart(cloud)
        await custom(cloud, cpus=9)
        assert "keeps its size" in restart(cloud)
        assert cloud.ready().true
        await custom(cloud, cpus=1, memory="1Gi", runPolicy="Stopped")
        await custom(cloud, cpus=1, memory="1Gi")
        assert (host.specs[uuid].memory, restart(cloud)) == (1024 * MIB, "")


@virtual
async def test_a_guest_does_not_grow_beyond_its_host_nor_free_what_its_balloon_may_take_back() -> None:
    async with world(("a",)) as cloud:
        await custom(cloud, memory="3Gi")
        await custom(cloud, memory="256Mi")
        assert int(cloud.instance().spec.memory) == 256 * MIB
        await cloud.apply("other", offering="big")
        await cloud.settle(5)
        assert cloud.ready("other").reason == "NoHostFits", "of 4 GiB, 3 may be taken back at any time"
        await cloud.put(COMPUTE_OFFERING, "many", {"cpus": 30, "memory": "64Mi"})
        await cloud.apply("other", offering="many")
        await cloud.settle(20)
        assert cloud.ready("other").true
        await custom(cloud, cpus=4, memory="256Mi")
        assert cloud.instance().spec.cpus == 1
        assert "4 CPUs instead of 1" in restart(cloud)


@virtual
async def test_a_running_guest_follows_the_network_rate_of_its_offering() -> None:
    async with world() as cloud:
        nics = [{"network": "front"}]
        await cloud.put(COMPUTE_OFFERING, "tiny", {"cpus": 1, "memory": "128Mi", "networkRate": 100})
        await cloud.apply(nics=nics)
        await cloud.settle(5)
        assert [nic.rate for nic in cloud.instance().spec.nics] == [100]
        await cloud.put(COMPUTE_OFFERING, "tiny", {"cpus": 1, "memory": "128Mi", "networkRate": 10})
        await cloud.settle(5)
        assert [nic.rate for nic in cloud.instance().spec.nics] == [10]
        assert restart(cloud) == ""
        await cloud.put(COMPUTE_OFFERING, "tiny", {"cpus": 1, "memory": "128Mi"})
        await cloud.settle(5)
        assert [nic.rate for nic in cloud.instance().spec.nics] == [0]
