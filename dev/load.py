"""Brings images into the nodes' containerd, only those that are not there yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.archive import image_id, write_archive
from dev.build import COREDNS, PAUSE, programs
from dev.console import run, say
from dev.layout import COREDNS_IMAGE, PAUSE_IMAGE
from dev.node import Node
from dev.paths import cache_dir, write


def system_images() -> dict[str, Path]:
    """Return the archives of the images that the cluster itself needs, writing them on first use."""
    archives = {}
    for recipe, reference in ((PAUSE, PAUSE_IMAGE), (COREDNS, COREDNS_IMAGE)):
        target = cache_dir() / "images" / f"{recipe.key}.tar"
        program = programs(recipe) / recipe.name
        if not target.exists():
            write_archive(target, reference, program, command=f"/{recipe.name}")
        archives[reference] = target
    return archives


def _digest(node: Node, reference: str) -> str:
    """Return the digest that a node's containerd has under a reference, or nothing."""
    listing = run(["ctr", "-a", node.containerd, "-n", "k8s.io", "images", "ls", f"name=={reference}"]).stdout
    rows = [line.split() for line in listing.splitlines()[1:]]
    return next((row[2] for row in rows if row and row[0] == reference), "")


def load(node: Node, reference: str, archive: Path, identity: str = "") -> bool:
    """Import an archive into one node unless that very image is there; say whether it was imported.

    containerd names an imported archive by a digest of its own, so what was imported under it is noted in a file.
    """
    identity = identity or image_id(archive)
    note = node.root / "images" / hashlib.sha256(reference.encode()).hexdigest()[:16]
    known = _digest(node, reference)
    if known and note.exists() and note.read_text() == f"{identity} {known}":
        return False
    run(["ctr", "-a", node.containerd, "-n", "k8s.io", "images", "import", archive], timeout=300)
    write(note, f"{identity} {_digest(node, reference)}")
    return True


def load_everywhere(nodes: Sequence[Node], archives: dict[str, Path]) -> None:
    """Import archives into all the nodes side by side."""
    identities = {reference: image_id(archive) for reference, archive in archives.items()}

    def one(node: Node) -> int:
        return sum(load(node, reference, archive, identities[reference]) for reference, archive in archives.items())

    with ThreadPoolExecutor(max_workers=8) as pool:
        counts = list(pool.map(one, nodes))
    say(f"images: {sum(counts)} imported, {len(archives) * len(nodes) - sum(counts)} already there")
