"""A stand-in for the image python:3.12-slim-bookworm, for machines that reach a package mirror but no image registry.

Debian's smallest system by mmdebstrap, from this machine's own package sources, with this machine's CPython on
top (where one was built under pyenv) or else Debian's. It trusts whom this machine trusts and has its pip
settings, so that `RUN pip install` and `RUN apt-get install` work in a Dockerfile built on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from dev.console import DevError, run, say
from dev.packages import program
from dev.paths import cache_dir, finished_folder

RECIPE = 1  # raise it when what is built here changes
SUITE = "bookworm"
COMMON = ("ca-certificates", "netbase", "tzdata")
# What a CPython built on this machine links to.
LIBRARIES = (
    "libssl3",
    "libffi8",
    "libsqlite3-0",
    "libbz2-1.0",
    "liblzma5",
    "zlib1g",
    "libreadline8",
    "libuuid1",
    "libexpat1",
    "libncursesw6",
)
DEBIAN_PYTHON = ("python3", "python3-pip", "python3-venv", "python3-dev")
_PYENV = re.compile(r"^3\.12\.(\d+)$")


def cpython() -> Path | None:
    """Return the prefix of the newest CPython 3.12 under pyenv that has a shared library, or None."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [(int(match.group(1)), path) for path in root.glob("3.12.*") if (match := _PYENV.match(path.name))]
    for _, path in sorted(found, reverse=True):
        if (path / "bin/python3.12").is_file():
            return path
    return None


def key(prefix: Path | None) -> str:
    """Return the name under which this base is cached: it changes with the recipe and the CPython."""
    what = json.dumps([RECIPE, SUITE, COMMON, LIBRARIES, DEBIAN_PYTHON, prefix.name if prefix else "debian"])
    return f"{SUITE}-{prefix.name if prefix else 'debian'}-{hashlib.sha256(what.encode()).hexdigest()[:10]}"


def sources() -> str:
    """Return this machine's own package sources for Debian itself, in one of apt's two formats."""
    for path in (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources")):
        if path.is_file() and SUITE in path.read_text():
            return str(path)
    raise DevError(f"no package sources for Debian {SUITE} in /etc/apt: the base image is made from them")


def archive() -> Path:
    """Return the base's file system as a tar file, making it on first use."""
    prefix = cpython()
    folder = cache_dir() / "base" / key(prefix)
    if not folder.is_dir():
        python = f"CPython {prefix.name}" if prefix else "its own CPython"
        say(f"making the base image (once): Debian {SUITE} with {python}")
        with finished_folder(folder) as scratch:
            root = scratch / "rootfs"
            _debian(root, LIBRARIES if prefix else DEBIAN_PYTHON)
            _python(root, prefix)
            _settings(root)
            run(["tar", "-C", root, "--numeric-owner", "-cf", scratch / "rootfs.tar", "."], timeout=300)
            shutil.rmtree(root)
    return folder / "rootfs.tar"


def _debian(root: Path, extra: tuple[str, ...]) -> None:
    options = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]
    include = f"--include={','.join((*COMMON, *extra))}"
    argv: list[str | Path] = [
        program("mmdebstrap"),
        "--mode=root",
        "--variant=minbase",
        include,
        *options,
        SUITE,
        root,
        sources(),
    ]
    run(argv, timeout=900)


def _python(root: Path, prefix: Path | None) -> None:
    if prefix is None:
        for marker in root.glob("usr/lib/python3.*/EXTERNALLY-MANAGED"):
            marker.unlink()
        return
    local = root / "usr/local"
    excluded = ("*/test", "*/tests", "*/idlelib", "__pycache__", "*/config-3.12-*", "*/site-packages/*")
    names = ["bin/python3.12", "lib/python3.12", "include/python3.12"]
    names += [str(path.relative_to(prefix)) for path in (prefix / "lib").glob("libpython3*.so*")]
    copy = ["tar", "-C", str(prefix), *(f"--exclude={pattern}" for pattern in excluded), "-cf", "-", *names]
    with subprocess.Popen(copy, stdout=subprocess.PIPE) as tar:
        if subprocess.run(["tar", "-C", str(local), "-xf", "-"], stdin=tar.stdout, check=False).returncode:
            raise DevError(f"CPython could not be copied from {prefix}")
    for link, target in (("python3", "python3.12"), ("python", "python3")):
        (local / "bin" / link).unlink(missing_ok=True)
        (local / "bin" / link).symlink_to(target)
    run(["chroot", root, "ldconfig"])
    run(["chroot", root, "/usr/local/bin/python3", "-m", "ensurepip"])
    (local / "bin/pip").symlink_to("pip3")


def _settings(root: Path) -> None:
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    if Path("/etc/pip.conf").is_file():
        shutil.copy("/etc/pip.conf", root / "etc/pip.conf")
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    for folder in ("var/lib/apt/lists", "var/cache"):
        shutil.rmtree(root / folder)
    for folder in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (root / folder).mkdir(parents=True)
