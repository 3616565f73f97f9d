"""The consoles of a real guest: a shell by its serial port, a picture of its screen, and a log all the while."""

import asyncio
from pathlib import Path

import pytest

from agents.hypervisor import console
from operators.contract.consoles import ConsoleType
from tests.host.hypervisor.conftest import World

pytestmark = pytest.mark.timeout(300)
KEPT = 16 * 1024


async def until_said(reader: asyncio.StreamReader, word: str) -> str:
    said = ""
    async with asyncio.timeout(30):
        while word not in said:
            data = await reader.read(4096)
            assert data, f"the console ended: {said!r}"
            said += data.decode(errors="replace")
    return said


async def bounded(world: World, uuid: str) -> None:
    """What is too long is cut under the guest's hands, which goes on at the new end; the newest of it stays beside."""
    assert world.agent
    log = console.path_of(world.settings.console_dir, uuid)
    assert log.stat().st_size > 2 * KEPT
    assert console.trim(world.settings.console_dir, KEPT) == 1
    assert log.stat().st_size < KEPT and log.with_name(f"{log.name}.1").stat().st_size == KEPT
    reader, writer = await asyncio.open_connection(sock=await world.agent.hypervisor.console(uuid, ConsoleType.SERIAL))
    writer.write(b"echo later-$((5 * 5))\r")
    await until_said(reader, "later-25")
    writer.close()
    await world.until(lambda: b"later-25" in log.read_bytes(), 30)
    assert b"\0" not in log.read_bytes(), "no hole where the rest was"


async def test_serial_and_screen(world: World) -> None:
    key = await world.instance()
    await world.running(key)
    await world.booted(key)
    assert world.agent
    hypervisor, uuid = world.agent.hypervisor, world.uuid(key)

    first, first_in = await asyncio.open_connection(sock=await hypervisor.console(uuid, ConsoleType.SERIAL))
    first_in.write(b"\recho is-$((6 * 7))\r")
    await until_said(first, "is-42")

    reader, writer = await asyncio.open_connection(sock=await hypervisor.console(uuid, ConsoleType.SERIAL))
    async with asyncio.timeout(10):
        await first.read(-1)  # the newer one has taken its place
    first_in.close()
    writer.write(b"seq 1 20000; echo all-$((20 + 1))\r")
    said = await until_said(reader, "all-21")
    numbers = [int(line) for line in said.splitlines() if line.isdigit()]
    assert numbers == list(range(1, 20001)), "nothing is lost on the way"
    writer.close()
    log = Path(world.settings.console_dir, f"{uuid}.log").read_text(errors="replace")
    assert "is-42" in log, "the log has it, too"
    await bounded(world, uuid)

    screen, answer = await asyncio.open_connection(sock=await hypervisor.console(uuid, ConsoleType.VNC))
    assert await asyncio.wait_for(screen.readexactly(12), 10) == b"RFB 003.008\n"
    answer.write(b"RFB 003.008\n")
    kinds = await screen.readexactly((await screen.readexactly(1))[0])
    assert 1 in kinds, "no password: the token was the way in"
    answer.write(b"\x01")
    assert await screen.readexactly(4) == bytes(4)
    answer.write(b"\x01")
    init = await screen.readexactly(24)
    assert int.from_bytes(init[:2], "big") >= 320
    answer.close()
    ports = world.host.exec(["ss", "-Hltn"]).stdout
    assert ":59" not in ports, "the screen has no port on the host"
    world.virsh("destroy", world.virsh("list", "--name"))
