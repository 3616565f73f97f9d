"""Snapshots of whole virtual machines by kubectl, seen from inside the guest."""

from __future__ import annotations

import pytest

from tests.support.cluster import Cloud, manifest, vm, volume
from tests.support.guest import guest

NOTE = "/data/note"
LEDGER = "cd /sys/block; for disk in vd*; do [ $(cat $disk/size) = 32768 ] && echo /dev/$disk; done"
"""16 MiB in sectors, which no other disk has."""


def test_what_a_guest_wrote_comes_back(cloud: Cloud) -> None:
    """All disks of a running guest at once; brought back while it is off; gone with all that was made for it."""
    cloud.apply(volume("ledger", "16Mi"), vm("web", nics=[], volumes=["ledger"]))
    cloud.ready("vm/web", "volume/ledger")
    web = guest(cloud, "web")
    web.wait_booted()
    ledger = web.sh(LEDGER)
    web.sh(f"echo before > {NOTE}; printf before | dd of={ledger} conv=fsync 2>/dev/null")

    cloud.apply(manifest("VirtualMachineSnapshot", "monday", {"virtualMachine": "web", "quiesce": "Required"}))
    cloud.ready("vmsnap/monday")
    status = cloud.need("VirtualMachineSnapshot", "monday")["status"]
    assert status["quiesced"] and status["running"] and status["current"]
    assert [part["volume"] for part in status["parts"]] == ["web-root", "ledger"]
    web.sh(f"echo after > {NOTE}; printf after. | dd of={ledger} conv=fsync 2>/dev/null; sync")

    cloud.patch("VirtualMachineSnapshot", "monday", {"spec": {"revertRequest": 1}})
    said = cloud.condition("VirtualMachineSnapshot", "monday", "Reverted", "False", "StillAttached")
    assert "stop VirtualMachine web first" in said["message"]
    cloud.switch("web", "Stopped")
    cloud.condition("VirtualMachineSnapshot", "monday", "Reverted", "True")
    cloud.switch("web", "Running")
    web.wait_booted()
    assert web.sh(f"cat {NOTE}; dd if=$({LEDGER}) bs=6 count=1 2>/dev/null") == "before\nbefore"

    row = cloud.kubectl("get", "vmsnap", "monday", "--no-headers").split()
    assert row[:4] == ["monday", "web", "Ready", "true"], row
    cloud.delete("VirtualMachineSnapshot", "monday")
    assert cloud.list("VolumeSnapshot") == [] and cloud.list("DiskSnapshot") == []


@pytest.mark.slow
def test_a_guest_goes_on_from_where_it_was(cloud: Cloud) -> None:
    """With its memory: what was in it alone is there again, and the guest was never booted anew."""
    cloud.apply(vm("web", nics=[]))
    cloud.ready("vm/web")
    web = guest(cloud, "web")
    web.wait_booted()
    web.sh(f"mkdir -p /mem; mount -t tmpfs none /mem; echo before > /mem/note; echo before > {NOTE}")
    boot = web.sh("cat /proc/sys/kernel/random/boot_id")
    cloud.apply(manifest("VirtualMachineSnapshot", "monday", {"virtualMachine": "web", "memory": True}))
    cloud.ready("vmsnap/monday")
    assert cloud.need("VirtualMachineSnapshot", "monday")["status"]["guest"]["cpus"] >= 1
    assert web.sh("cat /mem/note") == "before", "it went on"
    web.sh(f"echo after > /mem/note; echo after > {NOTE}; sync")

    cloud.patch("VirtualMachineSnapshot", "monday", {"spec": {"revertRequest": 1}})
    cloud.condition("VirtualMachineSnapshot", "monday", "Reverted", "True")
    cloud.ready("vm/web")
    assert web.sh(f"cat /mem/note {NOTE} /proc/sys/kernel/random/boot_id") == f"before\nbefore\n{boot}"
    (instance,) = cloud.list("Instance")
    assert "resumeFrom" not in instance["spec"]
    assert "compute.cloudstack.dev/snapshot" not in instance["metadata"].get("annotations", {})
    cloud.delete("VirtualMachineSnapshot", "monday")
    assert cloud.list("VolumeSnapshot") == [] and cloud.list("DiskSnapshot") == []
