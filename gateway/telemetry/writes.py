"""The latency that is measured several times a second on every leg: from a packet to the write to the recogniser.

``prometheus_client``'s histogram costs a lock and a walk over the buckets each time. Here many values are entered at
once, and the metric is made at each scrape.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from gateway.telemetry.latency import PACKET_TO_WRITE

# Audio that was written later than this after its packet names its call (seconds).
LATE = 0.02


class Writes(Collector):
    """The histogram."""

    def __init__(self) -> None:
        self._bounds = PACKET_TO_WRITE.buckets
        self._exemplars: list[Exemplar | None] = [None] * (len(self._bounds) + 1)
        # replaced as a whole, since a scrape comes in a thread of its own: writes by bucket, and the sum of all
        self._state = (0,) * (len(self._bounds) + 1), 0.0

    def add(self, writes: Sequence[tuple[str, float]]) -> None:
        """Enters writes.

        Args:
            writes: For each its call, and the seconds since its last packet came.
        """
        counts, total = list(self._state[0]), self._state[1]
        for call, seconds in writes:
            bucket = bisect_left(self._bounds, seconds)
            counts[bucket] += 1
            total += seconds
            if seconds >= LATE:
                self._exemplars[bucket] = Exemplar({"call": call}, seconds, time.time())
        self._state = tuple(counts), total

    def collect(self) -> Iterator[Metric]:
        """Yields the metric."""
        counts, total = self._state
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        below = 0
        for bound, count, exemplar in zip((*self._bounds, float("inf")), counts, self._exemplars, strict=True):
            below += count
            label = "+Inf" if bound == float("inf") else repr(bound)
            buckets.append((label, below) if exemplar is None else (label, below, exemplar))
        name = f"{PACKET_TO_WRITE.name}_seconds"
        yield HistogramMetricFamily(name, PACKET_TO_WRITE.meaning, buckets=buckets, sum_value=total)
