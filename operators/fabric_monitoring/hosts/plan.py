"""Judge a Host by the silence of its agents. Nothing is done to it here; fencing and recovery are another room's."""

from __future__ import annotations

from operators.contract import names
from operators.contract.fabric import HostState
from operators.contract.meta import Condition
from operators.contract.reasons import Reason, Type
from operators.fabric_monitoring.heartbeats import LATE_AFTER, SILENT_AFTER, Pulse
from operators.fabric_monitoring.hosts.model import Seen, Verdict, Wanted
from operators.kernel.outcome import Blocked, Done, Outcome

HYPERVISOR = names.AGENTS[0]
JUDGED = (HostState.UP, HostState.SUSPECT, HostState.DOWN)


def plan(want: Wanted, seen: Seen) -> tuple[list[object], Outcome]:
    """Whether the Host is fit for work, which becomes `Ready`."""
    host = want.host
    verdict = judge(want, seen)
    if verdict is None:
        return [], Done()  # The last word stands, and is not written again.
    match verdict.state:
        case HostState.UP:
            silent = [name for name in names.AGENTS if name not in seen.reported]
            if silent:
                return [], Blocked(
                    Reason.WAITING_FOR_HOST, f"no report yet from the {_agents(silent)} on {host.spec.node}"
                )
            return [], Done()
        case _:
            return [], Blocked(verdict.reachable.reason, verdict.reachable.message)


def judge(want: Wanted, seen: Seen) -> Verdict | None:
    """The Host's state; None while it cannot be told and something was told before, which stands until then."""
    told = want.host.status.state in JUDGED
    # The wall clock alone may confirm what was said, or begin; it may not change anything.
    presumed = Pulse.FRESH if want.host.status.state == HostState.UP or not told else Pulse.UNKNOWN
    pulses = {name: presumed if pulse is Pulse.PRESUMED else pulse for name, pulse in seen.pulses.items()}
    if Pulse.UNKNOWN in pulses.values():
        return None if told else _verdict(HostState.UNKNOWN, "Unknown", Reason.WAITING_FOR_HOST, "no heartbeat yet")
    node = want.host.spec.node
    if pulses[HYPERVISOR] is Pulse.SILENT:
        return _verdict(
            HostState.DOWN,
            "False",
            Reason.HOST_DOWN,
            f"its {_agents([HYPERVISOR])} has not been heard of for more than {SILENT_AFTER:.0f} s: "
            f"look after node {node} and its agents' pod. Guests on it may still run",
        )
    late = [name for name, pulse in pulses.items() if pulse is not Pulse.FRESH]
    if late:
        return _verdict(
            HostState.SUSPECT,
            "True",
            Reason.AGENT_SILENT,
            f"the {_agents(late)} was not heard of for more than {LATE_AFTER:.0f} s: "
            f"look after the agents' pod on node {node}",
        )
    return _verdict(HostState.UP, "True", Reason.AGENTS_BEATING, "")


def _verdict(state: HostState, reachable: str, reason: str, message: str) -> Verdict:
    return Verdict(state, Condition(Type.REACHABLE, reachable, reason, message))


def _agents(agents: list[str]) -> str:
    return f"{' and '.join(agents)} agent{'s' if len(agents) > 1 else ''}"
