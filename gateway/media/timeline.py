"""The ledger of one leg: what every sample of its clock was, and when on the wall clock.

The clock is the receiver's: samples since the leg's first RTP packet, by RTP timestamps. Both legs of a call share one
wall clock, this machine's: see ``anchor.py``.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.media.anchor import Anchor
from gateway.media.chunks import SAMPLE_RATE, Chunk, Kind, Span

# One offset for the whole process, so that a step of the system clock in mid-call shears no leg against another.
_MONOTONIC_TO_WALL_NS = time.time_ns() - time.monotonic_ns()


class TimelineError(ValueError):
    """The spans of a leg do not tile its clock."""


def wall_clock(monotonic_ns: int) -> datetime:
    """Returns the wall-clock time (UTC) of a monotonic time in nanoseconds."""
    return datetime.fromtimestamp((monotonic_ns + _MONOTONIC_TO_WALL_NS) / 1e9, UTC)


def milliseconds(samples: int) -> int:
    """Returns a length in milliseconds, rounded down."""
    return samples * 1000 // SAMPLE_RATE


class Timeline:
    """Spans that tile one leg's clock from 0 on, neighbours of the same kind joined.

    The receiver says what came off the wire; signalling, the operator and the recogniser mark stretches of it as hold,
    withheld or unrecognised afterwards.

    Attributes:
        anchor: Ties the samples to the monotonic clock.
        duration: Length of the clock so far, in samples.
    """

    def __init__(self) -> None:
        self.anchor = Anchor()
        self._spans: list[Span] = []
        self._starts: list[int] = []
        self.duration = 0
        self._wire = [0] * len(Kind)
        self._holds: list[tuple[int, int]] = []  # monotonic nanoseconds
        self._held_since: int | None = None

    def wire(self, *kinds: Kind) -> int:
        """Returns how many samples came as these kinds, whatever they were marked as afterwards."""
        return sum(self._wire[kind] for kind in kinds)

    def total(self, *kinds: Kind) -> int:
        """Returns how many samples the ledger has as these kinds."""
        return sum(span.samples for span in self._spans if span.kind in kinds)

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def add(self, chunk: Chunk) -> None:
        """Enters a chunk.

        Args:
            chunk: The next one of this leg.

        Raises:
            TimelineError: The chunk, or a span in it, leaves a gap or overlaps what is there.
        """
        received = 0
        for span in chunk.spans:
            kind, first, samples = span
            if first != self.duration or samples <= 0:
                raise TimelineError(f"a span of {samples} at {first} cannot follow {self.duration} samples")
            self._wire[kind] += samples
            self.duration = first + samples
            if kind is Kind.RECEIVED:
                received = self.duration
            self._append(span)
        if self.duration != chunk.first + chunk.samples:
            raise TimelineError(f"the spans end at {self.duration}, their chunk at {chunk.first + chunk.samples}")
        if chunk.arrived_last:
            self.anchor.arrived(received, chunk.arrived_last)
        if self._holds or self._held_since is not None:
            for span in chunk.spans:
                if span.kind is Kind.PAUSE:
                    self._mark_holds(span)

    def hold(self, *, held: bool, now: int) -> None:
        """Says that the peer put the leg on hold or took it off (monotonic nanoseconds).

        Only a pause of the sender becomes hold: a peer that goes on sending is heard.
        """
        if held and self._held_since is None:
            self._held_since = now
        elif not held and self._held_since is not None:
            self._holds.append((self._held_since, now))
            self._held_since = None

    def mark(self, kind: Kind, first: int, samples: int) -> None:
        """Says what a stretch was, whatever it came as.

        Args:
            kind: What it counts as from now on.
            first: Its first sample.
            samples: Its length; what lies outside the clock so far is left out.
        """
        end = min(first + samples, self.duration)
        first = max(first, 0)
        if first >= end:
            return
        low = bisect_right(self._starts, first) - 1
        high = bisect_right(self._starts, end - 1)
        before, after = self._spans[low], self._spans[high - 1]
        pieces = [
            Span(before.kind, before.first, first - before.first),
            Span(kind, first, end - first),
            Span(after.kind, end, after.first + after.samples - end),
        ]
        rest = self._spans[high:]
        del self._spans[low:], self._starts[low:]
        for span in [*pieces, *rest[:1]]:
            if span.samples:
                self._append(span)
        self._spans += rest[1:]
        self._starts += [span.first for span in rest[1:]]

    def verify(self) -> None:
        """Checks that the spans tile the clock; cheap enough for the end of each call.

        Raises:
            TimelineError: They do not.
        """
        at = 0
        for span in self._spans:
            if span.first != at or span.samples <= 0:
                raise TimelineError(f"a span of {span.samples} at {span.first} follows {at} samples")
            at += span.samples
        if at != sum(self._wire):
            raise TimelineError(f"the spans hold {at} samples, {sum(self._wire)} came")

    def monotonic_ns(self, sample: int) -> int | None:
        """Returns when a sample was due on the monotonic clock, in nanoseconds; None before the first packet."""
        return self.anchor.monotonic_ns(sample)

    def wall(self, sample: int) -> datetime:
        """Returns the wall-clock time (UTC) of a sample; of now before the first packet came."""
        due = self.monotonic_ns(sample)
        return wall_clock(time.monotonic_ns() if due is None else due)

    def _append(self, span: Span) -> None:
        last = self._spans[-1] if self._spans else None
        if last is not None and last.kind is span.kind:
            self._spans[-1] = Span(span.kind, last.first, last.samples + span.samples)
        else:
            self._spans.append(span)
            self._starts.append(span.first)

    def _mark_holds(self, span: Span) -> None:
        ongoing = [] if self._held_since is None else [(self._held_since, None)]
        for begun, over in [*self._holds, *ongoing]:
            first = max(self.anchor.sample(begun), span.first)
            end = span.first + span.samples
            if over is not None:
                end = min(end, self.anchor.sample(over))
            self.mark(Kind.HOLD, first, end - first)
