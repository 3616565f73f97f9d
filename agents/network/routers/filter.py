"""The rules inside a router's namespace: source NAT, and nothing from outside but answers. Pure."""

from __future__ import annotations

import ipaddress

from agents.network.routers.model import INSIDE, OUTSIDE
from agents.network.rules import ACCEPT, DROP, Chain, Expression, Table, any_of, ct_state, match, meta, payload
from operators.contract.networking import RouterSpec

TABLE = "cloudstack"
_FILTER, _SRCNAT = 0, 100
_FROM_INSIDE = match(meta("iifname"), "==", INSIDE)
_ANSWERS: list[Expression] = [ct_state("established", "related"), ACCEPT]
_INVALID: list[Expression] = [ct_state("invalid"), DROP]


def table(spec: RouterSpec) -> Table:
    """The router's one table."""
    to_router = [
        _ANSWERS,
        _INVALID,
        [match(meta("iifname"), "==", "lo"), ACCEPT],
        [match(payload("ip", "protocol"), "==", "icmp"), ACCEPT],
        [_FROM_INSIDE, match(payload("udp", "dport"), "==", any_of(53, 67)), ACCEPT],
        [_FROM_INSIDE, match(payload("tcp", "dport"), "==", 53), ACCEPT],
    ]
    through = [_ANSWERS, _INVALID]
    chains = [Chain("input", "input", _FILTER, to_router, policy="drop")]
    if spec.uplink is None:
        return Table("inet", TABLE, [*chains, Chain("forward", "forward", _FILTER, through, policy="drop")])
    inside = ipaddress.IPv4Interface(spec.gateway).network
    public = str(ipaddress.IPv4Interface(spec.uplink.address).ip)
    guests = match(
        payload("ip", "saddr"), "==", {"prefix": {"addr": str(inside.network_address), "len": inside.prefixlen}}
    )
    through.append([_FROM_INSIDE, match(meta("oifname"), "==", OUTSIDE), guests, ACCEPT])
    nat = [[match(meta("oifname"), "==", OUTSIDE), guests, {"snat": {"family": "ip", "addr": public}}]]
    return Table(
        "inet",
        TABLE,
        [
            *chains,
            Chain("forward", "forward", _FILTER, through, policy="drop"),
            Chain("postrouting", "postrouting", _SRCNAT, nat, type="nat"),
        ],
    )
