"""The `cloudstack` command: inside the image `cloudstack run <component>`, at a desk `cloudstack console <vm>`."""

from __future__ import annotations

import argparse
import asyncio
import getpass
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
    "api": "operators.api.handlers",
    "console": "operators.console.handlers",
    "data": "operators.data.handlers",
    "upload": "operators.upload.handlers",
    "agent-hypervisor": "agents.hypervisor.handlers",
    "agent-storage": "agents.storage.handlers",
    "agent-network": "agents.network.handlers",
    "simulator": "agents.simulator.handlers",
}
"""Each component's name and the module that declares it as COMPONENT; imported only when it is run."""

_URL_HELP = "wss://… where Console is published (default: $CLOUDSTACK_CONSOLE_URL, else through the API server)"

_UPLOAD_HELP = "https://… where Upload is published (default: $CLOUDSTACK_UPLOAD_URL, else through the API server)"
FORMATS = ("qcow2", "raw", "vmdk", "vdi", "iso")
"""Formats of Images."""


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
    commands.add_parser("apply-crds", help="bring this release's CustomResourceDefinitions to the API server")
    test = commands.add_parser("selftest", help="deploy a guest, wait until it is Ready, remove it")
    test.add_argument("--namespace", required=True)
    test.add_argument("--image", default="tiny")
    test.add_argument("--offering", default="tiny")
    test.add_argument("--timeout", type=float, default=180.0, help="seconds for the way up (default 180)")
    commands.add_parser(
        "hash-password", help="read a password and print what goes into the Secret of a user of the API"
    )
    _declare_consoles(commands)
    _declare_images(commands)
    chosen = parser.parse_args(argv)
    match chosen.command:
        case "version":
            print(version())
            return 0
        case "apply-crds":
            return apply_crds()
        case "hash-password":
            return hash_password()
        case "selftest":
            return self_test(chosen)
        case "console" | "vnc" | "image":
            return at_a_desk(chosen)
        case _:
            return run_component(chosen.component)


def _declare_consoles(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The two commands for guests of the room `client`."""
    serial = commands.add_parser("console", help="open the serial port of a virtual machine here; Ctrl-] ends it")
    screen = commands.add_parser("vnc", help="show the screen of a virtual machine in a VNC viewer")
    for each in (serial, screen):
        each.add_argument("vm", help="name of the VirtualMachine")
        each.add_argument("--url", default=os.environ.get("CLOUDSTACK_CONSOLE_URL", ""), help=_URL_HELP)
        _declare_cluster(each)
    screen.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 for the viewer (default: a free one)")
    screen.add_argument("--proxy-only", action="store_true", help="start no viewer, only say where it may connect")


def _declare_images(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command for images of the room `client`."""
    image = commands.add_parser("image", help="what is done with images")
    upload = image.add_subparsers(dest="action", required=True).add_parser(
        "upload", help="make an Image of a file of this machine; done again, it goes on where it was"
    )
    upload.add_argument("file", help="a disk image or an ISO")
    upload.add_argument("name", help="name of the Image")
    upload.add_argument("--format", default="", choices=FORMATS, help="default: as its content shows")
    upload.add_argument("--os-type", default="", help="the operating system in it, for people")
    upload.add_argument("--display-name", default="", help="what people read in lists")
    upload.add_argument("--public", action="store_true", help="other namespaces may use it")
    upload.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    upload.add_argument("--url", default=os.environ.get("CLOUDSTACK_UPLOAD_URL", ""), help=_UPLOAD_HELP)
    _declare_cluster(upload)


def _declare_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--namespace", default="", help="its namespace (default: that of the context)")
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: the current one)")
    parser.add_argument("--system-namespace", default="cloudstack-system", help="where CloudStack is installed")


def at_a_desk(chosen: argparse.Namespace) -> int:
    """Hand over to the room `client`, which is not in the image and needs what the components do not have."""
    try:
        commands = importlib.import_module("client.commands")
    except ModuleNotFoundError as error:
        print(f"{error}: install the command line with pip install 'cloudstack[client]'", file=sys.stderr)
        return 1
    return int(commands.run(chosen))


def apply_crds() -> int:
    """Bring the CRDs to the API server."""
    from operators import crds
    from operators.kernel import logs

    logs.configure("crds", os.environ)
    return asyncio.run(crds.run(os.environ))


def hash_password() -> int:
    """Read a password, unseen at a terminal, else from a pipe, and print its hash."""
    from operators.api import passwords

    word = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not word:
        print("a password cannot be empty", file=sys.stderr)
        return 1
    print(passwords.hashed(word))
    return 0


def self_test(chosen: argparse.Namespace) -> int:
    """Deploy a guest and remove it."""
    from operators import selftest
    from operators.kernel import logs

    logs.configure("selftest", os.environ)
    asked = selftest.Asked(chosen.namespace, chosen.image, chosen.offering, chosen.timeout)
    return asyncio.run(selftest.run(asked, os.environ))


def run_component(name: str) -> int:
    """Run a component by its name."""
    # Imported here, so that `version` and `--help` need nothing of what a component needs.
    from operators.kernel import logs, shell

    logs.configure(name, os.environ)
    component = importlib.import_module(COMPONENTS[name]).COMPONENT
    return shell.run(component, os.environ)


if __name__ == "__main__":
    sys.exit(main())
