"""The leg's clock on ours: the quickest packets, drift, and sender reports."""

from __future__ import annotations

import pytest

from gateway.media.anchor import WINDOW, Anchor

MS = 1_000_000
SECOND = 1000 * MS
BEGUN = 100 * SECOND
SENDER = 1_700_000_000 * SECOND  # the sender's wall clock at sample 0


def talk(anchor: Anchor, seconds: int, ppm: float = 0, delay: int = 0) -> None:
    for end in range(800, seconds * 8000 + 1, 800):
        jitter = 30 * MS if end % 4000 else 0
        anchor.arrived(end, BEGUN + int(end * 125_000 / (1 + ppm * 1e-6)) + jitter + delay)


def test_nothing_is_known_before_the_first_packet() -> None:
    anchor = Anchor()
    assert (anchor.monotonic_ns(0), anchor.sample(5)) == (None, 0)
    anchor.reported(0, SENDER, BEGUN)
    assert anchor.monotonic_ns(0) is None


def test_a_sample_is_due_when_the_quickest_packets_came() -> None:
    anchor = Anchor()
    talk(anchor, 5)
    assert anchor.monotonic_ns(8000) == BEGUN + SECOND
    assert anchor.sample(BEGUN + SECOND) == 8000
    assert anchor.sample(0) == 0


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_drifting_clock_is_followed(ppm: float) -> None:
    anchor = Anchor()
    talk(anchor, 600, ppm)
    due = anchor.monotonic_ns(600 * 8000)
    assert due is not None
    assert abs(due - (BEGUN + 600 * SECOND / (1 + ppm * 1e-6))) < 5 * MS
    first = anchor.monotonic_ns(0)
    assert first is not None
    assert abs(first - BEGUN) <= 3 * MS, "what was told of earlier samples stays"


def test_sender_reports_tell_it_more_exactly() -> None:
    """Every packet comes 25 ms late, but one of the reports comes at once; the sender's wall clock is its own."""
    anchor = Anchor()
    talk(anchor, 5, delay=25 * MS)
    anchor.reported(40000, SENDER + 5 * SECOND, BEGUN + 5 * SECOND + 10 * MS)
    assert anchor.monotonic_ns(48000) == BEGUN + 6 * SECOND + 10 * MS
    anchor.reported(80000, SENDER + 10 * SECOND, BEGUN + 10 * SECOND)
    assert anchor.monotonic_ns(88000) == BEGUN + 11 * SECOND
    # from then on the arrivals change nothing
    anchor.arrived(WINDOW * 3, BEGUN + 30 * SECOND + 400 * MS)
    anchor.arrived(WINDOW * 5, BEGUN + 50 * SECOND + 400 * MS)
    assert anchor.monotonic_ns(WINDOW * 5) == BEGUN + 50 * SECOND


def test_a_report_that_contradicts_the_arrivals_is_refused() -> None:
    anchor = Anchor()
    talk(anchor, 5)
    anchor.reported(40000 - 8000, SENDER, BEGUN + 5 * SECOND)
    assert anchor.reports_refused == 1
    assert anchor.monotonic_ns(40000) == BEGUN + 5 * SECOND
