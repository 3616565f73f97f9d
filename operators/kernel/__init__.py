"""The kernel: level-triggered reconciliation, the same for every component and agent.

`outcome` says how a run may end, `store`, `clock` and `queue` are the ports to the world, `cache` what was seen of it,
`controller` one observe → plan → act → report loop, `manager` several of them in one process, and `shell` the thin
layer of kopf that feeds it. Everything but `shell`, `rest` and `health` also runs on a virtual clock, in memory.
"""

from operators.kernel.cache import Cache
from operators.kernel.clock import Clock, SystemClock
from operators.kernel.controller import Controller, Report, Watch
from operators.kernel.manager import Manager
from operators.kernel.outcome import Blocked, Done, Outcome, Problem, Rejected, Retry
from operators.kernel.store import Store

__all__ = [
    "Blocked",
    "Cache",
    "Clock",
    "Controller",
    "Done",
    "Manager",
    "Outcome",
    "Problem",
    "Rejected",
    "Report",
    "Retry",
    "Store",
    "SystemClock",
    "Watch",
]
