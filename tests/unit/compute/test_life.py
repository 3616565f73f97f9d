"""A virtual machine's life: the real Compute and real agents on simulated hosts, in memory and on virtual time."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from agents.hypervisor.simulated import Faults
from operators.contract import names
from operators.contract.codec import to_wire
from operators.contract.compute import COMPUTE_OFFERING, VIRTUAL_MACHINE
from operators.contract.fabric import HOST, STORAGE_POOL, ZONE
from operators.contract.instances import INSTANCE
from operators.contract.meta import Condition, Key, condition, holds
from operators.contract.networking import PORT
from operators.contract.orchestration import FLOW
from operators.contract.storage import IMAGE, VOLUME
from operators.kernel.store import StoreError
from tests.support.virtual_time import virtual
from tests.unit.compute.world import NS, WEB, World, world


@virtual
async def test_deploy_costs_compute_and_the_agent_three_writes() -> None:
    async with world() as cloud:
        before = cloud.writes("compute", "agent-hypervisor")
        await cloud.apply()
        await cloud.settle(5)
        vm = cloud.vm()
        assert cloud.ready().true, cloud.ready()
        assert (vm.status.phase, vm.status.addresses) == ("Running", ("10.1.1.10",))
        assert vm.status.host_name == cloud.instance().spec.host_name
        assert vm.status.started_at
        for type_ in ("Scheduled", "VolumesReady", "NetworkReady", "InstanceReady"):
            assert holds(vm.status.conditions, type_), type_
        assert cloud.writes("compute", "agent-hypervisor") - before == 3  # Instance, its status, the VirtualMachine's


@virtual
async def test_idle_virtual_machines_cause_no_writes() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(10)
        before = len(cloud.server.log)
        await cloud.settle(3600)
        assert len(cloud.server.log) == before


@virtual
async def test_stop_start_and_reboot() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        await cloud.apply(runPolicy="Stopped")
        await cloud.settle(5)
        assert not host.domains[uuid].active
        assert (cloud.ready().status, cloud.ready().reason, cloud.vm().status.phase) == ("True", "Stopped", "Stopped")
        assert cloud.vm().status.observed_generation == cloud.vm().meta.generation
        assert cloud.vm().status.addresses, "it keeps its address"
        await cloud.apply(runPolicy="Running")
        await cloud.settle(5)
        assert host.domains[uuid].active
        assert cloud.ready().reason == "Running"
        await cloud.apply(rebootRequest=1)
        await cloud.settle(5)
        assert cloud.vm().status.reboot_observed == 1
        assert cloud.starts()[uuid] == 3
        assert cloud.vm().status.restarts == 0


@virtual
async def test_delete_leaves_nothing_and_writes_no_farewell() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, _uuid = cloud.sim()
        before = len([each for each in cloud.server.log if each[2] is VIRTUAL_MACHINE and each[0] == "compute"])
        await cloud.delete()
        await cloud.settle(5)
        assert cloud.server.read(VIRTUAL_MACHINE, WEB) is None
        assert cloud.instances() == []
        assert not host.domains and not host.seeds and not host.consoles
        assert len([each for each in cloud.server.log if each[2] is VIRTUAL_MACHINE and each[0] == "compute"]) == before


@virtual
async def test_deleted_while_no_host_fits_goes_at_once() -> None:
    async with world() as cloud:
        await cloud.apply(placement={"host": "nowhere"})
        await cloud.settle(1)
        assert cloud.ready().reason == "NoHostFits"
        await cloud.delete()
        await cloud.settle(1)
        assert cloud.server.read(VIRTUAL_MACHINE, WEB) is None


@virtual
async def test_no_host_fits_names_every_host_and_heals() -> None:
    async with world(("a", "b", "c")) as cloud:
        await cloud.put(HOST, "a", {"node": "a", "maintenance": True})
        await cloud.put(HOST, "b", {"node": "b", "schedulable": False})
        await cloud.reachable("c", "False", "no heartbeat for 40 s")
        await cloud.apply()
        await cloud.settle(1)
        ready = cloud.ready()
        assert ready.reason == "NoHostFits"
        assert "a: Maintenance: in maintenance" in ready.message
        assert "b: Schedulable" in ready.message
        assert "c: HostState: not reachable: no heartbeat for 40 s" in ready.message
        assert cloud.vm().status.phase == "Pending"
        await cloud.put(HOST, "b", {"node": "b", "schedulable": True})
        await cloud.settle(5)
        assert cloud.ready().true
        assert cloud.vm().status.host_name == "b"


@virtual
async def test_missing_offering_is_told_and_heals() -> None:
    async with world() as cloud:
        await cloud.apply(offering="huge")
        await cloud.settle(0.5)
        assert cloud.ready().reason == "", "kubectl apply may bring it a moment later"
        await cloud.settle(2)
        assert cloud.ready().reason == "OfferingNotFound"
        assert "huge" in cloud.ready().message
        await cloud.put(COMPUTE_OFFERING, "huge", {"cpus": 1, "memory": "256Mi"})
        await cloud.settle(5)
        assert cloud.ready().true


@virtual
async def test_missing_data_volume_is_told_and_heals() -> None:
    async with world() as cloud:
        await cloud.apply(volumes=["ledger"])
        await cloud.settle(3)
        assert cloud.ready().reason == "VolumeNotFound"
        assert not holds(cloud.vm().status.conditions, "VolumesReady")
        await cloud.put(VOLUME, "ledger", {"size": "1Gi"}, NS)
        await cloud.settle(5)
        assert cloud.ready().true
        assert [disk.volume for disk in cloud.instance().spec.disks] == ["web-root", "ledger"]


@virtual
async def test_a_volume_serves_one_virtual_machine_at_a_time() -> None:
    async with world() as cloud:
        await cloud.put(VOLUME, "ledger", {"size": "1Gi"}, NS)
        await cloud.apply("one", volumes=["ledger"])
        await cloud.apply("two", volumes=["ledger"])
        await cloud.settle(5)
        by_state = {cloud.ready(name).reason: name for name in ("one", "two")}
        assert set(by_state) == {"Running", "StillAttached"}
        other, mine = by_state["Running"], by_state["StillAttached"]
        assert f"VirtualMachine {other}" in cloud.ready(mine).message
        place = cloud.vm(other).status.host_name
        await cloud.delete(other)
        await cloud.settle(5)
        assert cloud.ready(mine).true
        assert cloud.vm(mine).status.host_name == place, "where the volume is"


@virtual
async def test_a_burst_never_promises_more_than_there_is() -> None:
    async with world(("a",)) as cloud:  # 4 GiB for guests after the host's own: one of 3 GiB fits, and eight small ones
        await asyncio.gather(*(cloud.apply(f"big{number}", offering="big") for number in range(6)))
        await asyncio.gather(*(cloud.apply(f"vm{number}") for number in range(6)))
        await cloud.settle(20)
        memory = sum(int(each.spec.memory) for each in cloud.instances())
        assert memory <= 4 * 1024**3
        placed = [name for number in range(6) if cloud.ready(name := f"big{number}").true]
        assert len(placed) == 1
        waiting = cloud.ready(next(f"big{number}" for number in range(6) if f"big{number}" not in placed))
        assert waiting.reason == "NoHostFits"
        assert "a: Memory: 3Gi needed" in waiting.message
        await cloud.delete(placed[0])
        await cloud.settle(10)
        assert sum(cloud.ready(f"big{number}").true for number in range(6) if f"big{number}" not in placed) == 1


@virtual
async def test_a_burst_never_promises_more_of_a_pool_than_there_is() -> None:
    async with world(("a",)) as cloud:  # 100 GiB, given out twice
        await asyncio.gather(*(cloud.apply(f"vm{number}", rootDiskSize="60Gi") for number in range(8)))
        await cloud.settle(20)
        assert sum(cloud.ready(f"vm{number}").true for number in range(8)) == 3
        waiting = next(ready for number in range(8) if not (ready := cloud.ready(f"vm{number}")).true)
        assert waiting.reason == "NoHostFits"
        assert "may give out only 20Gi more" in waiting.message
        await cloud.delete(next(f"vm{number}" for number in range(8) if cloud.ready(f"vm{number}").true))
        await cloud.settle(10)
        assert len(cloud.instances()) == 3


async def late_write(cloud: World, name: str, host: str) -> None:
    """What a leader that was deposed meanwhile still had on its way: an Instance that nobody reckons with."""
    vm = cloud.vm(name)
    spec = {
        "hostName": host,
        "virtualMachine": {"name": name, "uid": vm.meta.uid, "namespace": NS, "kind": "VirtualMachine"},
        "domain": names.domain(NS, name, vm.meta.uid),
        "cpus": 2,
        "memory": "3Gi",
        "disks": [{"disk": f"{name}-root-d0", "volume": f"{name}-root", "serial": f"{name}-root"}],
        "power": "Running",
    }
    key = Key(NS, names.instance(name))
    await cloud.put(
        INSTANCE, key.name, spec, NS, finalizers=["cloudstack.dev/compute"], ownerReferences=[to_wire(vm.owner)]
    )


@virtual
async def test_a_late_write_does_not_fill_a_host_beyond_its_memory() -> None:
    async with world(("a", "b")) as cloud:
        await cloud.apply("first", offering="big", placement={"host": "a"}, nics=[])
        await cloud.settle(5)
        await cloud.kill("compute")
        cloud.volumes["late-root"] = Condition("Ready", "False", "Provisioning", "slow")
        await cloud.apply("late", offering="big", nics=[])
        await late_write(cloud, "late", "a")
        await cloud.settle(5)
        realised = condition(cloud.instance("late").status.conditions, "Realised")
        assert realised is not None
        assert realised.reason == "HostFull"
        assert "3Gi of memory needed, 1Gi of 4Gi free" in realised.message
        cloud.start_compute()
        await cloud.settle(5)
        cloud.volumes.clear()
        await cloud.put(ZONE, "default", {"enabled": True, "dns": ["10.0.0.1"]})  # wakes the world's storage
        await cloud.settle(10)
        assert cloud.instance("late").spec.host_name == "b"
        assert cloud.ready("late").true, cloud.ready("late")


@virtual
async def test_a_guest_refused_by_the_host_of_its_disk_waits_for_room_there() -> None:
    async with world(("a", "b")) as cloud:
        await cloud.apply("first", offering="big", placement={"host": "a"}, nics=[])
        await cloud.settle(5)
        await cloud.kill("compute")
        await cloud.apply("late", offering="big", nics=[])
        await late_write(cloud, "late", "a")
        await cloud.settle(5)
        await cloud.kill("a")  # an agent that knows nothing of the past counts what runs before it starts more
        cloud.start_agent("a")
        cloud.start_compute()
        await cloud.settle(30)
        assert sum(domain.active for domain in cloud.hosts["a"].domains.values()) == 1
        assert cloud.ready("late").reason == "HostFull", cloud.ready("late")
        assert "b: VolumesOnHost" in cloud.ready("late").message
        before = len(cloud.server.log)
        await cloud.settle(600)
        assert len(cloud.server.log) == before, "waiting costs nothing"
        await cloud.delete("first")
        await cloud.settle(10)
        assert cloud.ready("late").true, cloud.ready("late")


@virtual
async def test_guests_that_wait_do_not_write_whenever_others_come_and_go() -> None:
    async with world(("a",)) as cloud:
        for number in range(10):
            await cloud.apply(f"large{number}", offering="big")
        await cloud.settle(5)
        waiting = sum(cloud.ready(f"large{number}").reason == "NoHostFits" for number in range(10))
        assert waiting == 9
        before = cloud.writes("compute")
        for number in range(5):
            await cloud.apply(f"small{number}")
            await cloud.settle(1)
        assert cloud.writes("compute") - before <= 5 * 2 + waiting
        await cloud.settle(20)
        last = next(cloud.ready(f"large{n}") for n in range(10) if cloud.ready(f"large{n}").reason == "NoHostFits")
        assert "384Mi of 4Gi free" in last.message, "the last word is true"


@virtual
async def test_spread_is_the_default_and_pack_the_other_policy() -> None:
    async with world(("a", "b", "c")) as cloud:
        for number in range(6):
            await cloud.apply(f"vm{number}")
        await cloud.settle(5)
        hosts = [cloud.vm(f"vm{number}").status.host_name for number in range(6)]
        assert sorted(hosts) == ["a", "a", "b", "b", "c", "c"]
        await cloud.kill("compute")
        cloud.start_compute(SCHEDULER_POLICY="pack")
        for number in range(6, 9):
            await cloud.apply(f"vm{number}")
        await cloud.settle(5)
        assert len({cloud.vm(f"vm{number}").status.host_name for number in range(6, 9)}) == 1


@virtual
async def test_crash_is_repaired_at_once_and_then_with_back_off() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        before = cloud.writes("compute", "agent-hypervisor")
        host.ended(uuid, "Crashed")
        await cloud.settle(1)
        assert cloud.ready().true
        assert cloud.vm().status.restarts == 1
        assert cloud.starts()[uuid] == 2
        assert cloud.writes("compute", "agent-hypervisor") - before == 4  # stopped, start again, running, summary
        host.ended(uuid, "Shutdown")
        await cloud.settle(0.2)
        assert cloud.ready().reason == "Crashed"
        assert "started again at" in cloud.ready().message
        await cloud.settle(3)
        assert cloud.vm().status.restarts == 2
        await cloud.settle(700)
        host.ended(uuid, "Crashed")
        await cloud.settle(1)
        assert cloud.ready().true, "its past is forgotten"
        assert cloud.vm().status.restarts == 3


@virtual
async def test_a_crash_loop_slows_down_to_five_minutes() -> None:
    async with world() as cloud:
        for host in cloud.hosts.values():
            host.faults = Faults(start_crashes=1.0)
        await cloud.apply()
        await cloud.settle(3600)
        _, uuid = cloud.sim()
        assert 15 <= cloud.starts()[uuid] <= 25  # nine to get to five minutes, then one every five
        assert cloud.ready().reason in ("Crashed", "Starting")
        before = cloud.starts()[uuid]
        for host in cloud.hosts.values():
            host.faults = Faults()
        await cloud.settle(400)
        assert cloud.ready().true
        assert cloud.starts()[uuid] == before + 1


@virtual
async def test_start_that_fails_is_told_and_heals() -> None:
    async with world(("a",)) as cloud:
        cloud.hosts["a"].faults = Faults(start_fails=1.0)
        await cloud.apply()
        await cloud.settle(10)
        assert cloud.ready().reason == "HypervisorError"
        assert "could not be started" in cloud.ready().message
        cloud.hosts["a"].faults = Faults()
        await cloud.settle(70)
        assert cloud.ready().true


@virtual
async def test_changed_offering_is_never_silently_ignored() -> None:
    async with world() as cloud:
        await cloud.put(VOLUME, "ledger", {"size": "1Gi"}, NS)
        await cloud.apply()
        await cloud.settle(5)
        await cloud.apply(offering="big", volumes=["ledger"])
        await cloud.settle(5)
        told = condition(cloud.vm().status.conditions, "RestartRequired")
        assert told and told.true
        assert "2 CPUs instead of 1" in told.message and "ledger" not in told.message
        assert cloud.ready().true
        await cloud.apply(offering="big", volumes=["ledger"], runPolicy="Stopped")
        await cloud.settle(5)
        assert condition(cloud.vm().status.conditions, "RestartRequired") is None
        await cloud.apply(offering="big", volumes=["ledger"])
        await cloud.settle(5)
        host, uuid = cloud.sim()
        assert (host.specs[uuid].cpus, len(host.specs[uuid].disks)) == (2, 2)
        assert cloud.ready().true
        assert condition(cloud.vm().status.conditions, "RestartRequired") is None


@virtual
async def test_a_stopped_guest_lets_go_of_a_volume_that_it_is_no_longer_to_have() -> None:
    async with world() as cloud:
        await cloud.put(VOLUME, "ledger", {"size": "1Gi"}, NS)
        await cloud.apply(volumes=["ledger"])
        await cloud.settle(5)
        await cloud.apply(volumes=["ledger"], runPolicy="Stopped")
        await cloud.settle(5)
        assert [disk.volume for disk in cloud.instances()[0].spec.disks] == ["web-root", "ledger"]
        await cloud.apply(volumes=[], runPolicy="Stopped")
        await cloud.settle(5)
        assert [disk.volume for disk in cloud.instances()[0].spec.disks] == ["web-root"]
        assert cloud.ready().reason == "Stopped"


@pytest.mark.parametrize(
    ("kind", "name", "spec"), [(VOLUME, "web-root", {"size": "1Gi"}), (PORT, "web-nic0", {"network": "backplane"})]
)
@virtual
async def test_what_a_user_made_of_a_dependents_name_is_not_taken_for_it(kind: Any, name: str, spec: Any) -> None:
    async with world() as cloud:
        cloud.orchestrates = False
        await cloud.put(kind, name, spec, NS)
        await cloud.apply(nics=[{"network": "backplane"}])
        await cloud.settle(5)
        assert cloud.ready().reason == "NameTaken" and name in cloud.ready().message
        assert cloud.instances() == []
        cloud.server.delete("kubectl", kind, Key(NS, name))
        cloud.orchestrates = True
        await cloud.settle(5)
        assert cloud.ready().true


@virtual
async def test_volumes_come_to_a_running_guest_and_go_from_it() -> None:
    async with world() as cloud:
        await cloud.put(VOLUME, "ledger", {"size": "1Gi"}, NS)
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        await cloud.apply(volumes=["ledger"])
        await cloud.settle(5)
        assert [each.device.serial for each in host.disks[uuid]] == ["web-root", "ledger"]
        assert [disk.volume for disk in cloud.instance().status.disks] == ["web-root", "ledger"]
        assert cloud.ready().true and condition(cloud.vm().status.conditions, "RestartRequired") is None
        await cloud.apply()
        await cloud.settle(5)
        assert [each.device.serial for each in host.disks[uuid]] == ["web-root"]
        assert cloud.ready().true and len(host.starts) == 1


@virtual
async def test_a_guest_that_keeps_a_disk_is_told_of_and_nobody_else_gets_it() -> None:
    async with world() as cloud:
        await cloud.put(VOLUME, "ledger", {"size": "1Gi"}, NS)
        await cloud.apply(volumes=["ledger"])
        await cloud.settle(5)
        host, uuid = cloud.sim()
        host.faults = Faults(keeps_disks=1.0)
        await cloud.apply()
        await cloud.apply("rival", volumes=["ledger"])
        await cloud.settle(60)
        assert (cloud.ready().status, cloud.ready().reason) == ("False", "DetachRefused")
        assert "unmount it" in cloud.ready().message and cloud.vm().status.phase == "Running"
        assert cloud.ready("rival").reason == "StillAttached"
        host.faults = Faults()
        await cloud.settle(30)
        assert cloud.ready().true and cloud.ready("rival").true
        assert len(host.disks[uuid]) == 1


@virtual
async def test_a_volume_that_cannot_be_had_takes_nothing_from_the_guest() -> None:
    async with world() as cloud:
        await cloud.put(VOLUME, "ledger", {"size": "1Gi"}, NS)
        await cloud.apply(volumes=["ledger"])
        await cloud.settle(5)
        host, uuid = cloud.sim()
        await cloud.apply(volumes=["ledger", "nowhere"])
        await cloud.settle(5)
        assert cloud.ready().reason == "VolumeNotFound"
        assert [each.device.serial for each in host.disks[uuid]] == ["web-root", "ledger"]


@virtual
async def test_start_waits_for_room_on_the_host_that_has_its_disk() -> None:
    async with world() as cloud:
        await cloud.apply(offering="big")
        await cloud.settle(5)
        home = cloud.vm().status.host_name
        await cloud.apply(offering="big", runPolicy="Stopped")
        await cloud.settle(5)
        await cloud.apply("rival", offering="big", placement={"host": home})
        await cloud.settle(5)
        assert cloud.ready("rival").true, "a stopped guest gives its memory back"
        await cloud.apply(offering="big", runPolicy="Running")
        await cloud.settle(5)
        assert cloud.ready().reason == "NoHostFits"
        assert f"{home}: Memory" in cloud.ready().message
        assert f"VolumesOnHost: volume web-root is on host {home}" in cloud.ready().message
        await cloud.delete("rival")
        await cloud.settle(5)
        assert cloud.ready().true


@virtual
async def test_host_down_is_told_and_nothing_is_moved() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        home = cloud.vm().status.host_name
        await cloud.reachable(home, "False", "no heartbeat for 40 s")
        await cloud.settle(5)
        assert (cloud.ready().status, cloud.ready().reason) == ("False", "HostDown")
        assert "no heartbeat for 40 s" in cloud.ready().message
        assert len(cloud.instances()) == 1
        await cloud.reachable(home, "True")
        await cloud.settle(5)
        assert cloud.ready().true


@virtual
async def test_host_boots_again_and_its_guests_with_it() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        home = cloud.vm().status.host_name
        await cloud.kill(home)
        host.reboot()
        cloud.start_agent(home)
        await cloud.settle(5)
        assert host.domains[uuid].active
        assert cloud.ready().true
        assert cloud.vm().status.restarts == 0


@virtual
async def test_daemon_away_for_long_is_told_and_heals() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, uuid = cloud.sim()
        before = len(cloud.server.log)
        host.daemon(False)
        await cloud.settle(0.5)
        host.daemon(True)
        await cloud.settle(5)
        assert len(cloud.server.log) == before, "a short absence is nobody's business"
        host.daemon(False)
        await cloud.settle(7)
        assert cloud.ready().reason == "HypervisorError"
        assert cloud.starts()[uuid] == 1
        host.daemon(True)
        await cloud.settle(5)
        assert cloud.ready().true
        assert cloud.starts()[uuid] == 1


@virtual
async def test_waiting_for_a_volume_says_what_the_volume_says() -> None:
    async with world() as cloud:
        message = "Image tiny does not exist"
        cloud.volumes["web-root"] = Condition("Ready", "False", "ImageNotFound", message)
        await cloud.apply()
        await cloud.settle(5)
        assert cloud.ready().reason == "ImageNotFound"
        assert message in cloud.ready().message
        assert holds(cloud.vm().status.conditions, "Scheduled")
        assert not holds(cloud.vm().status.conditions, "VolumesReady")
        del cloud.volumes["web-root"]
        await cloud.put(ZONE, "nudge", {})
        await cloud.settle(5)
        assert cloud.ready().true


@virtual
async def test_slow_provisioning_is_told() -> None:
    async with world() as cloud:
        cloud.volumes["web-root"] = Condition("Ready", "False", "Importing", "fetched to 40 %")
        await cloud.apply()
        await cloud.settle(1.5)
        assert cloud.ready().reason == ""
        await cloud.settle(2)
        assert cloud.ready().reason == "Importing"
        assert cloud.vm().status.phase == "Provisioning"


@virtual
async def test_recreated_under_the_same_name_gets_an_instance_of_its_own() -> None:
    async with world(("a",)) as cloud:
        await cloud.apply()
        await cloud.settle(5)
        old = cloud.vm().meta.uid
        await cloud.kill("compute")
        await cloud.delete()
        await cloud.admin.finalize(VIRTUAL_MACHINE, cloud.vm().meta, [])
        await cloud.apply()
        await cloud.settle(1)
        assert cloud.instance().spec.virtual_machine.uid == old
        cloud.start_compute()
        await cloud.settle(10)
        new = cloud.vm().meta.uid
        assert new != old
        assert cloud.instance().spec.virtual_machine.uid == new
        assert set(cloud.hosts["a"].domains) == {new}
        assert cloud.ready().true


@virtual
async def test_orphan_is_removed() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        host, _ = cloud.sim()
        cloud.orchestrates = False
        await cloud.kill("compute")
        await cloud.delete()
        await cloud.admin.finalize(VIRTUAL_MACHINE, cloud.vm().meta, [])
        cloud.start_compute()
        await cloud.settle(10)
        assert cloud.instances() == []
        assert not host.domains


@virtual
async def test_two_instances_become_one() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        first = cloud.instance()
        other = next(name for name in cloud.hosts if name != first.spec.host_name)
        body = cloud.server.read(INSTANCE, first.key)
        assert body
        spec = body["spec"] | {"hostName": other}
        rival = INSTANCE.body(
            Key(NS, names.instance_moved("web", "rival")), spec=spec, finalizers=["cloudstack.dev/compute"],
            ownerReferences=body["metadata"]["ownerReferences"],
        )  # fmt: skip
        await asyncio.sleep(1.1)
        await cloud.admin.apply(INSTANCE, rival)
        await cloud.settle(10)
        assert cloud.instance().meta.uid == first.meta.uid
        assert cloud.ready().true


@virtual
async def test_cancelled_deployment_has_no_instance() -> None:
    async with world() as cloud:
        await cloud.apply()
        await cloud.settle(5)
        vm = cloud.vm()
        flow = Key(NS, names.flow("web", vm.meta.uid, "Deploy", 1))
        spec = {"operation": "Deploy", "target": {"name": "web", "uid": vm.meta.uid, "kind": "VirtualMachine"}}
        await cloud.put(FLOW, flow.name, spec | {"targetGeneration": 1}, NS)
        await cloud.admin.apply_status(FLOW, flow, {"state": "Cancelled"}, resource_version="")
        await cloud.settle(5)
        assert cloud.instances() == []
        assert cloud.ready().reason == "Cancelled"
        assert holds(cloud.vm().status.conditions, "Stalled")
        again = names.flow("web", vm.meta.uid, "Deploy", 2)
        await cloud.put(FLOW, again, spec | {"targetGeneration": 2}, NS)
        await cloud.settle(5)
        assert cloud.ready().true


@virtual
async def test_never_started_is_stopped_without_an_instance() -> None:
    async with world() as cloud:
        await cloud.apply(runPolicy="Stopped")
        await cloud.settle(5)
        assert cloud.instances() == []
        assert (cloud.ready().status, cloud.ready().reason) == ("True", "Stopped")
        await cloud.apply()
        await cloud.settle(5)
        assert cloud.ready().reason == "Running"


@virtual
async def test_pool_that_is_full_or_offline_refuses() -> None:
    async with world(("a",)) as cloud:
        await cloud.put(STORAGE_POOL, "local-a", {"hostName": "a", "path": "local", "schedulable": False})
        await cloud.apply()
        await cloud.settle(1)
        assert "a: PoolSpace: no online pool for volume web-root" in cloud.ready().message
        await cloud.put(STORAGE_POOL, "local-a", {"hostName": "a", "path": "local"})
        await cloud.settle(1)
        await cloud.apply("large", rootDiskSize="200Gi")
        await cloud.settle(1)
        assert "needs 200Gi, its largest pool has 90Gi free" in cloud.ready("large").message


@virtual
async def test_it_goes_where_an_image_is_that_was_made_of_a_disk() -> None:
    async with world(("a", "b", "c")) as cloud:
        await cloud.put(IMAGE, "golden", {"source": {"volume": "data"}}, NS)
        await cloud.apply(image="golden")
        await cloud.settle(5)
        assert cloud.ready().reason == "WaitingForImage" and cloud.instances() == []
        there = {"copies": [{"pool": "local-c", "ready": True}, {"pool": "local-b", "ready": False}]}
        await cloud.admin.apply_status(IMAGE, Key(NS, "golden"), there, resource_version="")
        await cloud.settle(10)
        assert cloud.ready().true and cloud.instance().spec.host_name == "c"
        await cloud.apply("other", image="golden", placement={"host": "b"})
        await cloud.settle(10)
        said = cloud.ready("other")
        assert said.reason == "NoHostFits" and "the image of volume other-root is only on pool local-c" in said.message


@pytest.mark.parametrize("fatal", [True, False], ids=["killed", "unanswered"])
@pytest.mark.parametrize("after", range(1, 9))
def test_cut_off_at_every_write_nothing_is_done_twice(after: int, fatal: bool) -> None:
    """Compute dies (or loses its connection) after each of its writes of a life in turn."""

    @virtual
    async def life() -> None:
        async with world(("a", "b", "c")) as cloud:
            await cloud.kill("compute")
            cloud.start_compute(after, fatal=fatal)
            await cloud.apply()
            await cloud.settle(10)
            assert cloud.ready().true
            assert len(cloud.instances()) == 1
            _host, uuid = cloud.sim()
            assert cloud.starts() == {uuid: 1}
            await cloud.apply(runPolicy="Stopped")
            await cloud.settle(10)
            assert cloud.ready().reason == "Stopped"
            await cloud.apply(rebootRequest=4)
            await cloud.settle(10)
            assert cloud.ready().reason == "Running"
            assert cloud.starts() == {uuid: 2}
            await cloud.delete()
            await cloud.settle(10)
            assert cloud.server.read(VIRTUAL_MACHINE, WEB) is None
            assert not any(each.domains for each in cloud.hosts.values())

    life()


@pytest.mark.parametrize("delay", [each / 25 for each in range(1, 16)])
def test_agent_cut_off_anywhere_starts_and_reboots_once(delay: float) -> None:
    """The agent dies at some moment of a start, and at some moment of a reboot; it takes up 0.3 s each."""

    @virtual
    async def life() -> None:
        async with world(("a",)) as cloud:
            await cloud.apply()
            await cloud.settle(delay)
            await cloud.kill("a")
            cloud.start_agent("a")
            await cloud.settle(10)
            _, uuid = cloud.sim()
            assert cloud.ready().true
            assert cloud.starts() == {uuid: 1}
            await cloud.apply(rebootRequest=1)
            await cloud.settle(delay * 2)
            await cloud.kill("a")
            cloud.start_agent("a")
            await cloud.settle(40)
            assert cloud.vm().status.reboot_observed == 1
            assert cloud.ready().true
            assert cloud.starts() == {uuid: 2}
            assert cloud.vm().status.restarts == 0

    life()


@pytest.mark.parametrize("seed", range(2))
def test_chaos_settles(seed: int) -> None:
    """Agents and Compute die at random, hosts boot, starts fail, events are lost, requests fail; then all is well."""

    @virtual
    async def chaos() -> None:
        async with world(("a", "b", "c")) as cloud:
            rng, calm = random.Random(seed), False
            hook = cloud.server.hook

            async def flaky(verb: str, kind: object, key: Key) -> None:
                await hook(verb, kind, key)  # type: ignore[arg-type]
                if not calm and verb in ("apply", "delete", "finalize", "apply_status") and rng.random() < 0.05:
                    raise StoreError("500 flaky")

            for number in range(8):
                await cloud.apply(f"vm{number}")
            cloud.server.hook = flaky
            for host in cloud.hosts.values():
                host.faults = Faults(start_fails=0.2, deaf=0.3, start_crashes=0.1)
            await cloud.kill("rest")
            cloud.parts["rest"] = [asyncio.create_task(_stubborn(cloud._others))]
            for _ in range(16):
                await asyncio.sleep(rng.uniform(0.05, 3))
                name = rng.choice(("a", "b", "c", "compute"))
                if name == "compute":
                    await cloud.kill("compute")
                    cloud.start_compute()
                else:
                    await cloud.kill(name)
                    if rng.random() < 0.3:
                        cloud.hosts[name].reboot()
                    cloud.start_agent(name)
            calm = True
            for host in cloud.hosts.values():
                host.faults = Faults()
            await cloud.settle(900)
            for number in range(8):
                assert cloud.ready(f"vm{number}").true, cloud.ready(f"vm{number}")
            running = [uuid for host in cloud.hosts.values() for uuid, domain in host.domains.items() if domain.active]
            assert sorted(running) == sorted(cloud.vm(f"vm{number}").meta.uid for number in range(8)), "one each"

    chaos()


async def _stubborn(work: object) -> None:
    while True:
        try:
            await work()  # type: ignore[operator]
        except StoreError:
            continue
