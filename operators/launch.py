"""The `cloudstack` command inside the image: `cloudstack run <component>`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence

COMPONENTS = {
    "orchestration": "operators.orchestration.handlers",
    "compute": "operators.compute.handlers",
    "storage": "operators.storage.handlers",
    "networking": "operators.networking.handlers",
    "fabric-admin": "operators.fabric_admin.handlers",
    "fabric-monitoring": "operators.fabric_monitoring.handlers",
    "agent-hypervisor": "agents.hypervisor.handlers",
    "agent-storage": "agents.storage.handlers",
    "agent-network": "agents.network.handlers",
}
"""Each component's name and the module that declares it as COMPONENT; imported only when it is run."""


def version() -> str:
    """The release that this is."""
    try:
        return importlib.metadata.version("cloudstack")
    except importlib.metadata.PackageNotFoundError:
        return os.environ.get("CLOUDSTACK_VERSION", "development")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and do what it says; the exit code."""
    parser = argparse.ArgumentParser(prog="cloudstack", description="CloudStack on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version", help="say which release this is")
    run = commands.add_parser("run", help="run one component until it is told to end")
    run.add_argument("component", choices=sorted(COMPONENTS))
    chosen = parser.parse_args(argv)
    if chosen.command == "version":
        print(version())
        return 0
    return run_component(chosen.component)


def run_component(name: str) -> int:
    """Run a component by its name."""
    # Imported here, so that `version` and `--help` need nothing of what a component needs.
    from operators.kernel import logs, shell

    logs.configure(name, os.environ)
    component = importlib.import_module(COMPONENTS[name]).COMPONENT
    return shell.run(component, os.environ)


if __name__ == "__main__":
    sys.exit(main())
