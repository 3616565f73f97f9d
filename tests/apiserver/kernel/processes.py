"""Real processes of the toy component, and a line to the API server that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.apiserver.control_plane import HOST, free_ports

REPO = Path(__file__).resolve().parents[3]


class Process:
    """One process of the toy, with its log and its health page."""

    def __init__(self, kubeconfig: Path, folder: Path, namespace: str, name: str, **env: str) -> None:
        self.name = name
        self.log_file = folder / f"{name}.log"
        self.port = free_ports(1)[0]
        settings = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPO),
            "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": namespace,
            "POD_NAME": name,
            "HEALTH_PORT": str(self.port),
        }
        with self.log_file.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "tests.support.toy"], env=settings | env, stdout=log, stderr=log, cwd="/"
            )

    def page(self, path: str) -> tuple[int, str]:
        """What the health server answers; 0 when it does not."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{HOST}:{self.port}/{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, line: str) -> float:
        """The value of one line of /metrics."""
        for each in self.page("metrics")[1].splitlines():
            if each.startswith(line + " "):
                return float(each.rpartition(" ")[2])
        return 0.0

    @property
    def ready(self) -> bool:
        return self.page("readyz")[0] == 200

    @property
    def leading(self) -> bool:
        return self.metric('cloudstack_leading{component="toy"}') == 1

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = (line for line in self.log_file.read_text().splitlines() if line.startswith("{"))
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def ended(self, within: float = 60) -> int:
        """Wait for its end; the exit code."""
        try:
            return self.child.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} runs on:\n{self.log_file.read_text()[-3000:]}") from None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()
        self.child.wait(10)


def until(condition: Callable[[], object], within: float = 60, what: str = "") -> float:
    """Wait for something; how long it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > within:
            raise AssertionError(f"not within {within} s: {what or condition}")
        time.sleep(0.05)
    return time.monotonic() - begin


class Line:
    """A TCP proxy in front of the API server, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.port = free_ports(1)[0]
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def kubeconfig(self, original: Path, folder: Path) -> Path:
        """The same access, by way of this line."""
        config = json.loads(original.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://{HOST}:{self.port}"
        path = folder / f"line-{self.port}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def mend(self) -> None:
        """Let connections through."""
        self._do(self._listen())

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._do(self._close())

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection(HOST, self._target)
        await asyncio.gather(self._pump(reader, to), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@contextlib.contextmanager
def line(target: int) -> Iterator[Line]:
    """A line that lets connections through, for as long as the block runs."""
    import threading

    made = Line(target)
    thread = threading.Thread(target=made._loop.run_forever, daemon=True)
    thread.start()
    made.mend()
    try:
        yield made
    finally:
        made.cut()
        made._loop.call_soon_threadsafe(made._loop.stop)
        thread.join(10)
        made._loop.close()
