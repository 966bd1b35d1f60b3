"""The ledger: spans tile the clock, totals are exact, and wall-clock time follows the samples."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.chunks import Chunk, Kind, Span
from gateway.media.timeline import Timeline, TimelineError, milliseconds


def chunk(first: int, *spans: tuple[Kind, int], arrived: int = 0) -> Chunk:
    made, at = [], first
    for kind, samples in spans:
        made.append(Span(kind, at, samples))
        at += samples
    return Chunk(1, "alaw", first, at - first, bytes(at - first), tuple(made), b"", arrived, arrived)


@given(st.lists(st.tuples(st.sampled_from(Kind), st.integers(1, 5000)), max_size=30))
def test_spans_tile_and_add_up(parts: list[tuple[Kind, int]]) -> None:
    timeline = Timeline()
    for kind, samples in parts:
        timeline.add(chunk(timeline.duration, (kind, samples)))
    spans = list(timeline)
    assert timeline.duration == sum(samples for _, samples in parts) == sum(span.samples for span in spans)
    assert all(one.first + one.samples == two.first and one.kind is not two.kind for one, two in pairwise(spans))
    for kind in Kind:
        assert timeline.total(kind) == sum(samples for known, samples in parts if known is kind)


@pytest.mark.parametrize("first", [0, 159, 161])
def test_a_gap_or_an_overlap_is_refused(first: int) -> None:
    timeline = Timeline()
    timeline.add(chunk(0, (Kind.RECEIVED, 160)))
    with pytest.raises(TimelineError):
        timeline.add(chunk(first, (Kind.RECEIVED, 160)))


def test_spans_that_do_not_fill_their_chunk_are_refused() -> None:
    with pytest.raises(TimelineError, match="end at 160, their chunk at 320"):
        Timeline().add(Chunk(1, "alaw", 0, 320, b"", (Span(Kind.PAUSE, 0, 160),), b"", 0, 0))


def test_samples_have_wall_clock_times_from_the_first_packet_on() -> None:
    timeline = Timeline()
    assert timeline.monotonic_ns(0) is None
    timeline.add(chunk(0, (Kind.RECEIVED, 800), arrived=5_000_000_000))
    assert timeline.monotonic_ns(800) == 5_000_000_000  # when the packet that ends with it came
    assert timeline.monotonic_ns(8000) == 5_900_000_000
    assert timeline.wall(8000) - timeline.wall(0) == timedelta(seconds=1)


def test_milliseconds() -> None:
    assert [milliseconds(samples) for samples in (0, 7, 8, 8000)] == [0, 0, 1, 1000]
