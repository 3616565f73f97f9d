"""The first program of a simulated host: sets up its file system and network, then keeps its services alive.

It runs inside the host's namespaces under tini and stands alone (a copy of it lies in the host's folder), so
that a host keeps running when the working copy it was started from is gone. It reads one JSON file and waits
for a line on its standard input, which says that the network interfaces have been plugged in.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SERVICES = Path("/run/services")


def mount(*words: str) -> None:
    """Run the program mount, which must succeed."""
    subprocess.run(["mount", *words], check=True)


def file_system(spec: dict[str, Any]) -> None:
    """Lay the host's own folders over the machine's, in this mount namespace only."""
    mount("--make-rprivate", "/")
    # Copies of the machine's named network namespaces would keep those alive after `ip netns del`.
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - nsfs " in line:
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
    # A sysfs of this network namespace, keeping the machine's cgroup hierarchies, which a fresh one lacks.
    keep = Path(spec["scratch"]) / "cgroup"
    keep.mkdir(parents=True, exist_ok=True)
    mount("--rbind", "/sys/fs/cgroup", str(keep))
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("--rbind", str(keep), "/sys/fs/cgroup")
    subprocess.run(["umount", "-l", str(keep)], check=True)
    for target, source in spec["binds"]:
        Path(target).mkdir(parents=True, exist_ok=True)
        mount("--bind", source, target)
    for folder in ("/run/lock", "/run/netns", "/run/libvirt", str(SERVICES)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    # `ip netns` binds namespaces in here; it wants a mount point, and pods want it shared.
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run/netns")
    for path, text in spec["files"]:
        own = Path(spec["scratch"]) / path.strip("/").replace("/", "_")
        own.write_text(text)
        mount("--bind", str(own), path)
    # What pods mount by hostPath with propagation has to lie on a shared mount.
    mount("--make-rshared", "/")


def network(spec: dict[str, Any]) -> None:
    """Configure the interfaces that were plugged in, and the bridge to the public network."""
    for command in spec["network"]:
        subprocess.run(command, check=True)
    for key, value in spec["sysctls"].items():
        path = Path("/proc/sys", key.replace(".", "/"))
        if path.exists():
            path.write_text(value)


def keep_alive(service: dict[str, Any]) -> None:
    """Run one service for ever, starting it again whenever it ends, except while `<name>.stopped` exists."""
    name = service["name"]
    stopped = SERVICES / f"{name}.stopped"
    while True:
        while stopped.exists():
            time.sleep(0.05)
        with Path(service["log"]).open("ab") as log:
            child = subprocess.Popen(
                service["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **service["env"]},
                cwd="/",
                start_new_session=True,
            )
        scratch = SERVICES / f".{name}.pid"
        scratch.write_text(str(child.pid))
        scratch.rename(SERVICES / f"{name}.pid")
        began = time.monotonic()
        code = child.wait()
        print(f"{name} ended with {code} after {time.monotonic() - began:.1f} s", flush=True)
        (SERVICES / f"{name}.pid").unlink(missing_ok=True)
        if time.monotonic() - began < 1.0:
            time.sleep(0.5)  # a service that cannot start must not eat the machine


def main() -> None:
    """Boot the host described by the file named on the command line."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    if not sys.stdin.readline():
        sys.exit("the tool that was starting this host is gone")
    socket.sethostname(spec["name"])
    file_system(spec)
    network(spec)
    for service in spec["services"]:
        threading.Thread(target=keep_alive, args=(service,), daemon=True, name=service["name"]).start()
    (SERVICES / "booted").write_text("")
    signal.pause()  # SIGTERM ends this program, hence tini, hence everything on the host


if __name__ == "__main__":
    main()
