"""An S3 service for tests: moto's server, a simulator of S3 that many projects test against, in a process of its own.

It is no dependency of ours (its own clash with those of the Kubernetes client), so it lives in a virtual environment
beside the other things that tests build and keep.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

MOTO = "moto[server,s3]==5.2.5"


def _server() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "cloudstack-dev", "moto-5.2.5")
    server = cache / "bin" / "moto_server"
    if not server.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True, timeout=120)
        done = subprocess.run(
            [cache / "bin" / "pip", "install", "-q", MOTO], capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            pytest.skip(f"{MOTO} cannot be installed here: {done.stderr.strip()[-200:]}")
    return server


@contextlib.contextmanager
def s3(port: int, log: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """A running service; its address."""
    address = f"http://{host}:{port}"
    with log.open("wb") as out:
        process = subprocess.Popen([_server(), "-H", host, "-p", str(port)], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/moto-api/", timeout=2).close()
                break
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


def make_bucket(address: str, name: str) -> None:
    """A new bucket."""
    request = urllib.request.Request(
        f"{address}/{name}",
        method="PUT",
        headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request"},
    )
    urllib.request.urlopen(request, timeout=10).close()
