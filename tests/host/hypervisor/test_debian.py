"""A guest that knows nothing of this project: Debian with its own cloud-init, which reads the NoCloud disk.

Slow: under emulation it boots for minutes, and its image is built once. `make faults` runs it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from images.debian.build import build
from operators.contract.compute import Power
from tests.host.hypervisor.conftest import World

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHCDwkkzFGdVZiiJpnVKmR+CYkE9LMNfa8wKbzL0Q0Vd me@example"
USER_DATA = """#cloud-config
write_files:
  - {path: /etc/written, content: by cloud-init}
runcmd:
  - [sh, -c, "sed 's/^/AUTHORIZED /' /home/debian/.ssh/authorized_keys >/dev/ttyS0"]
  - [sh, -c, "echo GUEST host=$(hostname) written=$(cat /etc/written) source=$(cloud-id) >/dev/ttyS0"]
"""
PATIENCE = 1800.0
"""Seconds in which it boots, however busy the machine: 65 to 95 alone on two cores."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_cloud_init_takes_hostname_key_and_user_data(world: World) -> None:
    image = build()
    key = await world.instance(ready=False, user_data=USER_DATA, memory=512)
    instance = world.read(key)
    assert instance
    assert instance.spec.cloud_init
    await world.change(key, cloud_init=replace(instance.spec.cloud_init, hostname="first-debian", ssh_keys=(KEY,)))
    await world.disk(instance.spec.virtual_machine.name, image, "2G")
    await world.running(key)
    log = Path(world.settings.console_dir, f"{world.uuid(key)}.log")

    def said(what: str) -> re.Match[str] | None:
        return re.search(what, log.read_text(errors="replace")) if log.exists() else None

    await world.until(lambda: said(r"GUEST .*"), PATIENCE)
    assert said("GUEST host=first-debian written=by cloud-init source=nocloud")
    assert said(re.escape(f"AUTHORIZED {KEY}"))
    # Debian's guest agent is the one we ask, and its power button the one we press.
    await world.until(lambda: (guest := world.status(key).guest) is not None and "Debian" in guest.os, PATIENCE)
    await world.change(key, power=Power.STOPPED)
    await world.until(lambda: world.status(key).power == Power.STOPPED, PATIENCE)
    await world.delete(key)
