"""The settings of logs, metrics and exports."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import Field, SecretStr, field_validator, model_validator

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


class Otel(Section):
    """Traces of calls for an OpenTelemetry collector, by OTLP over HTTP (needs the extra ``otel``).

    Attributes:
        endpoint: Where it takes traces, as ``http://collector:4318/v1/traces``; empty for nowhere.
        headers: What it wants to see of us, as ``name=value``, several separated by commas; values may be
            percent-encoded.
        service_name: By which it knows the gateway.
        sample_ratio: Share of the calls that get a trace, 0 to 1.
    """

    endpoint: Annotated[str, Field(pattern=r"^(https?://[^\s@/]+(/\S*)?)?$")] = ""
    headers: SecretStr = SecretStr("")
    service_name: Annotated[str, Field(min_length=1)] = "asr-gateway"
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0

    def pairs(self) -> dict[str, str]:
        """Returns the headers by name."""
        told = (item.partition("=") for item in self.headers.get_secret_value().split(",") if item.strip())
        return {name.strip(): unquote(value.strip()) for name, _, value in told}

    @field_validator("headers")
    @classmethod
    def _pairs(cls, value: SecretStr) -> SecretStr:
        items = [item for item in value.get_secret_value().split(",") if item.strip()]
        if not all(re.fullmatch(r"\s*[\w.-]+\s*=[\x20-\x7e]*", item, re.ASCII) for item in items):
            raise ValueError("name=value is wanted, several separated by commas")
        return value

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if self.endpoint:
            try:
                version("opentelemetry-exporter-otlp-proto-http")
            except PackageNotFoundError as error:
                raise ValueError(
                    "endpoint is set, but OpenTelemetry is not installed: pip install asr-gateway[otel], or empty it"
                ) from error
        return self


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
        otel: Where traces of calls are exported to.
    """

    metrics: Address | Literal[""] = "127.0.0.1:9464"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_transcripts: bool = False
    log_numbers: bool = False
    tapes: Annotated[int, Field(ge=0, le=100)] = 4
    homer: Homer = Homer()
    otel: Otel = Otel()
