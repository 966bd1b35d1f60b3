"""Time in which nothing was heard: loss, pauses, comfort noise, and timestamps that jump."""

from __future__ import annotations

import math
import warnings

import pytest

from gateway.media.chunks import Kind
from tests.media.fed import Leg, talk, voice
from tests.media.packets import chunks, payload, rtp, spans

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

WHERE = {"alaw": b"\xd5", "mulaw": b"\xff"}


@pytest.mark.parametrize(("payload_type", "codec"), [(8, "alaw"), (0, "mulaw")])
def test_loss_is_the_last_frame_fading_and_then_silence(payload_type: int, codec: str) -> None:
    leg = Leg(conceal_ms=60)
    talk(leg, 0, 1, 0, payload_type=payload_type)
    leg.push(rtp(6, 960, voice(6), payload_type=payload_type))
    leg.finish()
    decode, encode = {
        "alaw": (audioop.alaw2lin, audioop.lin2alaw),
        "mulaw": (audioop.ulaw2lin, audioop.lin2ulaw),
    }[codec]
    linear = memoryview(decode(voice(0), 2)).cast("h")
    faded = [math.trunc(linear[i % 160] * (480 - i) / 480) for i in range(480)]
    filled = b"".join(encode(value.to_bytes(2, "little", signed=True), 2) for value in faded)
    assert payload(leg.out) == voice(0) + filled + WHERE[codec] * 320 + voice(6)
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 160), (Kind.CONCEALED, 160, 800), (Kind.RECEIVED, 960, 160)]
    assert leg.stream.stats().lost == 5


def test_no_concealment_is_silence() -> None:
    leg = Leg(conceal_ms=0)
    talk(leg, 0, 1, 0)
    talk(leg, 2, 1, 320)
    assert payload(leg.finish()) == voice(0) + b"\xd5" * 160 + voice(2)


def test_an_outage_is_loss() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    talk(leg, 502, 3, 502 * 160)
    leg.finish()
    assert spans(leg.out) == [
        (Kind.RECEIVED, 0, 320),
        (Kind.CONCEALED, 320, 80_000),
        (Kind.RECEIVED, 80_320, 480),
    ]
    assert leg.stream.stats().lost == 500
    assert len(payload(leg.out)) == 800 + 16_000 + 480


def test_a_pause_is_silence_and_no_loss() -> None:
    leg = Leg()
    talk(leg, 0, 5, 0)
    talk(leg, 5, 5, 8800)
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 800), (Kind.PAUSE, 800, 8000), (Kind.RECEIVED, 8800, 800)]
    assert payload(leg.out)[800:8800] == b"\xd5" * 8000
    assert leg.stream.stats().lost == 0


def test_a_long_pause_is_streamed_in_part_and_the_rest_is_one_chunk() -> None:
    leg = Leg(pause_fill_ms=500)
    talk(leg, 0, 2, 0)
    talk(leg, 2, 2, 80_000)
    out = chunks(leg.finish())
    (empty,) = [part for part in out if not part.payload and part.samples]
    assert (empty.first, empty.samples) == (320 + 4000, 80_000 - 4320)
    assert [span.kind for span in empty.spans] == [Kind.PAUSE]
    assert (empty.arrived_first, empty.arrived_last) == (0, 0)
    assert len(payload(out)) == 640 + 4000
    assert leg.stream.stats().samples == 80_320


def test_each_pause_has_its_own_limit_and_one_of_comfort_noise_only_one() -> None:
    leg = Leg(pause_fill_ms=100)
    at = talk(leg, 0, 1, 0)
    at = talk(leg, 1, 1, at + 1600)
    for seq in range(2, 5):
        leg.push(rtp(seq, at + (seq - 1) * 600, b"\x40", payload_type=13))
    talk(leg, 5, 1, at + 2400)
    leg.finish()
    assert len(payload(leg.out)) == 160 + 800 + 160 + 800 + 160
    assert [(part.first, part.samples) for part in chunks(leg.out) if not part.payload and not part.last] == [
        (960, 800),
        (2720, 400),
        (3120, 600),
        (3720, 600),
    ]


def test_with_loss_in_a_pause_only_what_was_lost_is_loss() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    talk(leg, 4, 1, 4000)
    leg.finish()
    assert spans(leg.out) == [
        (Kind.RECEIVED, 0, 320),
        (Kind.CONCEALED, 320, 320),
        (Kind.PAUSE, 640, 3360),
        (Kind.RECEIVED, 4000, 160),
    ]


def test_comfort_noise_advances_the_clock() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    leg.push(rtp(2, 320, b"\x40", payload_type=13))
    leg.push(rtp(3, 2000, b"\x40", payload_type=13))
    talk(leg, 4, 2, 4000)
    talk(leg, 6, 1, 5000)
    leg.finish()
    assert spans(leg.out) == [
        (Kind.RECEIVED, 0, 320),
        (Kind.COMFORT_NOISE, 320, 3680),
        (Kind.RECEIVED, 4000, 320),
        (Kind.PAUSE, 4320, 680),
        (Kind.RECEIVED, 5000, 160),
    ]


def test_a_timestamp_a_little_back_loses_only_the_overlap() -> None:
    leg = Leg()
    talk(leg, 0, 1, 0)
    leg.push(rtp(1, 100, voice(1)))
    leg.push(rtp(2, 260, voice(2)))
    assert payload(leg.finish()) == voice(0) + voice(1)[60:] + voice(2)


@pytest.mark.parametrize("jump", [-50_000, 1_000_000_000, -1_000_000_000])
def test_an_implausible_timestamp_ties_the_clock_anew(jump: int) -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    talk(leg, 2, 2, 320 + jump)
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 640)]
