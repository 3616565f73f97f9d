"""An image made of a disk, and a root disk made anew, seen from inside the guests; one virtual machine for all of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from dev.target import Target
from tests.support.cluster import Cloud, network, tenant, vm, volume
from tests.support.cluster import manifest as made
from tests.support.guest import address, guest

NOTE = "/data/note"
LEDGER = "/dev/vdb"


@pytest.fixture(scope="module")
def shop(where: Target) -> Iterator[Cloud]:
    """A tenant whose virtual machine `web` has written to its root disk and to a data disk."""
    with tenant(where, f"t-{secrets.token_hex(3)}") as cloud:
        cloud.apply(network(), volume("ledger", "16Mi"), vm("web", volumes=["ledger"]))
        cloud.ready("vm/web", "volume/ledger")
        web = guest(cloud, "web")
        web.wait_booted()
        web.sh(f"echo from web > {NOTE}; sync; printf kept | dd of={LEDGER} conv=fsync 2>/dev/null")
        yield cloud


def test_another_guest_boots_from_an_image_of_a_disk(shop: Cloud) -> None:
    """Made once its guest is off; then another virtual machine has what was written."""
    shop.apply(made("Image", "golden", {"source": {"volume": "web-root"}}))
    said = shop.condition("Image", "golden", "Ready", "False", "StillAttached")
    assert "web" in said["message"]
    shop.switch("web", "Stopped")
    shop.ready("image/golden")
    assert shop.need("Image", "golden")["status"]["checksum"].startswith("sha256:")

    shop.apply(vm("twin", image="golden", nics=[]))
    shop.ready("vm/twin")
    twin = guest(shop, "twin")
    twin.wait_booted()
    assert twin.sh(f"cat {NOTE}; hostname") == "from web\ntwin"
    shop.delete("VirtualMachine", "twin")
    shop.delete("Image", "golden")


def test_a_root_disk_made_anew_is_as_its_image(shop: Cloud) -> None:
    """The root disk is the image's again; name, address and data disks stay."""
    before = address(shop, "web")
    shop.patch("VirtualMachine", "web", {"spec": {"reinstallRequest": 1, "runPolicy": "Running"}})
    shop.wait(
        "VirtualMachine",
        "web",
        "reinstalled",
        lambda body: body is not None and body["status"].get("reinstallObserved") == 1,
    )
    shop.gone("Volume", "web-root")
    shop.ready("vm/web", "volume/web-root1", "volume/ledger")
    web = guest(shop, "web")
    web.wait_booted()
    assert web.sh(f"[ -e {NOTE} ] || echo pristine; head -c 4 {LEDGER}; hostname") == "pristine\nkeptweb"
    assert address(shop, "web") == before
