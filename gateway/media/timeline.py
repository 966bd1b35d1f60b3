"""The ledger of one leg: what every sample of its clock was, and when on the wall clock.

The clock is the receiver's: samples since the leg's first RTP packet, by RTP timestamps. Both legs of a call share one
wall clock, since each is anchored by the monotonic arrival time of its first packet.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.media.chunks import SAMPLE_RATE, Chunk, Kind, Span

# One offset for the whole process, so that a step of the system clock in mid-call shears no leg against another.
_MONOTONIC_TO_WALL_NS = time.time_ns() - time.monotonic_ns()


class TimelineError(ValueError):
    """A chunk does not begin where the one before ended."""


def wall_clock(monotonic_ns: int) -> datetime:
    """Returns the wall-clock time (UTC) of a monotonic time in nanoseconds."""
    return datetime.fromtimestamp((monotonic_ns + _MONOTONIC_TO_WALL_NS) / 1e9, UTC)


def milliseconds(samples: int) -> int:
    """Returns a length in milliseconds, rounded down."""
    return samples * 1000 // SAMPLE_RATE


class Timeline:
    """Spans that tile one leg's clock from 0 on, neighbours of the same kind joined."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._anchor_ns: int | None = None
        self._totals: Counter[Kind] = Counter()

    @property
    def duration(self) -> int:
        """Length of the clock so far, in samples."""
        last = self._spans[-1] if self._spans else None
        return last.first + last.samples if last else 0

    def total(self, *kinds: Kind) -> int:
        """Returns how many samples were of these kinds."""
        return sum(self._totals[kind] for kind in kinds)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def add(self, chunk: Chunk) -> None:
        """Enters a chunk.

        Args:
            chunk: The next one of this leg.

        Raises:
            TimelineError: The chunk, or a span in it, leaves a gap or overlaps what is there.
        """
        if self._anchor_ns is None and chunk.arrived_first:
            first = next((span.first for span in chunk.spans if span.kind is Kind.RECEIVED), chunk.first)
            self._anchor_ns = chunk.arrived_first - first * 1_000_000_000 // SAMPLE_RATE
        for span in chunk.spans:
            if span.first != self.duration or span.samples <= 0:
                raise TimelineError(f"a span of {span.samples} at {span.first} cannot follow {self.duration} samples")
            self._totals[span.kind] += span.samples
            last = self._spans[-1] if self._spans else None
            if last is not None and last.kind is span.kind:
                self._spans[-1] = Span(span.kind, last.first, last.samples + span.samples)
            else:
                self._spans.append(span)
        if self.duration != chunk.first + chunk.samples:
            raise TimelineError(f"the spans end at {self.duration}, their chunk at {chunk.first + chunk.samples}")

    def monotonic_ns(self, sample: int) -> int | None:
        """Returns when a sample was due on the monotonic clock, in nanoseconds; None before the first packet."""
        return None if self._anchor_ns is None else self._anchor_ns + sample * 1_000_000_000 // SAMPLE_RATE

    def wall(self, sample: int) -> datetime:
        """Returns the wall-clock time (UTC) of a sample; of now before the first packet came."""
        due = self.monotonic_ns(sample)
        return wall_clock(time.monotonic_ns() if due is None else due)
