"""The Prometheus metrics, on a port of their own. Bound children are kept; no label grows with calls or legs."""

from __future__ import annotations

import time
from collections import Counter as Sums
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.registry import Collector

from gateway import events
from gateway.calls.leg import SessionCause
from gateway.media.chunks import SAMPLE_RATE
from gateway.media.quality import Quality
from gateway.media.timeline import wall_clock
from gateway.telemetry import latency
from gateway.telemetry.latency import Unmeasurable
from gateway.telemetry.writes import Writes

# Finals without a known end of speech that are remembered until they are delivered.
UNKNOWN = 10_000

# Writes that are measured together, at most.
WRITES = 1000
SHED = frozenset(("draining", "full", "rate", "busy"))
"""Causes for which new calls get 503; others are dropped."""


class Metrics:
    """All metrics of one gateway; its methods are what the parts call when something happens."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._refused = self._counter("calls_refused", "INVITEs refused, by cause", "cause")
        self._dropped_sip = self._counter("sip_dropped_messages", "SIP messages dropped unparsed, by cause", "cause")
        self._setup = Histogram(
            "asr_gateway_call_setup_seconds",
            "From the arrival of an INVITE that was taken to the ACK of its answer",
            buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 32),
            registry=self.registry,
        )
        self._keys = self._counter("dtmf_keys", "Keys pressed, by whether they were told or withheld", "what")
        self._begun = self._counter(
            "asr_sessions_begun",
            "Recogniser sessions that began to speak for a leg, by engine and cause: first, continued (roll-over at an "
            "engine's limit, or after a long silence), regained (after a loss)",
            "engine",
            "cause",
        )
        self._asr_bytes = self._counter(
            "asr_written_bytes", "Audio bytes written to recognisers, replays included, by engine", "engine"
        )
        self._backlog = self._gauge("asr_backlog_seconds", "Audio that no recogniser session has yet, over all legs")
        self._furthest = self._gauge("asr_backlog_worst_seconds", "The same of the leg that is furthest behind")
        self._written_before: Sums[str] = Sums()  # by legs that are over
        self._written_told: Sums[str] = Sums()
        self._legs_total = self._counter("legs_answered", "Legs answered")
        self._legs_ended = self._counter("legs_ended", "Legs that ended, by reason", "reason")
        self._signalling_lost = self._counter("signalling_restarts", "Times that the signalling process was lost")
        self._asr_lost = self._counter(
            "asr_sessions_lost", "Recogniser sessions lost, by engine and code", "engine", "code"
        )
        self._audio = self._counter("audio_seconds", "Audio of the legs that ended, by what became of it", "what")
        self._attempts = self._counter(
            "webhook_attempts", "Webhook requests, by endpoint and result", "endpoint", "result"
        )
        self._undelivered = self._counter(
            "webhook_events_dropped", "Events not sent to an endpoint", "endpoint", "reason"
        )
        self._undurable = self._counter("outbox_undurable_events", "Events that could not be written to disk")
        self._homer = self._counter("homer_packets", "HEP3 packets for Homer, by result", "result")
        self._otel = self._counter("otel_spans", "Spans for the OpenTelemetry collector, by result", "result")
        self._unmeasurable = self._counter("latency_unmeasurable", "Latencies not measured", "latency", "reason")
        self._no_cursor = self._unmeasurable.labels(latency.PARTIAL_LAG.name, Unmeasurable.NO_CURSOR.value)
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
        self._sessions = self._gauge("asr_sessions", "Legs by the state of their recognition", "engine", "state")
        self._waiting = self._gauge("webhook_waiting_events", "Durable events that wait for an endpoint", "endpoint")
        self._oldest = self._gauge(
            "webhook_oldest_waiting_seconds", "Age of the oldest durable event that waits for an endpoint", "endpoint"
        )
        self._write = Writes()
        self.registry.register(self._write)
        self._writes: list[tuple[str, float]] = []
        self._cursorless = 0
        self._to_heard = self._histogram(latency.WRITE_TO_HEARD, "engine")
        self._to_partial = self._histogram(latency.SPEECH_TO_PARTIAL)
        self._lag = self._histogram(latency.PARTIAL_LAG)
        self._to_final = self._histogram(latency.SPEECH_TO_FINAL)
        self._to_webhook = self._histogram(latency.FINAL_TO_WEBHOOK, "endpoint")
        self._speech_to_webhook = self._histogram(latency.SPEECH_TO_WEBHOOK, "endpoint")
        self._bound = cache(lambda metric, *labels: metric.labels(*labels))
        self._known_sessions: dict[tuple[str, str], Gauge] = {}
        self._unknown: OrderedDict[str, Unmeasurable] = OrderedDict()  # finals whose end of speech is not known
        self._run_since = wall_clock(time.monotonic_ns())
        self.on_measured: Callable[[str, str, float], None] = lambda _call, _latency, _seconds: None
        self.on_written: Callable[[Sequence[tuple[str, float]]], None] = lambda _writes: None
        self.on_session: Callable[[str, str, str, str], None] = lambda _call, _leg, _engine, _cause: None
        self.on_recognised: Callable[[str, str], None] = lambda _call, _leg: None

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

    def sessions(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Takes how many recognitions there are, by engine and state."""
        for (engine, state), child in self._known_sessions.items():
            child.set(counts.get(engine, {}).get(state, 0))
        for engine, states in counts.items():
            for state, count in states.items():
                if (engine, state) not in self._known_sessions:
                    child = self._known_sessions[engine, state] = self._sessions.labels(engine, state)
                    child.set(count)

    def surveyed(self, written: Mapping[str, int], backlog: float, worst: float) -> None:
        """Takes what only a look at all legs tells.

        Args:
            written: Bytes that the legs that are up have written so far, by engine.
            backlog: Seconds of audio that no session has yet, of all legs.
            worst: Likewise, of the leg that is furthest behind.
        """
        for engine, size in (self._written_before + Sums(written)).items():
            self._bound(self._asr_bytes, engine).inc(max(0, size - self._written_told[engine]))
            self._written_told[engine] = max(size, self._written_told[engine])
        self._backlog.set(backlog)
        self._furthest.set(worst)

    def collect(self, collector: Collector) -> None:
        """Adds what is made at each scrape, in the scraping thread."""
        self.registry.register(collector)

    def waiting(self, endpoint: str, events: int, oldest: float) -> None:
        """Takes what waits for an endpoint, and since how many seconds."""
        self._bound(self._waiting, endpoint).set(events)
        self._bound(self._oldest, endpoint).set(oldest)

    def build(self, **labels: str) -> None:
        """Says what is running."""
        self._gauge("build_info", "What is running; always 1", *labels).labels(**labels).set(1)

    # what the parts call

    def call_refused(self, cause: str) -> None:
        """An INVITE was refused."""
        self._bound(self._refused, cause).inc()

    def sip_kept(self, counts: Mapping[str, int]) -> None:
        """So many SIP messages were kept out, by cause; of those, new calls were answered with 503."""
        for cause, count in counts.items():
            metric = self._refused if cause in SHED else self._dropped_sip
            self._bound(metric, cause).inc(count)

    def call_set_up(self, seconds: float) -> None:
        """So long after its INVITE a dialog was confirmed."""
        self._setup.observe(seconds)

    def key_pressed(self, *, withheld: bool) -> None:
        """A key was pressed."""
        self._bound(self._keys, "withheld" if withheld else "told").inc()

    def asr_session(self, call: str, leg: str, engine: str, cause: SessionCause) -> None:
        """A recogniser's session speaks for a leg from now on."""
        self._bound(self._begun, engine, cause.value).inc()
        self.on_session(call, leg, engine, cause.value)

    def asr_done(self, call: str, leg: str) -> None:
        """A leg's last words are out."""
        self.on_recognised(call, leg)

    def asr_written(self, engine: str, size: int) -> None:
        """A leg is over, and so many bytes of audio were written to an engine."""
        self._written_before[engine] += size

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

    def audio_written(self, call: str, arrived: int, now: int) -> None:
        """Audio was written; times in monotonic nanoseconds."""
        self._writes.append((call, (now - arrived) / 1e9))
        if len(self._writes) >= WRITES:
            self.flush()

    def flush(self) -> None:
        """Enters what comes with each message, and was only noted; to be called a few times a second."""
        writes, self._writes = self._writes, []
        self._write.add(writes)
        if self._cursorless:
            self._no_cursor.inc(self._cursorless)
            self._cursorless = 0
        self.on_written(writes)

    def audio_heard(self, engine: str, seconds: float) -> None:
        """A recogniser has worked through audio that was written so long before."""
        self._bound(self._to_heard, engine).observe(seconds)

    def words_begun(self, event: events.Event, spoken_ns: int | None, *, located: bool) -> None:
        """An utterance, whose first sample was due at ``spoken_ns`` (monotonic), was shown for the first time."""
        self._since_speech(latency.SPEECH_TO_PARTIAL, self._to_partial, event, spoken_ns, located)

    def words_settled(self, event: events.Event, spoken_ns: int | None, *, located: bool) -> None:
        """An utterance, whose last sample was due at ``spoken_ns`` (monotonic), became final."""
        reason = self._since_speech(latency.SPEECH_TO_FINAL, self._to_final, event, spoken_ns, located)
        if reason is not None:
            self._unknown[event.id] = reason
            if len(self._unknown) > UNKNOWN:
                self._unknown.popitem(last=False)

    def words_lag(self, call: str, seconds: float | None) -> None:
        """A text ends so long before the audio."""
        if seconds is None:
            self._cursorless += 1
        else:
            self._measured(latency.PARTIAL_LAG, self._lag, call, seconds)

    def leg_accounted(self, leg: events.LegMedia) -> None:
        """A leg is over."""
        for what in ("received", "concealed", "paused", "sent", "withheld", "unrecognised"):
            self._bound(self._audio, what).inc(getattr(leg, what) / SAMPLE_RATE)

    def leg_heard(self, quality: Quality) -> None:
        """A leg is over, and sounded like this."""
        self._mos.observe(quality.mos)
        self._jitter.observe(quality.jitter_ms / 1000)
        self._loss.observe(quality.loss)
        if quality.drift_ppm is not None:
            self._drift.observe(abs(quality.drift_ppm))

    def webhook_attempted(self, endpoint: str, result: str) -> None:
        """A webhook request ended."""
        self._bound(self._attempts, endpoint, result).inc()

    def webhook_delivered(self, endpoint: str, event: events.Event) -> None:
        """An endpoint answered 2xx to an event."""
        if not isinstance(event.data, events.TranscriptFinal):
            return
        if event.time < self._run_since:
            self._missed(latency.FINAL_TO_WEBHOOK, Unmeasurable.EARLIER_RUN)
            self._missed(latency.SPEECH_TO_WEBHOOK, Unmeasurable.EARLIER_RUN)
            return
        now, call = wall_clock(time.monotonic_ns()), event.call.id
        child = self._bound(self._to_webhook, endpoint)
        self._measured(latency.FINAL_TO_WEBHOOK, child, call, (now - event.time).total_seconds())
        if event.id in self._unknown:
            self._missed(latency.SPEECH_TO_WEBHOOK, self._unknown[event.id])
            return
        spoken = event.data.time + timedelta(milliseconds=event.data.end_ms - event.data.start_ms)
        child = self._bound(self._speech_to_webhook, endpoint)
        self._measured(latency.SPEECH_TO_WEBHOOK, child, call, (now - spoken).total_seconds())

    def webhook_dropped(self, endpoint: str, reason: str) -> None:
        """An event is not sent to an endpoint."""
        self._bound(self._undelivered, endpoint, reason).inc()

    def homer_packet(self, result: str) -> None:
        """A packet for Homer was sent, or dropped for a reason."""
        self._bound(self._homer, result).inc()

    def otel_spans(self, result: str, spans: int) -> None:
        """So many spans were sent to the OpenTelemetry collector, or dropped for a reason."""
        self._bound(self._otel, result).inc(spans)

    def undurable(self) -> None:
        """An event could not be written to disk."""
        self._undurable.inc()

    # inside

    def _since_speech(
        self, what: latency.Latency, metric: Histogram, event: events.Event, spoken_ns: int | None, located: bool
    ) -> Unmeasurable | None:
        reason = Unmeasurable.NO_ANCHOR if spoken_ns is None else None if located else Unmeasurable.NO_SPEECH_FOUND
        if reason is not None or spoken_ns is None:
            self._missed(what, reason or Unmeasurable.NO_ANCHOR)
        else:
            self._measured(what, metric, event.call.id, (time.monotonic_ns() - spoken_ns) / 1e9)
        return reason

    def _measured(self, what: latency.Latency, metric: Histogram, call: str, seconds: float) -> None:
        # the exemplar names a call to look at; only scrapers that ask for OpenMetrics get it
        metric.observe(seconds, {"call": call})
        self.on_measured(call, what.short, seconds)

    def _missed(self, what: latency.Latency, reason: Unmeasurable) -> None:
        self._bound(self._unmeasurable, what.name, reason.value).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"asr_gateway_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"asr_gateway_{name}", text, labels, registry=self.registry)

    def _histogram(self, what: latency.Latency, *labels: str) -> Histogram:
        return Histogram(what.name, what.meaning, labels, unit="seconds", buckets=what.buckets, registry=self.registry)
