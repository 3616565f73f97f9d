"""Write `docs/api.md` from what the API's commands declare: what works, what of each is taken, and what is missing.

Run `make docs` after a change in `operators/api`; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from operators.api.commands import ALL
from operators.api.declare import EVERYBODY, Command, Declared
from operators.api.doors import LOGIN, LOGOUT
from operators.api.known import NAMES
from operators.api.missing import WHY

FACTS = Path(__file__).resolve().parents[1] / "tests" / "unit" / "api" / "contract.jsonl"
"""What CloudStack's commands take and answer, and how near to its core they are."""
CALLERS = FACTS.with_name("callers.json")
"""Which commands each client calls, as its source says."""
PAGE = Path(__file__).resolve().parent / "api.md"

HEAD = """\
# The CloudStack API's commands

Generated from the declarations in [`operators/api`](../operators/api) by `make docs`. {here} of CloudStack's {all}
commands are here; any other answers 432 and is absent from `listApis`. Of a command that is here, parameters are

- **taken** (*required* ones in italics),
- *ignored*: hints, and choices there is only one of, that change nothing here,
- *refused* with 432: they would change something, and do not yet.

[Clients](clients.md) says how to point Terraform, Ansible and others here.

## Coverage

Of the {core} commands of CloudStack's core (virtual machines, volumes, snapshots, templates, offerings, networks,
zones, identity, limits), **{have}** are here, and of the {wider} that tools for infrastructure as code call beyond
these, {also}. The rest of the core is missing because
"""


def main() -> int:
    """Write the page and return the exit code."""
    PAGE.write_text(page())
    return 0


def page() -> str:
    """The whole page."""
    commands = sorted((*ALL, LOGIN, LOGOUT), key=lambda command: command.name)
    here = {command.name for command in commands}
    tiers = _tiers()
    core, wider = tiers[1], tiers[2]
    head = HEAD.format(
        here=len(commands),
        all=len(NAMES),
        core=len(core),
        have=len(core & here),
        wider=len(wider),
        also=len(wider & here),
    )
    return (
        head
        + "".join(_missing(core - here))
        + "".join(_clients(here))
        + "".join(f"\n{section}" for command in commands for section in ["\n".join(_section(command)) + "\n"])
    )


def _tiers() -> dict[int, set[str]]:
    tiers: dict[int, set[str]] = {}
    for line in FACTS.read_text().splitlines():
        fact = json.loads(line)
        tiers.setdefault(fact["tier"], set()).add(fact["name"])
    return tiers


def _missing(names: set[str]) -> Iterator[str]:
    """A line for each reason."""
    for reason in dict.fromkeys(WHY.values()):
        if listed := ", ".join(f"`{name}`" for name in sorted(names) if WHY.get(name) == reason):
            yield f"\n- {reason}: {listed}"
    if unsaid := ", ".join(f"`{name}`" for name in sorted(names - WHY.keys())):
        yield f"\n- nobody has built them yet: {unsaid}"
    yield "\n"


CLIENTS = """\

## What clients call

By the source of each: how many of CloudStack's commands it can call, how many of these are here, and why the others
are not. Which of them a program needs depends on the resources that it states: an instance, a disk or an isolated
network needs none of those that are missing.

| client | calls | here | missing |
|---|---|---|---|
"""


def _clients(here: set[str]) -> Iterator[str]:
    """The table of who calls what, then what is missing of it and why."""
    callers: dict[str, list[str]] = json.loads(CALLERS.read_text())
    yield CLIENTS
    for client, called in callers.items():
        have = len(here & set(called))
        yield f"| {client} | {len(called)} | {have} | {len(called) - have} |\n"
    wanting: dict[str, list[str]] = {}
    for client, called in callers.items():
        for name in called:
            if name not in here:
                wanting.setdefault(name, []).append(client)
    yield "\nMissing, and called by\n"
    reasons = dict.fromkeys([*WHY.values(), ""])
    for reason in reasons:
        lines = [
            f"`{name}` ({', '.join(clients)})"
            for name, clients in sorted(wanting.items())
            if WHY.get(name, "") == reason
        ]
        if lines:
            yield f"\n- {reason or 'nobody has built them yet'}: {', '.join(lines)}"
    yield "\n"


def _section(command: Declared) -> Iterator[str]:
    yield f"## {command.name}"
    yield ""
    job = " Answers with a job." if isinstance(command, Command) and command.asynchronous else ""
    yield f"{command.about}{_who(command)}{job}"
    yield ""
    taken = (f"*{param.name}*" if param.required else f"`{param.name}`" for param in command.params)
    for title, names in (
        ("Taken", taken),
        ("Ignored", _quoted(command.ignored)),
        ("Refused", _quoted(command.refused)),
    ):
        if listed := ", ".join(names):
            yield f"- {title}: {listed}"


def _who(command: Declared) -> str:
    roles = command.roles if isinstance(command, Command) else EVERYBODY
    return "" if roles == EVERYBODY else f" For {', '.join(sorted(role.value for role in roles))} only."


def _quoted(names: frozenset[str]) -> Iterator[str]:
    return (f"`{name}`" for name in sorted(names))


if __name__ == "__main__":
    sys.exit(main())
