"""What the benchmarks look at: a host's domains from inside, the API server's audit log, the processes' counters."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dev.guest import PYTHON, agent_pod
from dev.layout import Layout
from dev.target import SYSTEM
from tests.support.cluster import Cloud

# Runs in the hypervisor agent's container: says when a domain starts, and starts a copy of one as `virsh create` would.
_HYPERVISOR = r"""
import json, os, re, sys, threading, time, uuid
import libvirt
libvirt.registerErrorHandler(lambda *_: None, None)
libvirt.virEventRegisterDefaultImpl()
def events():
    while True:
        libvirt.virEventRunDefaultImpl()
threading.Thread(target=events, daemon=True).start()
connection = libvirt.open(os.environ.get("LIBVIRT_URI", "qemu:///system"))
lock = threading.Lock()
def say(**what):
    with lock:
        print(json.dumps(what), flush=True)
def lifecycle(connection, domain, event, detail, _):
    if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
        say(started=domain.UUIDString(), at=time.time())
connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)
say(ready=True)
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "xml":
        say(xml=connection.lookupByUUIDString(order["uuid"]).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    elif order["do"] == "create":
        began = time.time()
        domain = connection.createXML(order["xml"], 0)
        took = time.time() - began
        domain.destroy()
        say(created=took)
"""


class Hypervisor:
    """One host's libvirt, from inside its agent's container, with a process that stays for the whole measurement."""

    def __init__(self, cloud: Cloud, host: str) -> None:
        where = cloud.where
        argv = [where.kubectl_program, f"--kubeconfig={where.kubeconfig}", "-n", SYSTEM, "exec", "-i"]
        argv += [agent_pod(where, host), "-c", "hypervisor", "--", PYTHON, "-c", _HYPERVISOR]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._started: dict[str, queue.Queue[float]] = {}
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._answers.get(timeout=30)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "started" in said:
                self._of(said["started"]).put(said["at"])
            else:
                self._answers.put(said)

    def _of(self, uid: str) -> queue.Queue[float]:
        return self._started.setdefault(uid, queue.Queue())

    def started(self, uid: str, timeout: float = 60) -> float:
        """When a domain was started, by the clock of the machine; waits for it."""
        return self._of(uid).get(timeout=timeout)

    def _ask(self, **order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answers.get(timeout=60)

    def xml(self, uid: str) -> str:
        """A domain's definition."""
        return str(self._ask(do="xml", uuid=uid)["xml"])

    def create(self, xml: str) -> float:
        """Create a domain and end it again; how many seconds the creation took."""
        return float(self._ask(do="create", xml=xml)["created"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._reader.join(5)
        self._process.stdout.close()


@contextmanager
def hypervisor(cloud: Cloud, host: str) -> Iterator[Hypervisor]:
    """A Hypervisor, closed afterwards."""
    made = Hypervisor(cloud, host)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True)
class Write:
    """One write to the API server."""

    user: str
    verb: str
    resource: str
    namespace: str
    code: int


def writes(layout: Layout, since: float) -> list[Write]:
    """The writes since a moment, oldest first, from the audit log."""
    found = []
    with layout.audit_log.open("rb") as log:
        log.seek(max(0, layout.audit_log.stat().st_size - 20_000_000))
        for line in log.read().split(b"\n")[1:-1]:
            event = json.loads(line)
            at = datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()
            if at < since or event["verb"] not in ("create", "update", "patch", "delete", "deletecollection"):
                continue
            ref = event.get("objectRef", {})
            resource = "/".join(filter(None, (ref.get("resource", ""), ref.get("subresource", ""))))
            code = event.get("responseStatus", {}).get("code", 0)
            user = event["user"]["username"].rpartition(":")[2]
            found.append(Write(user, event["verb"], resource, ref.get("namespace", ""), code))
    return found


def components() -> dict[int, str]:
    """Our processes, by their number: which component each is."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_text().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "operators.launch" in words and "run" in words:
                found[int(folder.name)] = words[words.index("run") + 1]
    return found


def cpu_seconds() -> Counter[str]:
    """The processor time that each component has used so far, all its processes and what they called together."""
    spent: Counter[str] = Counter()
    for pid, name in components().items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent[name] += sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")  # type: ignore[assignment]
    return spent


def memory() -> dict[str, float]:
    """The largest resident memory of each component's processes, in MiB, their share of what they share."""
    found: dict[str, float] = {}
    for pid, name in components().items():
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        (pss,) = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
        found[name] = max(found.get(name, 0.0), pss / 1024)
    return found


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that `part` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered) + 0.5) - 1))]


def table(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown, as docs/benchmarks.md has it."""
    cells = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"\n\n{title} ({time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC)\n" + "\n".join(lines))
