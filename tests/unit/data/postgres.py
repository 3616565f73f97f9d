"""A PostgreSQL server of the test run's own, from Debian's packages, on a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
NOBODY = "nobody"
"""PostgreSQL refuses to run as root."""


class Server:
    """One server, which may be stopped and started again with what it has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"postgresql://cloud@/postgres?host={folder}"
        self._run("initdb", "-U", "cloud", "-A", "trust", "--no-sync", "-D", str(folder / "data"))
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._run(
            "pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-w", "-l", str(self.folder / "log"), "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *words: str) -> None:
        user = NOBODY if os.getuid() == 0 else None
        subprocess.run(
            [str(PROGRAMS[-1] / program), *words], check=True, stdout=subprocess.DEVNULL, user=user, cwd=self.folder
        )


@contextmanager
def running() -> Iterator[Server]:
    """A server with an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
    if os.getuid() == 0:
        who = pwd.getpwnam(NOBODY)
        os.chown(folder, who.pw_uid, who.pw_gid)
    server = Server(folder)
    try:
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder)
