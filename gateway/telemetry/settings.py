"""The settings of logs, metrics and exports."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.addresses import Address
from gateway.section import Section


class Homer(Section):
    """Export of SIP messages, RTCP and call reports to Homer by HEP3.

    Attributes:
        address: Where the collector takes HEP3, as ``udp:homer.example:9060`` or ``tcp:…``; empty for nowhere.
        export: What it gets: SIP messages (numbers are in them, credentials and SRTP keys are not), RTCP, and a report
            of each leg at the end of a call.
        capture_id: By which Homer knows who captured it.
        password: What Homer wants to see, if anything.
    """

    address: Annotated[str, Field(pattern=r"^((udp|tcp):(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):\d{1,5})?$")] = ""
    export: list[Literal["sip", "rtcp", "reports"]] = ["sip", "rtcp", "reports"]
    capture_id: Annotated[int, Field(ge=0, lt=2**32)] = 2001
    password: SecretStr = SecretStr("")


class Telemetry(Section):
    """Logs, metrics and exports.

    Attributes:
        metrics: Where Prometheus scrapes; empty for nowhere.
        log_level: The lowest level that is logged.
        log_format: ``auto`` is for people on a terminal and JSON elsewhere.
        log_transcripts: Whether recognised words may be logged (at debug level).
        log_numbers: Whether phone numbers may be logged.
        tapes: So many calls at once, and of those that are over, are recorded to be replayed (``asr-gateway trace``); 0
            for none.
        homer: Where SIP messages, RTCP and call reports are exported to.
    """

    metrics: Address | Literal[""] = "127.0.0.1:9464"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_transcripts: bool = False
    log_numbers: bool = False
    tapes: Annotated[int, Field(ge=0, le=100)] = 4
    homer: Homer = Homer()
