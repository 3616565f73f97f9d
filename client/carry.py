"""Carries bytes between a console and something local with a file number."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from client.link import Link

CHUNK = 4096
ESCAPE = b"\x1d"
"""Ctrl-], as in telnet, virsh and virtctl."""


def carry(link: Link, source: int, write: Callable[[bytes], object], *, terminal: bool = False) -> None:
    """Carry until the console ends, or the local side does.

    From a `terminal`, ESCAPE ends it, and the end of what was piped in does not: there is more to be read yet.
    """
    sources = [source]
    while True:
        ready = [link.fileno()] if link.pending() else select.select([link.fileno(), *sources], (), ())[0]
        if link.fileno() in ready:
            data = link.receive()
            if data is None:
                return
            write(data)
        if source in ready:
            typed = os.read(source, CHUNK)
            kept, escape, _ = typed.partition(ESCAPE) if terminal else (typed, b"", b"")
            if kept and not link.send(kept):
                return
            if escape or (not typed and not terminal):
                return
            if not typed:
                sources = []
