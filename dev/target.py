"""The cluster to deploy to: that of KUBECONFIG if it is set, else the local one."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dev.console import DevError, run
from dev.layout import PROJECT_IMAGE, Layout

SYSTEM = "cloudstack-system"
CATALOG = "cloudstack-catalog"
SERVER_IMAGE = "localhost/cloudstack-image-server:dev"


@dataclass(frozen=True)
class Target:
    """A cluster, the clients for it, and the images that its nodes can have."""

    kubeconfig: Path
    kubectl_program: str
    helm_program: str
    local: bool
    image: str
    server_image: str

    def kubectl(self, *words: str, input: str | None = None, check: bool = True, timeout: float = 300) -> str:
        """Run kubectl and return what it printed."""
        argv = [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *words]
        return run(argv, input=input, check=check, timeout=timeout).stdout

    def helm(self, *words: str, timeout: float = 600) -> str:
        """Run helm and return what it printed."""
        argv = [self.helm_program, f"--kubeconfig={self.kubeconfig}", *words]
        return run(argv, timeout=timeout).stdout


def target(layout: Layout) -> Target:
    """The cluster that the environment names.

    With KUBECONFIG, the images must be where its nodes can get them: CLOUDSTACK_IMAGE and CLOUDSTACK_SERVER_IMAGE say
    under which names (docs/local-cluster.md shows it for kind).
    """
    given = os.environ.get("KUBECONFIG")
    if not given or Path(given) == layout.kubeconfig:
        kubectl, helm = str(layout.bin / "kubectl"), str(layout.bin / "helm")
        return Target(layout.kubeconfig, kubectl, helm, local=True, image=PROJECT_IMAGE, server_image=SERVER_IMAGE)
    programs = [shutil.which(name) or "" for name in ("kubectl", "helm")]
    if not all(programs):
        raise DevError("KUBECONFIG is set, so kubectl and helm must be installed: unset it to use the local cluster")
    image = os.environ.get("CLOUDSTACK_IMAGE", PROJECT_IMAGE)
    server = os.environ.get("CLOUDSTACK_SERVER_IMAGE", SERVER_IMAGE)
    return Target(Path(given), programs[0], programs[1], local=False, image=image, server_image=server)
