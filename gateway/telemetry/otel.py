"""Sends spans to an OpenTelemetry collector, by OTLP over HTTP; only imported where one is configured.

Spans are made on the event loop and sent by a thread of the SDK's own. What waits is bounded; the policy when full is
*drop the newest*, which is counted. A batch that the collector does not take within ``EXPORT_SECONDS`` is dropped and
counted. A collector that is slow, or not there, costs the calls nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from gateway.telemetry.settings import Otel

log = structlog.get_logger()

BOUND = 4000
"""Spans that wait."""
BATCH = 500
EVERY_SECONDS, EXPORT_SECONDS, FLUSH_SECONDS = 2.0, 5.0, 2.0


class Exporter:
    """The way to one collector.

    Args:
        settings: Where it is, and what it gets.
        count: Told the result of so many spans: ``sent``, ``failed`` or ``queue_full``; by several threads.
    """

    def __init__(self, settings: Otel, count: Callable[[str, int], None]) -> None:
        # a line for each attempt that fails; ours says it once
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._ids = _Ids()
        self._sender = _Sender(
            OTLPSpanExporter(endpoint=settings.endpoint, headers=settings.pairs(), timeout=EXPORT_SECONDS),
            settings.endpoint,
            count,
        )
        self._waiting = _Waiting(self._sender, count)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # calls are sampled before any span is made
            resource=Resource.create(
                {"service.name": settings.service_name, "service.version": version("asr-gateway")}
            ),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(self._waiting)
        self._tracer = self._provider.get_tracer("asr-gateway")

    def span(
        self,
        name: str,
        *,
        trace: int,
        start: int,
        parent: int = 0,
        number: int = 0,
        kind: SpanKind = SpanKind.INTERNAL,
        facts: dict[str, str | int | float | bool],
    ) -> Span:
        """Begins a span.

        Args:
            name: What it is a span of.
            trace: Its trace.
            start: When it began, nanoseconds since 1970.
            parent: Span id of what it is a part of; 0 for the trace's root.
            number: Its own span id; 0 for a random one.
            kind: Which side of a request it is.
            facts: Its attributes.
        """
        self._ids.trace, self._ids.span = trace, number
        context = Context()
        if parent:
            above = SpanContext(trace, parent, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            context = set_span_in_context(NonRecordingSpan(above), context)
        return self._tracer.start_span(name, context, kind=kind, attributes=facts, start_time=start)

    async def stop(self) -> None:
        """Sends what waits, for two seconds at most."""
        if not await _within(FLUSH_SECONDS, self._waiting.shutdown):
            self._sender.give_up()


class _Ids(IdGenerator):
    """Gives a span the ids that were chosen for it."""

    def __init__(self) -> None:
        self.trace = self.span = 0
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        chosen, self.span = self.span, 0
        return chosen or self._random.generate_span_id()


class _Sender(SpanExporter):
    """Counts what becomes of the spans, in the thread that sends them."""

    def __init__(self, exporter: OTLPSpanExporter, endpoint: str, count: Callable[[str, int], None]) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._count = count
        self._told = False
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.taken += len(spans)
            sent = result is SpanExportResult.SUCCESS
            self._count("sent" if sent else "failed", len(spans))
            if not sent and not self._told:
                log.warning("otel_unreachable", endpoint=self._endpoint, text="spans are dropped until it takes them")
            self._told = not sent
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def give_up(self) -> None:
        """Ends the waits between attempts."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _Waiting(SpanProcessor):
    """Bounds what waits, the batch that is on its way included: the SDK's own queue would drop without a count."""

    def __init__(self, sender: _Sender, count: Callable[[str, int], None]) -> None:
        self._sender = sender
        self._count = count
        self._put = 0
        self._batches = BatchSpanProcessor(
            sender,
            max_queue_size=BOUND,
            schedule_delay_millis=EVERY_SECONDS * 1000,
            max_export_batch_size=BATCH,
        )

    def on_end(self, span: ReadableSpan) -> None:
        if self._put - self._sender.taken >= BOUND:
            self._count("queue_full", 1)
            return
        self._put += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        self._batches.shutdown()  # type: ignore[no-untyped-call]


async def _within(seconds: float, act: Callable[[], None]) -> bool:
    """Does something in a thread that nobody waits for at the end; returns whether it was done in time."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        act()
        with contextlib.suppress(RuntimeError):  # too late: the loop is closed
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="otel-stop", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)
    return done.is_set()
