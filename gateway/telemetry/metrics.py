"""The Prometheus metrics, on a port of their own. Bound children are kept; no label grows with calls or legs."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from gateway import events
from gateway.delivery.observer import Dropped, Observer, Result
from gateway.media.chunks import SAMPLE_RATE
from gateway.media.quality import Quality
from gateway.media.timeline import wall_clock
from gateway.telemetry import latency


class Metrics:
    """All metrics of one gateway; its methods are what the parts call when something happens."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._refused = self._counter("calls_refused", "INVITEs refused, by cause", "cause")
        self._legs_total = self._counter("legs_answered", "Legs answered")
        self._legs_ended = self._counter("legs_ended", "Legs that ended, by reason", "reason")
        self._signalling_lost = self._counter("signalling_restarts", "Times that the signalling process was lost")
        self._asr_lost = self._counter(
            "asr_sessions_lost", "Recogniser sessions lost, by engine and code", "engine", "code"
        )
        self._audio = self._counter("audio_seconds", "Audio of the legs that ended, by what became of it", "what")
        self._packets = self._counter(
            "rtp_packets", "RTP packets of the legs that ended, by what became of them", "what"
        )
        self._dropped = self._gauge(
            "receiver_dropped_chunks", "Chunks dropped because the event loop was stalled too long"
        )
        self._attempts = self._counter(
            "webhook_attempts", "Webhook requests, by endpoint and result", "endpoint", "result"
        )
        self._undelivered = self._counter(
            "webhook_events_dropped", "Events not sent to an endpoint", "endpoint", "reason"
        )
        self._undurable = self._counter("outbox_undurable_events", "Events that could not be written to disk")
        self._unmeasurable = self._counter("latency_unmeasurable", "Latencies not measured", "latency", "reason")
        self._mos = Histogram(
            "asr_gateway_leg_mos",
            "Listening quality of the legs that ended, by the E-model (1 to 4.41)",
            buckets=(2, 2.5, 3, 3.5, 3.8, 4, 4.2, 4.3, 4.4),
            registry=self.registry,
        )
        self._jitter = Histogram(
            "asr_gateway_leg_jitter_seconds",
            "Interarrival jitter of the legs that ended",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
            registry=self.registry,
        )
        self._loss = Histogram(
            "asr_gateway_leg_loss_ratio",
            "Share of the packets of the legs that ended that were lost or late",
            buckets=(0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
            registry=self.registry,
        )
        self._drift = Histogram(
            "asr_gateway_leg_clock_drift_ppm",
            "How far the clocks of the legs that ended ran from ours, either way (millionths)",
            buckets=(1, 5, 10, 20, 50, 100, 200, 500),
            registry=self.registry,
        )
        self._write = self._histogram(latency.PACKET_TO_WRITE)
        self._to_heard = self._histogram(latency.WRITE_TO_HEARD, "engine")
        self._to_final = self._histogram(latency.SPEECH_TO_FINAL)
        self._to_webhook = self._histogram(latency.FINAL_TO_WEBHOOK, "endpoint")
        self._speech_to_webhook = self._histogram(latency.SPEECH_TO_WEBHOOK, "endpoint")
        self._bound = cache(lambda metric, *labels: metric.labels(*labels))

    def serve(self, address: str) -> Callable[[], None]:
        """Serves ``/metrics`` at ``ADDRESS:PORT``, in a thread of its own.

        Returns:
            What stops it.

        Raises:
            OSError: The port is taken.
        """
        host, port = address.rsplit(":", 1)
        server, thread = start_http_server(int(port), host.strip("[]"), registry=self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Adds a gauge that is read at each scrape.

        Args:
            name: Without the prefix.
            help_text: What it is, with its unit.
            read: Called in the scraping thread; must only read.
        """
        self._gauge(name, help_text).set_function(read)

    def build(self, **labels: str) -> None:
        """Says what is running."""
        self._gauge("build_info", "What is running; always 1", *labels).labels(**labels).set(1)

    # what the parts call

    def call_refused(self, cause: str) -> None:
        """An INVITE was refused."""
        self._bound(self._refused, cause).inc()

    def leg_up(self) -> None:
        """A leg was answered."""
        self._legs_total.inc()

    def leg_down(self, reason: str) -> None:
        """A leg ended."""
        self._bound(self._legs_ended, reason).inc()

    def signalling_lost(self) -> None:
        """The signalling process was lost."""
        self._signalling_lost.inc()

    def asr_lost(self, engine: str, code: str) -> None:
        """A recogniser's session was lost."""
        self._bound(self._asr_lost, engine, code).inc()

    def audio_written(self, arrived: int, now: int) -> None:
        """Audio was written; times in monotonic nanoseconds."""
        self._write.observe((now - arrived) / 1e9)

    def audio_heard(self, engine: str, seconds: float) -> None:
        """A recogniser has worked through audio that was written so long before."""
        self._bound(self._to_heard, engine).observe(seconds)

    def words_settled(self, _event: events.Event, spoken_ns: int | None) -> None:
        """An utterance, whose last sample was due at ``spoken_ns`` (monotonic), became final."""
        if spoken_ns is None:
            self._bound(self._unmeasurable, latency.SPEECH_TO_FINAL.name, "no_anchor").inc()
        else:
            self._to_final.observe((time.monotonic_ns() - spoken_ns) / 1e9)

    def leg_accounted(self, leg: events.LegMedia) -> None:
        """A leg is over."""
        for what in ("received", "concealed", "paused", "sent", "withheld", "unrecognised"):
            self._bound(self._audio, what).inc(getattr(leg, what) / SAMPLE_RATE)
        for what in ("packets", "lost", "late", "duplicates", "foreign"):
            self._bound(self._packets, "received" if what == "packets" else what).inc(getattr(leg, what))

    def leg_heard(self, quality: Quality) -> None:
        """A leg is over, and sounded like this."""
        self._mos.observe(quality.mos)
        self._jitter.observe(quality.jitter_ms / 1000)
        self._loss.observe(quality.loss)
        if quality.drift_ppm is not None:
            self._drift.observe(abs(quality.drift_ppm))

    def chunks_dropped(self, total: int) -> None:
        """The receiver's count of dropped chunks."""
        self._dropped.set(total)

    def webhook_attempted(self, endpoint: str, result: str) -> None:
        """A webhook request ended."""
        self._bound(self._attempts, endpoint, result).inc()

    def webhook_delivered(self, endpoint: str, event: events.Event) -> None:
        """An endpoint answered 2xx to an event."""
        now = wall_clock(time.monotonic_ns())
        if event.durable:
            self._bound(self._to_webhook, endpoint).observe((now - event.time).total_seconds())
        if isinstance(event.data, events.TranscriptFinal):
            spoken = event.data.time + timedelta(milliseconds=event.data.end_ms - event.data.start_ms)
            self._bound(self._speech_to_webhook, endpoint).observe((now - spoken).total_seconds())

    def webhook_dropped(self, endpoint: str, reason: str) -> None:
        """An event is not sent to an endpoint."""
        self._bound(self._undelivered, endpoint, reason).inc()

    def undurable(self) -> None:
        """An event could not be written to disk."""
        self._undurable.inc()

    # inside

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"asr_gateway_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"asr_gateway_{name}", text, labels, registry=self.registry)

    def _histogram(self, what: latency.Latency, *labels: str) -> Histogram:
        return Histogram(what.name, what.meaning, labels, unit="seconds", buckets=what.buckets, registry=self.registry)


class DeliveryMetrics(Observer):
    """Counts what delivery tells."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def attempted(self, endpoint: str, event_type: str, result: Result, seconds: float, status: int) -> None:  # noqa: ARG002
        """Counts a request."""
        self._metrics.webhook_attempted(endpoint, result)

    def delivered(self, endpoint: str, event: events.Event, at: float) -> None:  # noqa: ARG002
        """Measures a delivery."""
        self._metrics.webhook_delivered(endpoint, event)

    def dropped(self, endpoint: str, event_type: str, reason: Dropped) -> None:  # noqa: ARG002
        """Counts an event that is not sent."""
        self._metrics.webhook_dropped(endpoint, reason)

    def dead_letter(self, endpoint: str, event_type: str) -> None:  # noqa: ARG002
        """Counts an event whose attempts are used up."""
        self._metrics.webhook_dropped(endpoint, "dead_letter")

    def undurable(self, event_type: str) -> None:  # noqa: ARG002
        """Counts an event that is not on disk."""
        self._metrics.undurable()
