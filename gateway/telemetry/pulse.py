"""What telemetry keeps in mind for people who look: the last hour's latencies, results of webhooks, the recorder."""

from __future__ import annotations

import time
from collections import Counter

from gateway.telemetry.latency import LastHour
from gateway.telemetry.recorder import Recorder


class Pulse:
    """The gateway's memory of how it does.

    Attributes:
        last_hour: Latencies by minute.
        recorder: Steps of the last calls.
        results: Of the last request, by endpoint.
        dead: Dead letters, by endpoint.
        delivered: Events acknowledged, by endpoint.
        store: ``ok``, or why events cannot be written.
        oldest: Age of the oldest event that waits, in seconds, by endpoint.
        loop_lag: How late the event loop was at its worst, of the last second.
    """

    def __init__(self) -> None:
        self.last_hour = LastHour()
        self.recorder = Recorder(time.monotonic_ns)
        self.results: dict[str, str] = {}
        self.dead: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.store = "ok"
        self.oldest: dict[str, float] = {}
        self.loop_lag = 0.0

    def late(self, seconds: float) -> None:
        """Takes how late the event loop was; the worst fades away over a second or so."""
        self.loop_lag = max(seconds, self.loop_lag * 0.5, 0.0)
