"""Keys as telephone events (RFC 4733): each is told once, and its time passes."""

from __future__ import annotations

from gateway.media.chunks import Digit, Kind
from tests.media.fed import Leg, talk, voice
from tests.media.packets import digits, event, payload, rtp, spans


def test_a_key_is_told_once_and_its_time_passes() -> None:
    leg = Leg()
    talk(leg, 0, 5, 0)
    for seq, duration in enumerate(range(160, 960, 160), start=5):
        leg.push(event(seq, 800, 11, duration, marker=seq == 5))
    for seq in range(10, 13):
        leg.push(event(seq, 800, 11, 960, end=True))
        assert digits(leg.out) == [Digit(0, "#", 800, 960)]
    talk(leg, 13, 5, 1760)
    leg.finish()
    assert digits(leg.out) == [Digit(0, "#", 800, 960)]
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 800), (Kind.DTMF, 800, 960), (Kind.RECEIVED, 1760, 800)]
    assert payload(leg.out)[800:1760] == b"\xd5" * 960


def test_a_key_whose_end_was_lost_is_told_with_what_was_seen() -> None:
    leg = Leg()
    talk(leg, 0, 1, 0)
    leg.push(event(1, 160, 5, 160, marker=True))
    leg.push(event(2, 160, 5, 320))
    talk(leg, 6, 10, 960)
    leg.finish()
    assert digits(leg.out) == [Digit(0, "5", 160, 320)]
    assert spans(leg.out) == [
        (Kind.RECEIVED, 0, 160),
        (Kind.DTMF, 160, 320),
        (Kind.CONCEALED, 480, 480),
        (Kind.RECEIVED, 960, 1600),
    ]


def test_two_keys_in_a_row_are_two_and_the_same_key_twice_too() -> None:
    leg = Leg()
    talk(leg, 0, 1, 0)
    for number, code in enumerate([9, 9, 16, 10]):
        timestamp = 160 + number * 800
        leg.push(event(1 + 2 * number, timestamp, code, 400, marker=True))
        leg.push(event(2 + 2 * number, timestamp, code, 640, end=True))
    assert digits(leg.finish()) == [Digit(0, "9", 160, 640), Digit(0, "9", 960, 640), Digit(0, "*", 2560, 640)]
    assert leg.stream.stats().samples == 2560 + 640


def test_a_key_held_longer_than_a_duration_can_say_is_one() -> None:
    leg = Leg()
    leg.push(event(0, 0, 1, 0xFFFF, marker=True))
    leg.push(event(1, 0xFFFF, 1, 800))
    leg.push(event(2, 0xFFFF, 1, 1600, end=True))
    assert digits(leg.finish()) == [Digit(0, "1", 0, 0xFFFF + 1600)]
    assert leg.stream.stats().samples == 0xFFFF + 1600


def test_audio_during_a_key_is_audio() -> None:
    leg = Leg()
    for seq in range(0, 20, 2):
        leg.push(rtp(seq, seq * 80, voice(seq)), after=0)
        leg.push(event(seq + 1, 0, 3, 160 + seq * 80, end=seq == 18))
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 1600)]
    assert digits(leg.out) == [Digit(0, "3", 0, 1600)]


def test_an_event_that_is_too_short_is_malformed() -> None:
    leg = Leg()
    talk(leg, 0, 1, 0)
    leg.push(rtp(1, 160, b"\5\x80\1", payload_type=101))
    assert digits(leg.finish()) == []
    assert leg.stream.stats().malformed == 1
