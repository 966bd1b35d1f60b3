"""Packets out of order, twice, late, or of another sequence: what takes its place and what is dropped."""

from __future__ import annotations

from gateway.media.chunks import Kind
from tests.media.fed import Leg, talk, voice
from tests.media.packets import MS, chunks, payload, rtp, spans


def test_a_packet_that_comes_in_the_window_gets_its_place() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    leg.push(rtp(4, 640, voice(4)))
    leg.push(rtp(3, 480, voice(3)), after=5)
    leg.push(rtp(2, 320, voice(2)), after=30)
    assert payload(leg.finish()) == b"".join(map(voice, range(5)))
    assert leg.stream.stats()[:4] == (5, 0, 0, 0)


def test_without_a_window_nothing_is_waited_for() -> None:
    leg = Leg(reorder_ms=0)
    for seq in (0, 2, 1, 3):
        leg.push(rtp(seq, seq * 160, voice(seq)))
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 160), (Kind.CONCEALED, 160, 160), (Kind.RECEIVED, 320, 320)]
    assert leg.stream.stats()[:4] == (4, 0, 1, 0)


def test_the_window_ends_by_the_clock_alone() -> None:
    leg = Leg(reorder_ms=40, chunk_ms=20)
    talk(leg, 0, 1, 0)
    leg.push(rtp(2, 320, voice(2)))
    held = leg.now
    leg.out += leg.stream.tick(held + 39 * MS)
    assert len(leg.out) == 1
    leg.out += leg.stream.tick(held + 40 * MS)
    assert [part.first for part in chunks(leg.out)] == [0, 160, 320]


def test_duplicates_and_late_packets_are_told_apart_and_dropped() -> None:
    leg = Leg(reorder_ms=20)
    talk(leg, 100, 3, 0)
    leg.push(rtp(101, 160, voice(101)))
    leg.push(rtp(104, 640, voice(104)))
    leg.push(rtp(104, 640, voice(104)))
    leg.push(rtp(105, 800, voice(105)))
    assert leg.stream.stats().lost == 1
    leg.push(rtp(103, 480, voice(103)))
    leg.push(rtp(103, 480, voice(103)))
    leg.push(rtp(99, -160, voice(99)))
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 480), (Kind.CONCEALED, 480, 160), (Kind.RECEIVED, 640, 320)]
    stats = leg.stream.stats()
    assert (stats.packets, stats.lost, stats.late, stats.duplicates) == (10, 0, 2, 3)


def test_a_packet_late_by_seconds_is_late() -> None:
    leg = Leg()
    at = talk(leg, 1000, 300, 0)
    leg.push(rtp(1001, 160, voice(1001)))
    leg.push(rtp(1002, 320, voice(1002)))
    talk(leg, 1300, 1, at)
    assert spans(leg.finish()) == [(Kind.RECEIVED, 0, 301 * 160)]
    assert leg.stream.stats().late == 2


def test_a_new_ssrc_goes_on_by_the_time_between_the_arrivals() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    leg.now += 3000 * MS
    talk(leg, 40_000, 3, 123_456, ssrc=77)
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 320), (Kind.PAUSE, 320, 24_000), (Kind.RECEIVED, 24_320, 480)]
    assert payload(leg.out)[-480:] == voice(40_000) + voice(40_001) + voice(40_002)
    assert leg.stream.stats().lost == 0


def test_a_single_packet_of_another_ssrc_is_foreign() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    leg.push(rtp(7, 7, b"x" * 160, ssrc=77), after=0)
    talk(leg, 2, 2, 320)
    leg.push(rtp(8, 167, b"x" * 160, ssrc=77), after=0)
    assert payload(leg.finish()) == b"".join(map(voice, range(4)))
    assert leg.stream.stats().foreign == 2


def test_a_sequence_out_of_proportion_needs_two_in_a_row() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    leg.push(rtp(30_000, 320, b"x" * 160), after=0)
    talk(leg, 2, 1, 320)
    talk(leg, 30_000, 3, 555)
    assert payload(leg.finish()) == b"".join(map(voice, [0, 1, 2, 30_000, 30_001, 30_002]))
    assert (leg.stream.stats().lost, leg.stream.stats().foreign) == (0, 1)


def test_a_sequence_started_anew_a_little_back_is_not_late_all_along() -> None:
    leg = Leg()
    talk(leg, 1000, 2, 0)
    talk(leg, 500, 3, 3_000_000_000)
    assert payload(leg.finish()) == b"".join(map(voice, [1000, 1001, 500, 501, 502]))
    assert leg.stream.stats().late == 0
