"""Whose packets are taken: the address of the signalling, or the one that is learnt."""

from __future__ import annotations

import pytest

from gateway.media.chunks import Kind
from tests.media.fed import BASE, Leg, talk, voice
from tests.media.packets import chunks, payload, rtp, spans

SIGNALLED = ("192.0.2.1", 4000)
NAT = ("198.51.100.7", 61000)
ATTACKER = ("203.0.113.9", 5000)


def test_the_signalled_address_counts_at_once_and_alone() -> None:
    leg = Leg(remote=SIGNALLED)
    leg.push(rtp(500, 0, b"x" * 160), source=ATTACKER)
    leg.push(rtp(0, 0, voice(0)), source=SIGNALLED)
    for seq in range(1, 4):
        leg.push(rtp(seq, seq * 160, b"x" * 160), source=ATTACKER, after=1)
        leg.push(rtp(seq, seq * 160, b"x" * 160), source=(SIGNALLED[0], 4002), after=1)
        leg.push(rtp(seq, seq * 160, voice(seq)), source=SIGNALLED)
    assert payload(leg.finish()) == b"".join(map(voice, range(4)))
    assert leg.stream.stats().foreign == 1 + 6


def test_another_address_is_learnt_when_the_signalled_one_is_silent() -> None:
    leg = Leg(remote=SIGNALLED)
    for seq in range(4):
        leg.push(rtp(seq, seq * 160, voice(seq)), source=NAT)
        if seq:
            leg.push(rtp(seq, seq * 160, b"x" * 160), source=ATTACKER, after=0)
    assert payload(leg.finish()) == b"".join(map(voice, range(4)))


def test_without_a_window_nothing_is_learnt_from_what_came_before_the_answer() -> None:
    leg = Leg(remote=SIGNALLED, learn_ms=0, now=BASE + 10**12)  # its packets arrive before that
    for seq in range(3):
        leg.push(rtp(seq, seq * 160, b"x" * 160), source=ATTACKER)
    leg.push(rtp(3, 480, voice(3)), source=SIGNALLED)
    assert payload(leg.finish()) == voice(3)
    assert leg.stream.stats().foreign == 3


def test_a_learnt_address_gives_way_to_the_signalled_one() -> None:
    leg = Leg(remote=SIGNALLED)
    for seq in range(3):
        leg.push(rtp(seq, seq * 160, b"x" * 160, ssrc=5), source=ATTACKER)
    for seq in range(3):
        leg.push(rtp(seq, seq * 160, voice(seq)), source=SIGNALLED)
        leg.push(rtp(seq + 3, seq * 160 + 480, b"x" * 160, ssrc=5), source=ATTACKER, after=0)
    assert payload(leg.finish()) == b"x" * 480 + b"".join(map(voice, range(3)))


@pytest.mark.parametrize("remote", [None, SIGNALLED, ("0.0.0.0", 4000), ("192.0.2.1", 0), ("::", 4000)])
def test_a_hold_or_refresh_opens_no_window(remote: tuple[str, int] | None) -> None:
    leg = Leg(remote=SIGNALLED)
    talk(leg, 0, 3, 0)
    leg.stream.update(codecs={8: "alaw"}, remote=remote)
    for seq in range(5):
        leg.push(rtp(seq, seq * 160, b"x" * 160, ssrc=9), source=ATTACKER)
    leg.push(rtp(3, 1280, voice(3)), source=SIGNALLED)
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 480), (Kind.PAUSE, 480, 800), (Kind.RECEIVED, 1280, 160)]
    assert leg.stream.stats().foreign == 5


def test_an_update_with_a_new_address_learns_it_and_the_clock_goes_on() -> None:
    leg = Leg(remote=SIGNALLED)
    talk(leg, 0, 3, 0)
    leg.stream.update(codecs={0: "mulaw"}, remote=("2001:db8::1", 6000))
    for seq in range(9, 12):
        leg.push(rtp(seq, 70_000 + seq * 160, voice(seq), payload_type=0, ssrc=9), source=("2001:db8::1", 6000))
        leg.push(rtp(seq, 480, b"x" * 160), source=SIGNALLED, after=0)
    out = chunks(leg.finish())
    assert payload(out) == b"".join(map(voice, [0, 1, 2, 9, 10, 11]))
    assert [(part.codec, part.first, part.samples) for part in out] == [
        ("alaw", 0, 480),
        ("mulaw", 480, 320),
        ("mulaw", 800, 160),
    ]
