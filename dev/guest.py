"""A running guest, reached through its guest agent: no network of the guest, no key and no host's shell is needed.

The libvirt connection is made where it exists anyway, in the hypervisor agent's container on the guest's host, so that
this works on any cluster that has the chart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dev.console import DevError
from dev.target import SYSTEM, Target

PYTHON = "/opt/cloudstack/bin/python"
AGENT_PODS = "app.kubernetes.io/component=agent"

# Runs in the container. The guest agent answers only once the guest has booted, so its absence is waited out.
_RUN = """
import base64, json, os, sys, time
import libvirt, libvirt_qemu
libvirt.registerErrorHandler(lambda *_: None, None)
uuid, deadline, argv = sys.argv[1], time.monotonic() + float(sys.argv[2]), json.loads(sys.argv[3])
domain = libvirt.open(os.environ.get("LIBVIRT_URI", "qemu:///system")).lookupByUUIDString(uuid)
def ask(command, **arguments):
    while True:
        try:
            text = libvirt_qemu.qemuAgentCommand(domain, json.dumps({"execute": command, "arguments": arguments}), 5, 0)
            return json.loads(text)["return"]
        except libvirt.libvirtError as error:
            names = "AGENT_UNRESPONSIVE", "AGENT_UNSYNCED", "OPERATION_INVALID"
            silent = [getattr(libvirt, "VIR_ERR_" + name) for name in names]
            if error.get_error_code() not in silent or time.monotonic() > deadline:
                sys.exit(f"the guest agent does not answer: {error}")
            time.sleep(0.1)
pid = ask("guest-exec", **{"path": argv[0], "arg": argv[1:], "capture-output": True})["pid"]
while not (done := ask("guest-exec-status", pid=pid))["exited"]:
    if time.monotonic() > deadline:
        sys.exit(f"{argv} had not ended in time")
    time.sleep(0.05)
text = {name: base64.b64decode(done.get(f"{name}-data", "")).decode(errors="replace") for name in ("out", "err")}
print(json.dumps({"code": done.get("exitcode", -1), **text}))
"""


@dataclass(frozen=True)
class Answer:
    """How a command in the guest ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Guest:
    """The guest of one VirtualMachine. Cheap to make anew: it remembers where the guest ran when it was first asked."""

    where: Target
    namespace: str
    name: str

    @cached_property
    def machine(self) -> tuple[str, str]:
        """The VirtualMachine's uid, which is its domain's uuid, and its host."""
        path = "jsonpath={.metadata.uid} {.status.hostName}"
        words = self.where.kubectl("-n", self.namespace, "get", "virtualmachine", self.name, "-o", path).split()
        if len(words) != 2:
            raise DevError(f"{self.namespace}/{self.name} has no host yet")
        return words[0], words[1]

    @property
    def host(self) -> str:
        """The host that it runs on."""
        return self.machine[1]

    def run(self, argv: Sequence[str], *, timeout: float = 60) -> Answer:
        """Run a program in the guest and wait for its end; waits for the guest to boot, too."""
        uid, host = self.machine
        words = [PYTHON, "-", uid, str(timeout), json.dumps(list(argv))]
        text = in_agent(self.where, host, "hypervisor", words, input=_RUN, timeout=timeout + 30)
        return Answer(**json.loads(text))

    def wait_booted(self, *, timeout: float = 120) -> None:
        """Wait until the tiny guest serves: a VirtualMachine is Ready as soon as its guest has been started."""
        self.sh("until [ -e /run/ready ]; do sleep 0.1; done", timeout=timeout)

    def sh(self, script: str, *, timeout: float = 60) -> str:
        """Run a shell script in the guest and return what it printed; a failure is a DevError."""
        answer = self.run(["/bin/sh", "-c", script], timeout=timeout)
        if answer.code != 0:
            raise DevError(f"in guest {self.name}: `{script}` failed with code {answer.code}: {answer.out}{answer.err}")
        return answer.out.strip()


def agent_pod(where: Target, host: str) -> str:
    """The name of the pod with the three agents of a host."""
    fields = f"--field-selector=spec.nodeName={host},status.phase=Running"
    pods = json.loads(where.kubectl("-n", SYSTEM, "get", "pods", "-l", AGENT_PODS, fields, "-o", "json"))["items"]
    staying = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    if not staying:
        raise DevError(f"no agent runs on {host}: kubectl -n {SYSTEM} get pods -l {AGENT_PODS} -o wide")
    return str(staying[0])


def in_agent(
    where: Target, host: str, agent: str, argv: Sequence[str], *, input: str | None = None, timeout: float = 60
) -> str:
    """Run a program in one agent's container of a host and return what it printed."""
    stdin = ["-i"] if input is not None else []
    pod = agent_pod(where, host)
    return where.kubectl("-n", SYSTEM, "exec", *stdin, pod, "-c", agent, "--", *argv, input=input, timeout=timeout)
