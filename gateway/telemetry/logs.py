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

from gateway.telemetry.settings import Telemetry

_LEVELS = logging.getLevelNamesMapping()
_lowest = [logging.INFO]


def set_level(level: str) -> None:
    """Sets the lowest level that is logged from now on: ``debug``, ``info``, ``warning`` or ``error``."""
    _lowest[0] = _LEVELS[level.upper()]
    # Libraries that log by themselves: only what an operator must see.
    logging.getLogger().setLevel(max(_lowest[0], logging.WARNING))


def _high_enough(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    # a processor, for the level of a logger that is in use already cannot be changed
    if _LEVELS.get(method.upper(), logging.ERROR) < _lowest[0]:
        raise structlog.DropEvent
    return event


def _without(keys: frozenset[str]) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def drop(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for key in keys:
            event.pop(key, None)
        return event

    return drop


def processors(settings: Telemetry, *, console: bool) -> list[structlog.types.Processor]:
    """Returns what each line goes through.

    Tracebacks are without the variables of their frames, which may hold words, numbers and secrets.

    Args:
        settings: What may be in the lines.
        console: Whether they are for people.
    """
    hidden = {"words": settings.log_transcripts, "number": settings.log_numbers}
    render: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    return [
        _high_enough,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without(frozenset(key for key, shown in hidden.items() if not shown)),
        *render,
    ]


def configure(settings: Telemetry) -> None:
    """Sets up logging for this process, to standard error.

    Args:
        settings: Level, format, and what may be in the lines.
    """
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=processors(settings, console=console),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    set_level(settings.log_level)
