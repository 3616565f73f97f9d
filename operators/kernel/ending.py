"""Ends the process on SIGTERM within seconds, whatever its event loop, handlers and threads do.

A handler that is stuck in a library keeps the event loop from seeing a signal, and a stuck thread keeps the
interpreter from leaving. So a thread of its own hears of the signal (C code writes it into a pipe the moment it
arrives), asks the loop to end, and ends the process itself when the loop does not.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time

import structlog

log = structlog.get_logger()

GRACE = 5.0
"""Seconds from the signal to the end at the latest. The kubelet would wait thirty, and a standby with it."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Hears SIGTERM and SIGINT; `asked` is set in the loop, and the clock runs."""

    def __init__(self, grace: float = GRACE) -> None:
        self.asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._grace = grace
        self._hear, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        threading.Thread(target=self._listen, name="ending", daemon=True).start()
        self.install()

    def install(self) -> None:
        """Take the signals, from whoever has them now. Main thread only."""
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)

    def at_most(self, seconds: float) -> None:
        """End the process after that time at the latest, for other reasons than a signal."""
        threading.Thread(target=self._kill, args=(seconds, 1), name="end", daemon=True).start()

    def _listen(self) -> None:
        while number := os.read(self._hear, 1):
            if number[0] in SIGNALS:
                log.info("ending", signal=signal.Signals(number[0]).name)
                self._loop.call_soon_threadsafe(self.asked.set)
                self._kill(self._grace, 1)

    def _kill(self, seconds: float, code: int) -> None:
        time.sleep(seconds)
        log.error("ended_by_force", why=f"something did not end within {seconds:.0f} s")
        sys.stdout.flush()
        os._exit(code)
