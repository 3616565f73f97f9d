"""A guest's move between two hosts, as libvirt carries it out with VIR_MIGRATE_PAUSED: nothing of it needs an agent.

The target has it paused (`Migration`) while it comes, and paused (`User`) once it is whole; then it is killed and
forgotten at the source. Whoever asked lets it go on at the target after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agents.hypervisor.driver import DomainSpec, Job, Move
from agents.network.links import Link

if TYPE_CHECKING:
    from sim.hosts.host import Host

STEPS = 10


@dataclass
class Moving:
    """One move under way."""

    source: Host
    target: Host
    uuid: str
    over: Callable[[str], None]
    """Told once, why it failed; nothing when it did not."""
    job: Job = Job()  # noqa: RUF009 - frozen
    given_up: bool = False

    def begin(self, move: Move) -> str:
        """Begin; why not, if not."""
        there, here = self.target.machine, self.source.machine
        spec = here.running[self.uuid]
        paths = {disk.serial: disk.path for disk in move.disks}
        disks = tuple(replace(disk, path=paths.get(disk.serial, disk.path)) for disk in spec.disks)
        if self.uuid in there.defined or self.uuid in there.running:
            return "the target knows the guest already"
        if missing := [disk.path for disk in disks if self.target.files.find(disk.path) is None]:
            return f"Cannot access storage file '{missing[0]}': No such file or directory"
        links = self.target.network.spaces[""].links
        if gone := [nic.bridge for nic in spec.nics if nic.bridge not in links]:
            return f"Cannot get interface MTU on '{gone[0]}': No such device"
        for nic in spec.nics:
            links[nic.tap] = Link(nic.tap, "tun", master=nic.bridge, mtu=nic.mtu, up=True)
        came = replace(spec, disks=disks)
        there.running[self.uuid], there.defined[self.uuid] = came, came
        there.paused[self.uuid] = "Migration"
        if (record := here.live.get(self.uuid)) is not None:
            there.live[self.uuid] = there.records[self.uuid] = record
        here.moving[self.uuid] = self
        self._boots = self.source.boots, self.target.boots
        self._later(self._step, came, 1)
        return ""

    def _later(self, call: Callable[..., None], *args: object) -> None:
        wait = self.source.rng.uniform(0.05, 0.4)
        # Neither host's end ends it: the other one notices.
        (self.source if self.source.up else self.target).later(wait, call, *args)

    def _fine(self, came: DomainSpec) -> bool:
        here, there = self.source.machine, self.target.machine
        up = self.source.up and self.target.up and self._boots == (self.source.boots, self.target.boots)
        daemons = here.daemon and there.daemon
        return up and daemons and self.uuid in here.running and there.running.get(self.uuid) is came

    def _step(self, came: DomainSpec, step: int) -> None:
        self.job = Job(STEPS, step)
        if not self._fine(came) or self.given_up or self.source.chance(self.source.faults.moves_fail):
            self._fail(came)
        elif step < STEPS:
            self._later(self._step, came, step + 1)
        else:
            self.source.machine.paused[self.uuid] = "Migration"
            self.source.tell(self.uuid)
            self._later(self._finish, came)

    def _finish(self, came: DomainSpec) -> None:
        if not self._fine(came):
            self._fail(came)
            return
        self.target.machine.paused[self.uuid] = "User"
        self.target.tell(self.uuid)
        self._later(self._confirm, came)

    def _confirm(self, came: DomainSpec) -> None:
        """The target has said that it is whole. If its word was lost, the source lets the guest go on instead."""
        if not self.source.up or self._boots[0] != self.source.boots or not self.source.machine.daemon:
            self.source.machine.moving.pop(self.uuid, None)
            return  # left paused at the source, or dead with it; whole at the target
        if not self.target.up or self._boots[1] != self.target.boots or not self.target.machine.daemon:
            self._fail(came)
            return
        machine = self.source.machine
        self.source.end_guest(self.uuid, "Migrated")
        for kept in (machine.defined, machine.records, machine.ends, machine.moving):
            kept.pop(self.uuid, None)
        self.source.tell(self.uuid)
        self.over("")

    def _fail(self, came: DomainSpec) -> None:
        here, there = self.source.machine, self.target.machine
        here.moving.pop(self.uuid, None)
        if there.running.get(self.uuid) is came and there.paused.get(self.uuid) == "Migration":
            self.target.end_guest(self.uuid, "Destroyed")
            for kept in (there.defined, there.records, there.ends):
                kept.pop(self.uuid, None)
        if here.paused.get(self.uuid) == "Migration":
            del here.paused[self.uuid]
            self.source.resumed(self.uuid)
        self.over("the move was cut off")
