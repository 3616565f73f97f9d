"""The commands, one module a resource; `ALL` is what there is."""

from __future__ import annotations

from operators.api.commands import (
    catalogue,
    deploy,
    fabric,
    guests,
    identity,
    jobs,
    machines,
    networks,
    system,
    volumes,
)
from operators.api.declare import Command

ALL: tuple[Command, ...] = tuple(
    sorted(
        (
            *system.COMMANDS,
            *fabric.COMMANDS,
            *catalogue.COMMANDS,
            *guests.COMMANDS,
            *deploy.COMMANDS,
            *machines.COMMANDS,
            *volumes.COMMANDS,
            *networks.COMMANDS,
            *identity.COMMANDS,
            *jobs.COMMANDS,
        ),
        key=lambda command: command.name,
    )
)
"""By name."""
