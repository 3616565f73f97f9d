"""`cloudstack console VM` and `cloudstack vnc VM`; `cloudstack image upload` is in `images`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from functools import partial

from client import images
from client.carry import carry
from client.cluster import ClientError, Cluster
from client.link import Link, opened
from operators.contract.consoles import ConsoleType

VIEWERS = ("remote-viewer", "vncviewer")
"""The first that is there is started."""


def run(chosen: argparse.Namespace) -> int:
    """Do what the command line says; the exit code."""
    try:
        with contextlib.closing(Cluster(chosen.context, chosen.namespace, chosen.system_namespace)) as cluster:
            if chosen.command == "image":
                return images.upload(cluster, images.asked_by(chosen), chosen.url)
            if chosen.command == "console":
                return serial(cluster, chosen.vm, chosen.url)
            return screen(cluster, chosen.vm, chosen.url, chosen.port, chosen.proxy_only)
    except ClientError as error:
        print(f"cloudstack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def serial(cluster: Cluster, vm: str, url: str = "", keyboard: int = 0, display: int = 1) -> int:
    """The serial port, at this terminal: the two file numbers."""
    link = opened(cluster, cluster.make(vm, ConsoleType.SERIAL), url)
    try:
        _note(f"connected to {vm}; Ctrl-] ends it, Enter may bring up the prompt")
        with _raw(keyboard):
            carry(link, keyboard, partial(_print, display), terminal=True)
    finally:
        link.close()
    _note("\rthe console is closed")
    return 0


def screen(cluster: Cluster, vm: str, url: str = "", port: int = 0, proxy_only: bool = False) -> int:
    """The screen, for one viewer on this machine; it is asked for when the viewer comes."""
    with socket.create_server(("127.0.0.1", port), backlog=1) as server:
        here = server.getsockname()[1]
        viewer = None if proxy_only else next(filter(None, map(shutil.which, VIEWERS)), None)
        if viewer is None:
            _note(f"the screen of {vm} awaits one viewer at vnc://127.0.0.1:{here}")
            return _show(cluster, vm, url, server)
        address = f"vnc://127.0.0.1:{here}" if viewer.endswith("remote-viewer") else f"127.0.0.1::{here}"
        with subprocess.Popen([viewer, address]) as process:
            try:
                return _show(cluster, vm, url, server)
            finally:
                process.terminate()


def _show(cluster: Cluster, vm: str, url: str, server: socket.socket) -> int:
    """Let one viewer in."""
    viewer, _ = server.accept()
    with viewer, contextlib.closing(opened(cluster, cluster.make(vm, ConsoleType.VNC), url)) as link:
        _carry_viewer(link, viewer)
    return 0


def _carry_viewer(link: Link, viewer: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):  # closing its window is how a viewer ends
        carry(link, viewer.fileno(), viewer.sendall)


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Every key goes to the guest, Ctrl-C too."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _print(display: int, data: bytes) -> None:
    """All of it, at once: a terminal may take less than it is given."""
    view = memoryview(data)
    while view:
        view = view[os.write(display, view) :]


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
