"""How backups lie in an image store: pieces by their content, shared by all of a Volume, and a list for each backup.

    <volume uid>/pieces/<sha256>      4 MiB of the disk, compressed; none for a piece that is all zeros
    <volume uid>/backups/<uid>.json   which piece is where, compressed; there once all of them are

A backup needs no other backup: any may go, and what only it had goes with it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

PIECE = 4 << 20
"""Bytes of a disk in one piece."""
VERSION = 1


class Broken(Exception):
    """What is in the store is not what was put there."""


def piece_key(volume: str, digest: str) -> str:
    """Where a piece is."""
    return f"{volume}/pieces/{digest}"


def list_key(volume: str, backup: str) -> str:
    """Where a backup's list is."""
    return f"{volume}/backups/{backup}.json"


@dataclass(frozen=True, slots=True)
class Listing:
    """A backup's list."""

    size: int
    """Bytes of the disk."""
    pieces: Mapping[int, str]
    """The digest of each piece that is not all zeros, by its number."""

    def pack(self) -> bytes:
        """As it is stored."""
        said = {"version": VERSION, "size": self.size, "piece": PIECE, "pieces": dict(self.pieces)}
        return zlib.compress(json.dumps(said).encode(), 6)

    @classmethod
    def unpack(cls, data: bytes) -> Listing:
        """Read one. Raises Broken."""
        try:
            said = json.loads(zlib.decompress(data))
            if (said["version"], said["piece"]) != (VERSION, PIECE):
                raise Broken(f"it is of version {said['version']}, and this agent knows {VERSION}")
            return cls(int(said["size"]), {int(number): str(each) for number, each in said["pieces"].items()})
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise Broken(f"its list cannot be read: {error!r}") from error


def unpack_piece(data: bytes) -> bytes:
    """A piece as it was; never more than a piece, whatever the store holds. Raises Broken."""
    try:
        unpacking = zlib.decompressobj()
        out = unpacking.decompress(data, PIECE)
    except zlib.error as error:
        raise Broken(f"a piece cannot be read: {error}") from error
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise Broken("a piece is larger than any that was put there")
    return out
