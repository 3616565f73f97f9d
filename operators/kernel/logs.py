"""Structured logs: one JSON object a line on stdout, or something for people where a person is looking.

Every line has `time`, `level`, `event` and `component`; within a run also `controller`, `key` and, where the object
belongs to one, `flow`. Libraries that log in the standard way (kopf, aiohttp) come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from structlog.typing import Processor


def configure(component: str, env: Mapping[str, str]) -> None:
    """Set up logging for this process. `LOG_LEVEL` is debug, info (the default), warning or error."""
    level = logging.getLevelNamesMapping().get(env.get("LOG_LEVEL", "info").upper(), logging.INFO)
    people = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if not people:
        shared.append(structlog.processors.format_exc_info)
    last: Processor = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(_json)
    stream = sys.stderr if people else sys.stdout
    structlog.contextvars.bind_contextvars(component=component)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Not by way of the standard library: that costs more than all the rest of a line.
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # kopf says at info what each of its tasks does; only its doubts are news, unless somebody looks very closely.
    for library in ("kopf", "asyncio", "aiohttp"):
        logging.getLogger(library).setLevel(level if level < logging.INFO else max(level, logging.WARNING))


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
