"""Decide how the limits of this host's taps must change. Pure.

Towards a guest packets wait in a token bucket, so that TCP finds its pace; from a guest what is too much is dropped,
before anything else looks at it. (libvirt's own `<bandwidth>` wants `police` and `sfq`, which not every kernel has.)
"""

from __future__ import annotations

from agents.network.rates.model import TABLE, Action, Police, Seen, Shape, Wanted
from agents.network.rules import DROP, Chain, Expression, Table, difference, remove
from operators.kernel.outcome import Done, Outcome

LATENCY = "50ms"
"""How long a packet may wait."""
_LEAST_BURST = 32 * 1024
"""Bytes: a few large frames, as network cards hand them over."""
_INGRESS = 0


def plan(want: Wanted, seen: Seen) -> tuple[list[Action], Outcome]:
    """A limit on each tap that is there and has one, and on no other."""
    rates = {tap: rate for tap, rate in sorted(want.rates.items()) if tap in seen.taps}
    lines = [_bucket(tap, rate) for tap, rate in rates.items() if seen.shaped.get(tap) != bytes_of(rate)]
    lines += [f"qdisc del dev {tap} root" for tap in sorted(seen.shaped.keys() - rates.keys())]
    wanted = table(rates)
    if rates:
        commands = difference(wanted, seen.table)
    else:
        commands = remove(wanted.family, wanted.name) if seen.table.structure else []
    actions: list[Action] = [Shape(tuple(lines))] if lines else []
    return [*actions, *([Police(tuple(commands))] if commands else [])], Done()


def bytes_of(rate: int) -> int:
    """Bytes a second of Mbit/s."""
    return rate * 1_000_000 // 8


def burst(rate: int) -> int:
    """Bytes that may go at once: a hundredth of a second's."""
    return max(_LEAST_BURST, bytes_of(rate) // 100)


def _bucket(tap: str, rate: int) -> str:
    return f"qdisc replace dev {tap} root tbf rate {rate}mbit burst {burst(rate)}b latency {LATENCY}"


def table(rates: dict[str, int]) -> Table:
    """A chain for each tap, at the moment its frames come in."""
    chains = [
        Chain(f"from_{tap}", "ingress", _INGRESS, [[_over(rate), DROP]], device=tap) for tap, rate in rates.items()
    ]
    return Table("netdev", TABLE, chains)


def _over(rate: int) -> Expression:
    """What is beyond a rate, in the words in which nft lists it."""
    kib = bytes_of(rate) // 1024
    return {
        "limit": {
            "rate": kib,
            "burst": max(_LEAST_BURST, bytes_of(rate) // 20) // 1024,
            "per": "second",
            "rate_unit": "kbytes",
            "burst_unit": "kbytes",
            "inv": True,
        }
    }
