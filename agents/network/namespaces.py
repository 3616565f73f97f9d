"""Named network namespaces: whether they are there, and doing something inside one from this process."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agents.network.tools import NETNS_DIR

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def exists(name: str) -> bool:
    """Whether there is a network namespace of that name; a file left by a killed `ip netns add` is none."""
    try:
        found = (NETNS_DIR / name).stat().st_dev
    except FileNotFoundError:
        return False
    return found == Path("/proc/self/ns/net").stat().st_dev


def leftover(name: str) -> bool:
    """Whether something of that name is in the way without being a network namespace."""
    return (NETNS_DIR / name).exists() and not exists(name)


def names() -> list[str]:
    """The names of all of them."""
    return sorted(path.name for path in NETNS_DIR.iterdir()) if NETNS_DIR.is_dir() else []


def within(name: str, function: Callable[[], T]) -> T:
    """Call a quick function inside a network namespace; a socket that it makes stays there. Raises OSError.

    It runs in a thread of its own that ends afterwards, so this process never is in the wrong namespace.
    """
    result: list[T] = []
    errors: list[OSError] = []

    def enter_and_call() -> None:
        try:
            fd = os.open(NETNS_DIR / name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(fd, _CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number), str(NETNS_DIR / name))
            finally:
                os.close(fd)
            result.append(function())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=enter_and_call, name=f"in {name}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]
