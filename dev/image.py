"""Builds the project's image from the repository's Dockerfile, without a daemon, and loads images into the nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev import base
from dev.console import DevError, run, say
from dev.layout import PROJECT_IMAGE
from dev.load import load_everywhere
from dev.node import Node
from dev.packages import ensure_packages, program
from dev.paths import REPO, cache_dir


def buildah(*words: str | Path, check: bool = True, timeout: float = 1800) -> str:
    """Run buildah on the tool's own store, so that nothing else on the machine is touched; return what it printed."""
    store = cache_dir() / "buildah"
    scratch = store / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    where: list[str | Path] = ["--root", store / "images", "--runroot", store / "run", "--storage-driver", "overlay"]
    argv = [program("buildah"), *where, *words]
    return run(argv, check=check, timeout=timeout, env={"TMPDIR": str(scratch)}).stdout.strip()


def stored_id(reference: str) -> str:
    """Return the identity of an image in the store, or nothing if it is not there."""
    return buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", reference, check=False)


def base_image() -> str:
    """Return the reference of the base image in the store, importing it on first use."""
    archive = base.archive()
    reference = f"localhost/cloudstack-base:{archive.parent.name}"
    if not stored_id(reference):
        say("importing the base image")
        container = buildah("from", "scratch")
        try:
            buildah("add", "-q", container, archive, "/")
            path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
            buildah("config", "--env", path, "--env", "LANG=C.UTF-8", "--cmd", "python3", container)
            buildah("commit", "-q", container, reference)
        finally:
            buildah("rm", container, check=False)
    return reference


def build(references: Sequence[str], *, dockerfile: Path = REPO / "Dockerfile", context: Path = REPO) -> None:
    """Build a Dockerfile, that of the repository's root by default, as `references` (default: the project's image)."""
    ensure_packages()
    if not dockerfile.is_file():
        raise DevError(f"{dockerfile} is not there, so there is nothing to build")
    names = list(references) or [PROJECT_IMAGE]
    base_reference = base_image()
    say(f"building {names[0]}")
    tags = [word for name in names for word in ("-t", name)]
    # Steps run chrooted: containers proper need privileges that a development machine may not give.
    options = ["--isolation", "chroot", "--layers", "--pull-never", "--build-arg", f"BASE={base_reference}"]
    buildah("bud", *options, *tags, "-f", dockerfile, context)
    say(f"built {names[0]}, image {stored_id(names[0])[:12]}")


def archive_name(reference: str, identity: str) -> str:
    """Return the file name of an image's archive in the cache."""
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', reference)}@{identity[:16]}.tar"


def archived(reference: str) -> Path:
    """Return an archive of a stored image, writing it if there is none and dropping that of the image's predecessor."""
    identity = stored_id(reference)
    if not identity:
        raise DevError(f"there is no image {reference} here: `python3 -m dev image build` makes {PROJECT_IMAGE}")
    folder = cache_dir() / "images"
    target = folder / archive_name(reference, identity)
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}")
        scratch.unlink(missing_ok=True)
        buildah("push", "-q", reference, f"docker-archive:{scratch}:{reference}")
        for old in folder.glob(f"{archive_name(reference, '')[:-4]}*.tar"):
            old.unlink()
        scratch.rename(target)
    return target


def load(nodes: Sequence[Node], references: Sequence[str]) -> None:
    """Load stored images into every node that is on; those that are there already cost nothing."""
    wanted = list(references) or [PROJECT_IMAGE]
    with ThreadPoolExecutor(max_workers=2) as pool:
        archives = dict(zip(wanted, pool.map(archived, wanted), strict=True))
    load_everywhere(nodes, archives)
