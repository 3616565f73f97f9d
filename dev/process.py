"""Daemons that outlive the tool, found again by a later run of it.

A number alone does not identify a process, because the kernel reuses it; together with the time at which
the process started it does. Both are kept in a small file per daemon.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.console import DevError
from dev.paths import write


def started_at(pid: int) -> int | None:
    """Return the kernel's start time of a process in clock ticks, or None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the name, may itself hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def outer_pid(first: int, inner: str) -> int | None:
    """Find the process that the PID namespace of `first` calls `inner`."""
    try:
        namespace = os.readlink(f"/proc/{first}/ns/pid")
    except OSError:
        return None
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") != namespace:
                continue
            status = Path("/proc", entry, "status").read_text()
        except OSError:
            continue
        numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        if numbers[-1] == inner and "\nState:\tZ" not in status:
            return int(entry)
    return None


# Daemons that this very process started: a child stays as a zombie until its parent has waited for it.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Daemon:
    """A process by the file that remembers it."""

    name: str
    file: Path

    def adopt(self, child: subprocess.Popen[bytes]) -> None:
        """Write down that this is the process."""
        _children[child.pid] = child
        write(self.file, f"{child.pid} {started_at(child.pid)}\n")

    @property
    def pid(self) -> int | None:
        """Return the process id if that very process still runs."""
        try:
            pid, ticks = (int(word) for word in self.file.read_text().split())
        except (OSError, ValueError):
            return None
        return pid if started_at(pid) == ticks else None

    def start(self, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> int:
        """Start the program in a session of its own, its output going to `log`, and remember it."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(env or {})},
                cwd="/",
            )
        self.adopt(child)
        return child.pid

    def stop(self, grace: float = 5.0) -> None:
        """End the process: politely first, and by force after `grace` seconds."""
        pid = self.pid
        if pid is not None:
            for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    break
                if self.gone(patience):
                    break
            else:
                raise DevError(f"{self.name} (process {pid}) does not end, even when killed")
        self.file.unlink(missing_ok=True)

    def gone(self, timeout: float) -> bool:
        """Wait until the process has ended; False when it still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (pid := self.pid) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
            del _children[pid]
        return True
