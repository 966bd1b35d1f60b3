"""What telemetry keeps in mind for people who look: the last hour's latencies, results of webhooks, the recorder."""

from __future__ import annotations

import time
from collections import Counter

from gateway.media.stats import StreamStats
from gateway.telemetry.latency import LastHour
from gateway.telemetry.recorder import Recorder

# Counters of legs that are over, kept so long that what shows their call still has them.
LEGS = 2000


class Pulse:
    """The gateway's memory of how it does.

    Attributes:
        last_hour: Latencies by minute.
        recorder: Steps of the last calls.
        results: Of the last request, by endpoint.
        dead: Dead letters, by endpoint.
        delivered: Events acknowledged, by endpoint.
        store: ``ok``, or why events cannot be written.
        loop_lag: How late the event loop was at its worst, of the last second.
        stats: What the receiver counted on legs that are over, by number.
    """

    def __init__(self) -> None:
        self.last_hour = LastHour()
        self.recorder = Recorder(time.monotonic_ns)
        self.results: dict[str, str] = {}
        self.dead: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.store = "ok"
        self.loop_lag = 0.0
        self.stats: dict[int, StreamStats] = {}

    def accounted(self, leg: int, stats: StreamStats) -> None:
        """Keeps the counters of a leg that is over."""
        self.stats[leg] = stats
        while len(self.stats) > LEGS:
            del self.stats[next(iter(self.stats))]
