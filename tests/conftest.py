"""What all tests share: plain log lines, which pytest shows only where a test fails, and no judgement by the clock."""

from __future__ import annotations

import gc

import structlog
from hypothesis import HealthCheck, settings

# A test makes a world and leaves it: to look for garbage in it every 700 objects takes a seventh of the time.
gc.set_threshold(50_000)

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,  # the coloured tracebacks of the default cost a second each
        structlog.processors.LogfmtRenderer(bool_as_flag=False),
    ],
    logger_factory=structlog.PrintLoggerFactory(),
)

# Machines are shared and noisy: how long an example or its making takes says nothing about the code.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
