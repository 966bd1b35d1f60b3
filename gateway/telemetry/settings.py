"""The settings of logs and metrics."""

from __future__ import annotations

from typing import Literal

from gateway.addresses import Address
from gateway.section import Section


class Telemetry(Section):
    """Logs and metrics.

    Attributes:
        metrics: Where Prometheus scrapes; empty for nowhere.
        log_level: The lowest level that is logged.
        log_format: ``auto`` is for people on a terminal and JSON elsewhere.
        log_transcripts: Whether recognised words may be logged (at debug level).
        log_numbers: Whether phone numbers may be logged.
    """

    metrics: Address | Literal[""] = "127.0.0.1:9464"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_transcripts: bool = False
    log_numbers: bool = False
