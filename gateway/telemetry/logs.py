"""Logs: structlog, JSON lines for machines, colours on a terminal; no transcript and no number unless they are let in.

Code logs words under ``words`` and phone numbers under ``number``: those two keys are dropped unless the operator chose
otherwise. Secrets are never put into a log call at all.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import structlog
from structlog.types import EventDict, WrappedLogger

from gateway.config import Telemetry


def _without(keys: frozenset[str]) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def drop(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for key in keys:
            event.pop(key, None)
        return event

    return drop


def configure(settings: Telemetry) -> None:
    """Sets up logging for this process, to standard error.

    Args:
        settings: Level, format, and what may be in the lines.
    """
    hidden = {"words": settings.log_transcripts, "number": settings.log_numbers}
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    level = getattr(logging, settings.log_level.upper())
    render: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if console
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without(frozenset(key for key, shown in hidden.items() if not shown)),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries that log by themselves: only what an operator must see.
    logging.basicConfig(level=max(level, logging.WARNING), format="%(message)s", stream=sys.stderr)
