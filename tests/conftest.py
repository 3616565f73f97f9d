"""What all tests share: plain log lines, which pytest shows only where a test fails."""

from __future__ import annotations

import structlog

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,  # the coloured tracebacks of the default cost a second each
        structlog.processors.LogfmtRenderer(bool_as_flag=False),
    ],
    logger_factory=structlog.PrintLoggerFactory(),
)
