"""Decides how one ConsoleChannel is connected: once, and never again.

The hash of the nonce is in the status before the agent dials. So an agent that finds one there that it did not draw
knows that an earlier process dialled, and that its connection ended with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.hypervisor.channels.model import Action, Channel, Connect, HangUp, Prepare, Seen, Wanted
from operators.contract.meta import condition
from operators.contract.reasons import Reason, Type
from operators.kernel.outcome import Blocked, Done, Outcome

OVER = frozenset({Reason.CLOSED, Reason.STOPPED, Reason.HYPERVISOR_ERROR, Reason.NETWORK_ERROR})
"""Reasons after which nothing more becomes of a channel."""
AGAIN = "open the console again"


def plan(wanted: Wanted, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """The next steps, and whether the console is connected."""
    channel = wanted.channel
    if channel is None or channel.meta.deleting:
        return ((HangUp(wanted.key),) if seen.held else ()), Blocked(Reason.CLOSED, "the channel is being removed")
    if seen.held and seen.held != channel.meta.uid:
        actions, outcome = _fresh(channel, Seen(seen.runs))
        return (HangUp(wanted.key), *actions), outcome
    return _fresh(channel, seen) if not seen.held else _held(channel, seen)


def _fresh(channel: Channel, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """A channel of which this process has nothing yet."""
    said = condition(channel.status.conditions, Type.CONNECTED)
    if said is not None and said.reason in OVER:
        return (), Blocked(said.reason, said.message)
    if channel.status.nonce_sha256:
        return (), Blocked(Reason.CLOSED, f"the host's agent was started anew: {AGAIN}")
    if not seen.runs:
        return (), _off(channel)
    return (Prepare(channel),), _connecting(channel)


def _held(channel: Channel, seen: Seen) -> tuple[Sequence[Action], Outcome]:
    """A channel that this process is about."""
    if seen.ended is not None:
        return (), Blocked(seen.ended.reason, seen.ended.message)
    if seen.connected:
        return (), Done(Reason.CONNECTED)
    if not seen.dialled and channel.status.nonce_sha256 == seen.nonce_sha256:
        return ((Connect(channel),), _connecting(channel)) if seen.runs else ((), _off(channel))
    return (), _connecting(channel)


def _connecting(channel: Channel) -> Outcome:
    return Blocked(Reason.CONNECTING, f"{channel.spec.address} is being dialled")


def _off(channel: Channel) -> Outcome:
    return Blocked(
        Reason.STOPPED, f"VirtualMachine {channel.spec.virtual_machine.name} does not run on this host: start it first"
    )
