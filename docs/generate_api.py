"""Write `docs/api.md` from what the API's commands declare: what works, what of each is taken, and what is missing.

Run `make docs` after a change in `operators/api`; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from operators.api.commands import ALL
from operators.api.declare import EVERYBODY, Command, Declared
from operators.api.doors import LOGIN, LOGOUT
from operators.api.known import NAMES

PAGE = Path(__file__).resolve().parent / "api.md"

HEAD = """\
# The CloudStack API's commands

Generated from the declarations in [`operators/api`](../operators/api) by `make docs`. {here} of CloudStack's {all}
commands are here; any other answers 432 and is absent from `listApis`. Of a command that is here, parameters are

- **taken** (*required* ones in italics),
- *ignored*: hints, and choices there is only one of, that change nothing here,
- *refused* with 432: they would change something, and do not yet.
"""


def main() -> int:
    """Write the page and return the exit code."""
    PAGE.write_text(page())
    return 0


def page() -> str:
    """The whole page."""
    commands = sorted((*ALL, LOGIN, LOGOUT), key=lambda command: command.name)
    head = HEAD.format(here=len(commands), all=len(NAMES))
    return head + "".join(f"\n{section}" for command in commands for section in ["\n".join(_section(command)) + "\n"])


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
