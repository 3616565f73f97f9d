"""Debian packages as inputs: named, fixed by their checksum, downloaded and unpacked, never installed."""

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_APT = ("apt-get", "-q", "-o", "APT::Sandbox::User=root")


class BuildError(Exception):
    """The image cannot be built; the message says what to do about it."""


@dataclass(frozen=True)
class Package:
    """One package file as apt would download it now; `sha256` in hex."""

    name: str
    file: str
    sha256: str


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return its standard output; raise BuildError with its errors when it fails."""
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is missing: this tool needs Debian's apt and dpkg") from error
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))} failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def install(missing: Iterable[str]) -> None:
    """Install build tools with apt, without questions, recommendations or service starts."""
    packages = sorted(set(missing))
    if not packages:
        return
    if os.geteuid():
        raise BuildError(f"install the build tools first: apt-get install {' '.join(packages)}")
    command = (*_APT, "install", "-y", "--no-install-recommends", *packages)
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        run(*command, env=quiet)
    except BuildError:
        run(*_APT, "update")
        run(*command, env=quiet)


def resolve(names: Iterable[str]) -> list[Package]:
    """Ask apt for the current candidate of each package, sorted by name.

    `linux-image-cloud-amd64` is followed to the kernel it depends on.
    """
    try:
        return _resolve(names)
    except BuildError:
        if os.geteuid():
            raise
        run(*_APT, "update")
        return _resolve(names)


def _resolve(names: Iterable[str]) -> list[Package]:
    wanted = sorted(_kernel(name) if name.startswith("linux-image-") else name for name in names)
    with tempfile.TemporaryDirectory() as empty:  # apt leaves out what the current directory already holds
        lines = run(*_APT, "download", "--print-uris", *wanted, cwd=Path(empty)).splitlines()
    found = [match for line in lines if (match := re.match(r"'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})", line))]
    packages = [Package(match[1].partition("_")[0], match[1], match[2]) for match in found]
    if sorted(package.name for package in packages) != wanted:
        raise BuildError(f"apt did not name a checksummed file for each of {' '.join(wanted)}")
    return sorted(packages, key=lambda package: package.name)


def _kernel(name: str) -> str:
    shown = run("apt-cache", "show", "--no-all-versions", name)
    match = re.search(r"^Depends:.*?(linux-image-\d\S*?)[\s,]", shown + "\n", re.MULTILINE)
    if not match:
        raise BuildError(f"{name} names no kernel package: is this Debian's archive?")
    return match[1]


def fetch(packages: Iterable[Package], cache: Path) -> list[Path]:
    """Return the files of the packages, downloaded into `cache` where it lacks them, checksums verified."""
    cache.mkdir(parents=True, exist_ok=True)
    files = []
    for package in packages:
        file = cache / f"{package.sha256[:16]}_{package.name}.deb"
        if not file.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                run(*_APT, "download", package.name, cwd=Path(folder))
                (fresh,) = Path(folder).glob("*.deb")
                if hashlib.sha256(fresh.read_bytes()).hexdigest() != package.sha256:
                    raise BuildError(f"{package.file} changed during the build: run it again")
                fresh.replace(file)
        files.append(file)
    return files


def unpack(files: Iterable[Path], folder: Path) -> None:
    """Extract package files into one folder, without running any of their scripts."""
    for file in files:
        run("dpkg-deb", "-x", file, folder)
