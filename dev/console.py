"""What the tool says while it works, and how it runs other programs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_START = time.monotonic()
_PRINTING = threading.Lock()


class DevError(Exception):
    """Something the user has to know, worded so that the user can act on it."""


def say(text: str) -> None:
    """Print one line of progress with the seconds since the tool started."""
    with _PRINTING:
        print(f"{time.monotonic() - _START:6.1f}s  {text}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed.

    `env` is added to the environment. With `check`, a failure is a `DevError` that quotes the command
    and the last lines of what it said.
    """
    words = [str(word) for word in argv]
    environment = {**os.environ, **env} if env else None
    try:
        done = subprocess.run(
            words,
            input=input,
            env=environment,
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL if input is None else None,
        )
    except FileNotFoundError as error:
        raise DevError(f"the program {words[0]} is not there: `python3 -m dev doctor` says what is missing") from error
    except subprocess.TimeoutExpired as error:
        raise DevError(f"`{' '.join(words)}` had not finished after {timeout:.0f} s") from error
    if check and done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise DevError(f"`{' '.join(words)}` failed with code {done.returncode}:\n{tail}")
    return done


def wait_for(what: str, ready: Callable[[], bool], *, timeout: float, every: float = 0.05, hint: str = "") -> None:
    """Poll `ready` until it is true; a `DevError` naming `what` when `timeout` seconds have passed."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise DevError(f"{what} was not ready after {timeout:.0f} s" + (f"; {hint}" if hint else ""))
        time.sleep(every)
