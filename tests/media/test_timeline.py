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


def kinds(timeline: Timeline) -> list[tuple[Kind, int, int]]:
    return [(span.kind, span.first, span.samples) for span in timeline]


@given(
    st.lists(st.tuples(st.sampled_from([Kind.RECEIVED, Kind.PAUSE]), st.integers(1, 900)), min_size=1, max_size=12),
    st.lists(
        st.tuples(st.sampled_from([Kind.WITHHELD, Kind.UNRECOGNISED]), st.integers(-50, 6000), st.integers(0, 3000)),
        max_size=8,
    ),
)
def test_marks_tile_and_tell_what_they_should(
    parts: list[tuple[Kind, int]], marks: list[tuple[Kind, int, int]]
) -> None:
    timeline, expected = Timeline(), []
    for kind, samples in parts:
        timeline.add(chunk(timeline.duration, (kind, samples)))
        expected += [kind] * samples
    came = list(expected)
    for kind, first, samples in marks:
        timeline.mark(kind, first, samples)
        for at in range(max(first, 0), min(first + samples, len(expected))):
            expected[at] = kind
    timeline.verify()
    assert [kind for kind, _, samples in kinds(timeline) for _ in range(samples)] == expected
    assert all(one.kind is not two.kind for one, two in pairwise(timeline))
    for kind in Kind:
        assert timeline.total(kind) == expected.count(kind)
        assert timeline.wire(kind) == came.count(kind)


def test_a_pause_while_held_is_hold_and_the_rest_is_not() -> None:
    second = 1_000_000_000
    timeline = Timeline()
    timeline.add(chunk(0, (Kind.RECEIVED, 8000), arrived=10 * second))
    timeline.hold(held=True, now=11 * second)
    timeline.hold(held=True, now=12 * second)
    timeline.hold(held=False, now=14 * second)
    timeline.add(chunk(8000, (Kind.PAUSE, 40000)))
    timeline.add(chunk(48000, (Kind.RECEIVED, 160), arrived=15 * second + 20_000_000))
    assert kinds(timeline) == [
        (Kind.RECEIVED, 0, 8000),
        (Kind.PAUSE, 8000, 8000),
        (Kind.HOLD, 16000, 24000),
        (Kind.PAUSE, 40000, 8000),
        (Kind.RECEIVED, 48000, 160),
    ]


def test_a_ledger_that_does_not_tile_is_found() -> None:
    timeline = Timeline()
    timeline.add(chunk(0, (Kind.RECEIVED, 160), (Kind.PAUSE, 160)))
    del timeline._spans[0]
    with pytest.raises(TimelineError, match="a span of 160 at 160 follows 0 samples"):
        timeline.verify()
