"""The receiver's sums as metrics, read at each scrape: RTP of all legs, those that are up included, and its queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.media.chunks import SAMPLE_RATE
from gateway.media.stats import Totals

PACKETS: Final = (
    "packets", "lost", "late", "duplicates", "reordered", "foreign", "malformed", "wrong_payload_type", "unauthentic",
)  # fmt: skip


class Reception(Collector):
    """Makes the metrics of the receiver.

    Args:
        read: Returns its sums; raises ValueError once it is closed.
    """

    def __init__(self, read: Callable[[], Totals]) -> None:
        self._read = read
        self._lost = 0

    def collect(self) -> Iterator[Metric]:
        """Yields them; nothing while there is no receiver."""
        try:
            totals = self._read()
        except ValueError:
            return
        # a packet that comes late is no longer lost; a counter that falls would look like a restart
        self._lost = max(self._lost, totals.lost)
        packets = CounterMetricFamily(
            "asr_gateway_rtp_packets", "RTP packets of all legs, by what became of them", labels=["what"]
        )
        for what in PACKETS:
            value = self._lost if what == "lost" else getattr(totals, what)
            packets.add_metric(["received" if what == "packets" else what], value)
        yield packets
        yield CounterMetricFamily(
            "asr_gateway_rtp_payload_bytes", "Audio bytes of all legs that came by RTP", value=totals.received_samples
        )
        jitter = GaugeMetricFamily(
            "asr_gateway_rtp_jitter_seconds", "Interarrival jitter of the legs that are up, by RFC 3550", labels=["of"]
        )
        jitter.add_metric(["mean"], totals.jitter / SAMPLE_RATE)
        jitter.add_metric(["worst"], totals.worst_jitter / SAMPLE_RATE)
        yield jitter
        yield GaugeMetricFamily(
            "asr_gateway_receiver_waiting_items", "Chunks and keys that wait for the event loop", value=totals.waiting
        )
        yield GaugeMetricFamily("asr_gateway_receiver_room_items", "So many may wait", value=totals.backlog)
        yield CounterMetricFamily(
            "asr_gateway_receiver_dropped_items",
            "Chunks and keys dropped because too many waited for the event loop",
            value=totals.dropped,
        )
