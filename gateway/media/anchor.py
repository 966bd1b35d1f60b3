"""When a sample was due: the leg's clock tied to the monotonic clock of this machine.

A sample is due when the packet that ends with it arrives, at the least delay that the network showed lately: only the
quickest packets tell the sender's clock. The tie is renewed every ten seconds, so that it follows a sender's clock that
drifts (200 ppm are 0.7 s in an hour). Sender reports (RFC 3550, section 6.4.1) tell more exactly which sample was when,
but on the sender's own wall clock; the least delay that they showed ties that clock to ours.
"""

from __future__ import annotations

from bisect import bisect_right

from gateway.media.chunks import SAMPLE_RATE

WINDOW = 10 * SAMPLE_RATE
"""Samples between two ties."""
TRUST_NS = 500_000_000
"""A sender report that lies further from the arrivals is wrong: devices with such reports exist."""


def _ns(samples: int) -> int:
    return samples * 1_000_000_000 // SAMPLE_RATE


class Anchor:
    """Ties of one leg, each good from its sample on.

    Attributes:
        reports_refused: Sender reports that contradicted the arrivals.
    """

    def __init__(self) -> None:
        self._samples: list[int] = []
        self._offsets: list[int] = []  # monotonic nanoseconds of sample 0, were the clock even
        self._window_end = 0
        self._least: int | None = None
        self._sender_to_monotonic: int | None = None
        self.reports_refused = 0

    def arrived(self, end: int, arrival: int) -> None:
        """Says when audio came.

        Args:
            end: One past its last sample.
            arrival: Of its packet, monotonic nanoseconds.
        """
        offset = arrival - _ns(end)
        if not self._samples:
            self._tie(0, offset)
            self._window_end = end + WINDOW
            return
        if len(self._samples) == 1 and end < self._window_end:
            self._offsets[0] = min(self._offsets[0], offset)
            return
        self._least = offset if self._least is None else min(self._least, offset)
        if end >= self._window_end:
            if self._sender_to_monotonic is None:
                self._tie(end, self._least)
            self._window_end = end + WINDOW
            self._least = None

    def reported(self, sample: int, sender_ns: int, arrival: int) -> None:
        """Takes a sender report.

        Args:
            sample: What its RTP timestamp is on the leg's clock.
            sender_ns: Its time by the sender's clock, nanoseconds since any epoch.
            arrival: Of the report, monotonic nanoseconds.
        """
        if not self._samples or sample < self._samples[-1]:
            return
        difference = arrival - sender_ns
        known = self._sender_to_monotonic
        offset = sender_ns + (difference if known is None else min(known, difference)) - _ns(sample)
        if abs(offset - self._offsets[-1]) > TRUST_NS:
            self.reports_refused += 1
            return
        self._sender_to_monotonic = difference if known is None else min(known, difference)
        self._tie(sample, offset)

    def monotonic_ns(self, sample: int) -> int | None:
        """Returns when a sample was due, monotonic nanoseconds; None before the first packet."""
        if not self._samples:
            return None
        return self._offsets[max(0, bisect_right(self._samples, sample) - 1)] + _ns(sample)

    def sample(self, monotonic_ns: int) -> int:
        """Returns the sample that was due at a time by the latest tie; 0 before the first packet."""
        if not self._samples:
            return 0
        return max(0, (monotonic_ns - self._offsets[-1]) * SAMPLE_RATE // 1_000_000_000)

    def _tie(self, sample: int, offset: int) -> None:
        self._samples.append(sample)
        self._offsets.append(offset)
