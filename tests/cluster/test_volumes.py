"""Volumes as a user has them, seen from inside one guest: snapshots, backups, urls, growth, moves, what stays and what is taken over."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.guest import PYTHON, in_agent
from dev.lan import Lan
from dev.layout import Layout
from dev.target import SYSTEM, Target
from operators.contract import names
from operators.storage.schedules.plan import label
from tests.support.cluster import PATIENCE, Body, Cloud, manifest, tenant, vm, volume
from tests.support.guest import boot_id, guest
from tests.support.s3 import make_bucket, s3

MIB = 1 << 20
POOLS = "/var/lib/cloudstack/pools"
FIND = """
until [ "$found" ]; do
    for disk in /sys/block/vd*; do [ $(cat $disk/size) = {sectors} ] && found=/dev/${{disk##*/}}; done
    [ "$found" ] || usleep 200000
done
echo $found"""
FOLDER = "import os, sys; os.makedirs(sys.argv[1], exist_ok=True)"
CLEAR = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"
TO_ADOPT = """
import os, sys
pool, file = sys.argv[1:]
os.makedirs(pool + "/adopt", exist_ok=True)
os.rename(pool + "/" + file, pool + "/adopt/found.qcow2")
"""
KEYS = "image-store-keys"
S3_STORE = "attic-s3"
"""The store whose keys `dev/values.yaml` has mounted."""


@dataclass(frozen=True)
class Shop:
    """A tenant with one running guest, `web`, and a second pool on that guest's host."""

    cloud: Cloud
    pool: str
    host: str

    @property
    def folder(self) -> str:
        """Of the second pool."""
        return f"{POOLS}/{self.pool}"

    def on_host(self, script: str, *words: str) -> str:
        """What whoever runs the hosts would do on one."""
        return in_agent(self.cloud.where, self.host, "storage", [PYTHON, "-", *words], input=script)

    def sh(self, script: str) -> str:
        """Run a script in the guest."""
        return guest(self.cloud, "web").sh(script, timeout=PATIENCE)

    def disk(self, mib: int) -> str:
        """The guest's disk of that size, once it is there; no two here have the same."""
        return self.sh(FIND.format(sectors=mib * MIB // 512))

    def give(self, *volumes: str) -> None:
        """Have the guest have these Volumes."""
        self.cloud.patch("VirtualMachine", "web", {"spec": {"volumes": list(volumes)}})

    def write(self, mib: int, text: str) -> None:
        """Write to the beginning of a disk."""
        self.sh(f"printf {text} | dd of={self.disk(mib)} conv=notrunc,fsync 2>/dev/null")

    def read(self, mib: int) -> str:
        """What a disk begins with, past any cache of the guest's."""
        return self.sh(f"echo 3 > /proc/sys/vm/drop_caches; head -c 4 {self.disk(mib)}")


@pytest.fixture(scope="module")
def shop(where: Target) -> Iterator[Shop]:
    """The guest has the Volume `ledger` of 16 MiB, on which is written `once`."""
    name = f"t-{secrets.token_hex(3)}"
    with tenant(where, name) as cloud:
        cloud.apply(volume("ledger", "16Mi"), vm("web", nics=[], volumes=["ledger"]))
        cloud.ready("vm/web", "volume/ledger")
        guest(cloud, "web").wait_booted()
        # A name before that of the host's own pool, which so goes first where nobody asks.
        shop = Shop(cloud, f"attic-{name}", guest(cloud, "web").host)
        cloud.create(manifest("StoragePool", shop.pool, {"path": shop.folder, "hostName": shop.host}))
        cloud.condition("StoragePool", shop.pool, "Ready", "True")
        shop.write(16, "once")
        yield shop
    shop.on_host(CLEAR, shop.folder)


@contextlib.contextmanager
def backup(shop: Shop, name: str, store: Body) -> Iterator[None]:
    """A backup of the snapshot `monday` in a store, while the block runs."""
    shop.cloud.create(store)
    shop.cloud.apply(manifest("VolumeBackup", name, {"snapshot": "monday", "imageStore": store["metadata"]["name"]}))
    try:
        shop.cloud.ready(f"volumebackup/{name}")
        yield
    finally:
        shop.cloud.delete("VolumeBackup", name)


@pytest.fixture(scope="module")
def monday(shop: Shop) -> Shop:
    """With a snapshot of `ledger`, taken while its guest ran; since then it holds `more`."""
    shop.cloud.apply(manifest("VolumeSnapshot", "monday", {"volume": "ledger", "quiesce": "Required"}))
    shop.cloud.ready("volumesnapshot/monday")
    status = shop.cloud.need("VolumeSnapshot", "monday")["status"]
    assert status["quiesced"] and status["running"], status
    shop.write(16, "more")
    return shop


def test_a_snapshot_of_a_running_guests_disk_comes_back_as_another_volume(monday: Shop) -> None:
    monday.cloud.apply(volume("restored", "17Mi", source={"snapshot": "monday"}))
    monday.give("ledger", "restored")
    assert (monday.read(17), monday.read(16)) == ("once", "more")


def test_a_disk_that_a_guest_runs_on_is_copied(monday: Shop) -> None:
    """By a snapshot that comes and goes by itself."""
    monday.cloud.apply(volume("twin", "23Mi", source={"volume": "ledger"}))
    monday.cloud.ready("volume/twin")
    monday.give("ledger", "twin")
    assert monday.read(23) == "more"
    monday.cloud.gone("VolumeSnapshot", names.source_snapshot("twin"))


def test_a_backup_in_a_folder_comes_back_on_another_pool(monday: Shop) -> None:
    cloud, folder = monday.cloud, f"{monday.folder}-store"
    monday.on_host(FOLDER, folder)
    with backup(monday, "offsite", manifest("ImageStore", f"{monday.pool}-store", {"path": folder})):
        cloud.apply(volume("again", "18Mi", source={"backup": "offsite"}, pool=monday.pool))
        monday.give("ledger", "again")
        assert monday.read(18) == "once"
        assert cloud.need("Volume", "again")["status"]["pool"] == monday.pool
    monday.on_host(CLEAR, folder)


@pytest.mark.slow
def test_a_backup_in_an_s3_service_comes_back(monday: Shop, local: Layout) -> None:
    """Slow: the kubelet brings new keys to the agents within a minute or two."""
    cloud, keys = monday.cloud, ("-n", SYSTEM, "secret", KEYS)
    create = ("create", "generic", KEYS, "--from-literal=access-key=someone", "--from-literal=secret-key=something")
    cloud.where.kubectl(*keys[:2], create[0], keys[2], *create[1:])
    try:
        with tempfile.TemporaryDirectory() as folder, s3(5055, Path(folder, "log"), Lan().gateway) as address:
            make_bucket(address, monday.pool)
            spec = {"type": "S3", "endpoint": address, "bucket": monday.pool}
            with backup(monday, "far", manifest("ImageStore", S3_STORE, spec)):
                cloud.apply(volume("from-far", "19Mi", source={"backup": "far"}, pool=monday.pool))
                monday.give("ledger", "from-far")
                assert monday.read(19) == "once"
    finally:
        cloud.where.kubectl(*keys[:2], "delete", *keys[2:])


def test_a_disk_grows_and_moves_under_its_guest(shop: Shop) -> None:
    cloud, boot = shop.cloud, boot_id(shop.cloud, "web")
    shop.give("ledger")
    shop.write(16, "runs")
    cloud.patch("Volume", "ledger", {"spec": {"size": "32Mi", "pool": shop.pool}})
    cloud.wait("Volume", "ledger", "moved", lambda body: body is not None and body["status"].get("pool") == shop.pool)
    cloud.ready("volume/ledger", "vm/web")
    assert shop.read(32) == "runs"
    assert boot_id(cloud, "web") == boot
    # It goes back, so that the rest finds it where it was.
    cloud.patch("Volume", "ledger", {"spec": {"pool": f"local-{shop.host}"}})
    cloud.wait("Volume", "ledger", "back", lambda body: body is not None and body["status"].get("pool") != shop.pool)
    cloud.ready("volume/ledger")


def test_a_volume_from_a_url(shop: Shop) -> None:
    tiny = shop.cloud.where.kubectl(
        "-n", "cloudstack-catalog", "get", "images.storage.cloudstack.dev", "tiny", "-o", "jsonpath={.spec.url} {.spec.checksum}"
    )  # fmt: skip
    url, checksum = tiny.split()
    shop.cloud.apply(volume("fetched", "65Mi", source={"url": url, "checksum": checksum}))
    shop.give("ledger", "fetched")
    assert shop.sh(f"od -An -tx1 -j510 -N2 {shop.disk(65)}").split() == ["55", "aa"], "a boot record"
    shop.give("ledger")


def test_what_is_retained_can_be_taken_over(shop: Shop) -> None:
    """Of two Volumes the file of one goes with it; the other's stays, and becomes a Volume again."""
    cloud = shop.cloud
    cloud.apply(volume("kept", "20Mi", reclaimPolicy="Retain", pool=shop.pool), volume("lost", "21Mi", pool=shop.pool))
    shop.give("ledger", "kept", "lost")
    shop.write(20, "kept")
    shop.disk(21)
    paths = [
        cloud.need("Disk", cloud.need("Volume", name)["status"]["disk"])["spec"]["path"] for name in ("kept", "lost")
    ]
    shop.give("ledger")
    cloud.delete("Volume", "kept", "lost")
    there = shop.on_host("import os, sys; print(*os.listdir(sys.argv[1]))", f"{shop.folder}/volumes").split()
    assert [f"volumes/{file}" for file in there if f"volumes/{file}" in paths] == [paths[0]]

    shop.on_host(TO_ADOPT, shop.folder, paths[0])
    cloud.apply(volume("found", "22Mi", source={"file": "found.qcow2"}, pool=shop.pool))
    shop.give("ledger", "found")
    assert shop.read(22) == "kept"
    shop.give("ledger")
    cloud.delete("Volume", "found")


@pytest.mark.slow
def test_a_schedule_keeps_as_many_as_it_says(shop: Shop) -> None:
    """Slow: two moments have to come, each on its minute."""
    cloud, taken = shop.cloud, []
    for _ in range(2):
        moment = (datetime.now(UTC) + timedelta(seconds=100)).replace(second=0, microsecond=0)
        hourly = {"minute": moment.minute, "keep": 1}
        cloud.apply(manifest("SnapshotSchedule", "often", {"volume": "ledger", "hourly": hourly}))
        taken.append(names.scheduled_snapshot("often", "hourly", label(moment)))
        cloud.condition("VolumeSnapshot", taken[-1], "Ready", "True")
    cloud.gone("VolumeSnapshot", taken[0])
    assert cloud.get("VolumeSnapshot", taken[1]) is not None
    cloud.delete("SnapshotSchedule", "often")
    cloud.delete("VolumeSnapshot", taken[1])
