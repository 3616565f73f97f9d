"""Small programs in pods of the project's own image, for what can only be seen from inside a cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dev.target import SYSTEM
from tests.support.cluster import Cloud

PATIENCE = 120.0


@dataclass(frozen=True)
class Program:
    """One pod that runs a Python program."""

    cloud: Cloud
    name: str

    def said(self) -> list[str]:
        """The lines that it has printed."""
        return self.cloud.kubectl("logs", self.name).splitlines()

    def line(self, wanted: str, within: float = PATIENCE) -> str:
        """Wait for a line with this text."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            said = self.said()
            for each in said:
                if wanted in each:
                    return each
            time.sleep(0.5)
        raise AssertionError(f"{self.name} has not printed {wanted!r}: {said[-10:]}")

    def stop(self) -> None:
        """Tell it to come to an end, as it looks for."""
        self.cloud.kubectl("exec", self.name, "--", "touch", "/tmp/stop")


@contextmanager
def program(cloud: Cloud, name: str, text: str, *arguments: str, port: int = 0) -> Iterator[Program]:
    """Run one; with a port, behind a Service of its name."""
    found = json.loads(cloud.kubectl("-n", SYSTEM, "get", "deployment", "cloudstack-api", "-o", "json"))
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    run = ["run", name, f"--image={image}", "--image-pull-policy=IfNotPresent", "--restart=Never"]
    cloud.kubectl(*run, "--command", "--", "python", "-c", text, *arguments)
    try:
        if port:
            cloud.kubectl("expose", "pod", name, f"--port={port}")
        cloud.kubectl(
            "wait", f"pod/{name}", "--for=condition=Ready", f"--timeout={PATIENCE:.0f}s", timeout=PATIENCE + 10
        )
        yield Program(cloud, name)
    finally:
        cloud.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--ignore-not-found")
        cloud.kubectl("delete", "service", name, "--ignore-not-found")
