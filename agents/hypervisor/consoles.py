"""A guest's serial port or screen as a socket, by libvirt; neither has a port of its own on the host.

libvirt gives the screen as a file descriptor of QEMU's. The serial port it gives as a stream of its own kind, which
works by events: they, and what they carry, stay in libvirt's event thread, and the agent gets the other end of a pair
of sockets.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import libvirt

from operators.contract.consoles import ConsoleType

CHUNK = 65536
_IN = libvirt.VIR_EVENT_HANDLE_READABLE
_OUT = libvirt.VIR_EVENT_HANDLE_WRITABLE
_WRONG = libvirt.VIR_EVENT_HANDLE_ERROR | libvirt.VIR_EVENT_HANDLE_HANGUP
_STREAM_IN = libvirt.VIR_STREAM_EVENT_READABLE
_STREAM_OUT = libvirt.VIR_STREAM_EVENT_WRITABLE
_STREAM_WRONG = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_LATER = -2
"""What libvirt's streams say where a socket would raise BlockingIOError."""


def open_console(connection: Any, uuid: str, type_: ConsoleType) -> socket.socket:
    """Open a console; one of the serial port that is open ends, as it has room for one. Raises libvirtError."""
    domain = connection.lookupByUUIDString(uuid)
    if type_ is ConsoleType.VNC:
        # Who may see it was decided by the token; the screen has no password that could be asked for.
        return socket.socket(fileno=domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH))
    stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
    domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
    ours, theirs = socket.socketpair()
    _Bridge(stream, ours)
    return theirs


class _Bridge:
    """Carries between a stream and a socket. Each way holds one chunk at most, so a slow reader slows the writer."""

    def __init__(self, stream: Any, ours: socket.socket) -> None:
        self._stream = stream
        self._socket = ours
        self._up = b""
        """From the guest, not taken by the socket yet."""
        self._down = b""
        self._over = False
        ours.setblocking(False)
        self._handle = libvirt.virEventAddHandle(ours.fileno(), _IN | _WRONG, self._on_socket, None)
        stream.eventAddCallback(_STREAM_IN | _STREAM_WRONG, self._on_stream, None)

    def _on_socket(self, watch: int, fd: int, events: int, opaque: object) -> None:
        self._guarded(events & _IN, events & _OUT, events & _WRONG and not events & _IN)

    def _on_stream(self, stream: Any, events: int, opaque: object) -> None:
        # What is left to read when the guest ends is read first; the end of it then says that there is no more.
        wrong = events & _STREAM_WRONG and not events & _STREAM_IN
        self._guarded(events & _STREAM_OUT, events & _STREAM_IN, wrong)

    def _guarded(self, down: int, up: int, wrong: int) -> None:
        if self._over:
            return
        try:
            going = not ((down and not self._go_down()) or (up and not self._go_up()) or wrong)
        except (libvirt.libvirtError, OSError):
            going = False
        if going:
            self._await()
        else:
            self._end()

    def _go_down(self) -> bool:
        """Take from the socket and give to the guest; whether it goes on."""
        if not self._down:
            with contextlib.suppress(BlockingIOError):
                self._down = self._socket.recv(CHUNK)
                if not self._down:
                    return False
        if self._down:
            sent = self._stream.send(self._down)
            if sent != _LATER:
                self._down = self._down[sent:]
        return True

    def _go_up(self) -> bool:
        """Take from the guest and give to the socket; whether it goes on."""
        if not self._up:
            got = self._stream.recv(CHUNK)
            if got == b"":
                return False
            self._up = got if got != _LATER else b""
        if self._up:
            with contextlib.suppress(BlockingIOError):
                self._up = self._up[self._socket.send(self._up) :]
        return True

    def _await(self) -> None:
        """Wait for what each way needs next: more to read, or room for what was read."""
        libvirt.virEventUpdateHandle(self._handle, (0 if self._down else _IN) | (_OUT if self._up else 0) | _WRONG)
        self._stream.eventUpdateCallback(
            (0 if self._up else _STREAM_IN) | (_STREAM_OUT if self._down else 0) | _STREAM_WRONG
        )

    def _end(self) -> None:
        self._over = True
        libvirt.virEventRemoveHandle(self._handle)
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.eventRemoveCallback()
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.abort()
        self._socket.close()
