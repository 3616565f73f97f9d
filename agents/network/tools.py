"""The host's own tools: iproute2, nftables and dnsmasq, called as programs that read and write JSON (see ADR 0004)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson

from operators.contract.codec import Json
from operators.contract.reasons import Reason
from operators.kernel.outcome import Problem, Retry

NETNS_DIR = Path("/run/netns")
TIMEOUT = 20.0
"""Seconds after which a tool is given up; they take milliseconds."""


class ToolFailed(Problem):
    """A tool ended badly; the outcome is to try again, with what the tool said as the message."""

    def __init__(self, program: str, said: str) -> None:
        why = said.strip()[-500:] or "it gave no message"
        super().__init__(Retry(Reason.NETWORK_ERROR, f"{program} on the host failed: {why}"))


async def run(*argv: str, text: str = "", netns: str = "") -> str:
    """Run a program, inside a named network namespace if one is given; what it printed. Raises ToolFailed."""
    code, out, said = await call(*argv, text=text, netns=netns)
    if code != 0:
        raise ToolFailed(argv[0], said)
    return out


async def call(*argv: str, text: str = "", netns: str = "") -> tuple[int, str, str]:
    """Run a program to its end: exit code, output, standard error. Raises ToolFailed if it hangs or is missing."""
    # nsenter and not `ip netns exec`, which also mounts a new /sys each time.
    words = (*(["nsenter", f"--net={NETNS_DIR / netns}"] if netns else []), *argv)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ToolFailed(argv[0], "it is not installed") from error
    try:
        async with asyncio.timeout(TIMEOUT):
            out, said = await process.communicate(text.encode() if text else None)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise ToolFailed(argv[0], f"no answer within {TIMEOUT:.0f} s") from error
    except asyncio.CancelledError:
        process.kill()
        raise
    return process.returncode or 0, out.decode(errors="replace"), said.decode(errors="replace")


async def ip(lines: Sequence[str], *, netns: str = "") -> None:
    """Do several `ip` commands, one a line, in one process; it stops at the first that fails."""
    if lines:
        await run("ip", "-batch", "-", text="\n".join(lines) + "\n", netns=netns)


async def fdb(lines: Sequence[str]) -> None:
    """Do several `bridge fdb` commands in one process."""
    if lines:
        await run("bridge", "-batch", "-", text="".join(f"fdb {line}\n" for line in lines))


async def tc(lines: Sequence[str]) -> None:
    """Do several `tc` commands in one process."""
    if lines:
        await run("tc", "-batch", "-", text="\n".join(lines) + "\n")


async def tc_json(*words: str) -> list[Json]:
    """What a `tc` command lists."""
    return _listed(await run("tc", "-j", *words))


async def ip_json(*words: str, netns: str = "") -> list[Json]:
    """What an `ip` command lists."""
    return _listed(await run("ip", "-j", *words, netns=netns))


async def fdb_json(device: str) -> list[Json]:
    """The forwarding entries of a device; empty when there is no such device."""
    code, out, said = await call("bridge", "-j", "fdb", "show", "dev", device)
    if code != 0 and "Cannot find device" not in said:
        raise ToolFailed("bridge", said)
    return _listed(out)


async def nft(commands: Sequence[Json], *, netns: str = "") -> None:
    """Change rules in one transaction: all of it, or nothing."""
    if commands:
        await run("nft", "-j", "-f", "-", text=orjson.dumps({"nftables": list(commands)}).decode(), netns=netns)


async def nft_table(family: str, table: str, *, netns: str = "") -> list[Json]:
    """What a table holds, in the order nft lists it; empty when there is no such table."""
    code, out, said = await call("nft", "-j", "list", "table", family, table, netns=netns)
    if code != 0:
        if "No such file or directory" in said:
            return []
        raise ToolFailed("nft", said)
    return [entry for entry in orjson.loads(out)["nftables"] if "metainfo" not in entry]


def _listed(out: str) -> list[Json]:
    # Some of iproute2's lists have empty objects in them, for what a filter left out.
    return [entry for entry in orjson.loads(out) if entry] if out.strip() else []
