"""A collector of OpenTelemetry traces: takes them by OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """A span as it came; times in seconds since 1970."""

    name: str
    trace: str
    id: str
    parent: str
    start: float
    end: float
    failed: bool
    facts: dict[str, Any]
    events: dict[str, float]
    resource: dict[str, Any]


class Collector:
    """Serves on a free loopback port.

    Attributes:
        spans: All that came.
        headers: Of the last request.
        bodies: Of all requests.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.endpoint = ""
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Collector:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1/traces"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def of(self, name: str, **facts: Any) -> list[Span]:
        """Returns the spans of a name, with these attributes, in the order of their starts."""
        wanted = {f"asr_gateway.{key}": value for key, value in facts.items()}
        found = [span for span in self.spans if span.name == name and wanted.items() <= span.facts.items()]
        return sorted(found, key=lambda span: span.start)

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Waits until the spans fulfil a condition."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.headers = dict(request.headers)
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _facts(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano / 1e9,
                        span.end_time_unix_nano / 1e9,
                        span.status.code == span.status.STATUS_CODE_ERROR,
                        _facts(span.attributes),
                        {event.name: event.time_unix_nano / 1e9 for event in span.events},
                        about,
                    )
                    for span in scope.spans
                ]
        self._changed.set()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _facts(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
