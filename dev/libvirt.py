"""libvirtd's part of a host: its configuration, its service, and what to ask it to know that it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from dev.paths import cache_dir, write

LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_rw = "none"
unix_sock_dir = "/run/libvirt"
unix_sock_rw_perms = "0770"
host_uuid = "{uuid}"
max_clients = 500
max_anonymous_clients = 100
log_level = 3
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""

# No security driver, ownership or private /dev: the agents decide who owns a disk. No virtlogd runs, hence
# "file". No cgroups: the hosts share one cgroup tree, in which their guests' names would collide.
QEMU_CONF = """\
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
migration_address = "{address}"
vnc_listen = "0.0.0.0"
"""


def host_uuid(address: str) -> str:
    """Return the host's UUID; two hosts with the same one refuse to migrate to each other.

    It is made of the underlay address, which no other running host of this machine has.
    """
    digits = "".join(f"{int(part):03d}" for part in address.split("."))
    return f"00000000-0000-4000-a000-{digits}"


def configure(etc: Path, address: str) -> None:
    """Write libvirtd's configuration for the host of that underlay address."""
    write(etc / "libvirtd.conf", LIBVIRTD_CONF.format(address=address, uuid=host_uuid(address)))
    write(etc / "qemu.conf", QEMU_CONF.format(address=address))
    (etc / "qemu" / "networks").mkdir(parents=True, exist_ok=True)


def accounts() -> dict[str, str]:
    """Return `/etc/passwd` and `/etc/group` with the account that libvirtd looks up even when it never uses it.

    Debian creates it in libvirt-daemon-system, which the tool does not install; the hosts get copies of the
    machine's files with the account added, so that the machine itself stays as it is.
    """
    lines = {
        "/etc/passwd": "libvirt-qemu:x:64055:64055:Libvirt QEMU:/var/lib/libvirt:/usr/sbin/nologin\n",
        "/etc/group": "libvirt-qemu:x:64055:\n",
    }
    texts = {path: Path(path).read_text() for path in lines}
    return {path: text if "\nlibvirt-qemu:" in text else text + lines[path] for path, text in texts.items()}


def _known() -> Path:
    return cache_dir() / "libvirt-capabilities"


def warm(cache: Path) -> None:
    """Give a new host what an earlier one learned about QEMU in 1.4 s; libvirtd checks that it still holds."""
    target = cache / "qemu" / "capabilities"
    if _known().is_dir() and not target.exists():
        shutil.copytree(_known(), target)


def remember(cache: Path) -> None:
    """Keep what this host learned about QEMU for hosts that come later."""
    source = cache / "qemu" / "capabilities"
    if not _known().exists() and source.is_dir() and any(source.iterdir()):
        _known().parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, _known(), dirs_exist_ok=True)
