"""NICs that come to a running guest and go from it, as the guest itself sees them."""

from operators.contract import names
from operators.contract.instances import InstanceNic
from operators.contract.meta import Key, condition
from tests.host.hypervisor.conftest import NODE, World
from tests.host.hypervisor.test_hotplug import inside

SEES = "cd /sys/class/net; for each in eth*; do [ -e $each ] && cat $each/address; done; true"


async def nic(world: World, number: int) -> InstanceNic:
    await world.binding("vm1", number)
    port = names.port("vm1", f"nic{number}")
    return InstanceNic(port, names.port_binding(port, NODE))


def has(world: World, key: Key) -> list[str]:
    return [each.port for each in world.status(key).nics]


def reason(world: World, key: Key) -> str:
    realised = condition(world.status(key).conditions, "Realised")
    return realised.reason if realised else ""


async def test_a_nic_comes_to_a_running_guest_and_goes_whoever_is_killed(world: World, network: str) -> None:
    key = await world.instance(nics=1)
    await world.booted(key)
    first = world.read(key).spec.nics  # type: ignore[union-attr]
    assert has(world, key) == ["vm1-nic0"]
    process = world.qemu(key)
    second = await nic(world, 1)
    await world.change(key, nics=(*first, second))
    await world.until(lambda: has(world, key) == ["vm1-nic0", "vm1-nic1"])
    macs = [each.mac for each in world.status(key).nics]
    await inside(world, key, "until [ -e /sys/class/net/eth1 ]; do sleep 0.1; done")
    assert (await inside(world, key, SEES)).split() == macs
    taps = {each.device for each in world.status(key).nics}
    assert taps == {line.split()[0] for line in world.host.exec(
        ["ip", "-br", "link", "show", "master", network]).stdout.splitlines()}  # fmt: skip
    before = world.writes(key)
    await world.kill_agent()
    await world.change(key, nics=(second,))
    await world.start_agent()
    await world.until(lambda: has(world, key) == ["vm1-nic1"])
    await inside(world, key, "while [ -e /sys/class/net/eth0 ]; do sleep 0.1; done")
    assert (await inside(world, key, SEES)).split() == macs[1:]
    assert world.holds(key, "Realised") and world.qemu(key) == process
    assert world.writes(key) > before
    await world.change(key, nics=())
    await world.until(lambda: has(world, key) == [])
    assert await inside(world, key, SEES) == ""
    assert world.host.exec(["ip", "-br", "link", "show", "master", network]).stdout == ""
    third = await nic(world, 2)
    await world.change(key, nics=(third,), reboot_request=1)
    await world.until(lambda: world.status(key).reboot_observed == 1)
    await world.booted(key)
    await world.until(lambda: has(world, key) == ["vm1-nic2"])


async def test_a_guest_that_does_not_let_go_is_said_to_and_the_nic_stays_its_own(world: World, network: str) -> None:
    key = await world.instance(nics=2)
    await world.running(key)
    # Before its kernel has come up nobody there hears that a device is to go; a guest that stands still never does.
    domain = world.virsh("list", "--name")
    world.virsh("qemu-monitor-command", domain, "--hmp", "stop")
    first, _ = world.read(key).spec.nics  # type: ignore[union-attr]
    await world.change(key, nics=(first,))
    await world.until(lambda: reason(world, key) in ("DetachRefused", "HypervisorError"))
    assert has(world, key) == ["vm1-nic0", "vm1-nic1"]
    world.virsh("resume", domain, check=False)
    world.virsh("qemu-monitor-command", domain, "--hmp", "cont", check=False)
    await world.until(lambda: has(world, key) == ["vm1-nic0"])
