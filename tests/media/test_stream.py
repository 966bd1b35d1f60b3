"""A leg packet by packet, without socket and thread: what of a packet is audio, and the chunks that come out."""

from __future__ import annotations

import random
import warnings

import pytest

from gateway.media.chunks import Chunk, Digit, Kind
from gateway.media.receiver import Stream
from tests.media.fed import BASE, Leg, talk, voice
from tests.media.packets import MS, check, chunks, payload, rtp, spans

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop


def test_payload_comes_out_as_it_came_in() -> None:
    leg = Leg()
    talk(leg, 65530, 12, 2**32 - 800)
    out = chunks(leg.finish())
    assert payload(out) == b"".join(voice(seq) for seq in range(65530, 65542))
    assert [(part.first, part.samples, part.codec, part.last) for part in out] == [
        (0, 800, "alaw", False),
        (800, 800, "alaw", False),
        (1600, 320, "alaw", True),
    ]
    assert [part.arrived_first - BASE for part in out] == [20 * MS, 120 * MS, 220 * MS]
    assert [part.arrived_last - BASE for part in out] == [100 * MS, 200 * MS, 240 * MS]
    assert leg.stream.stats().packets == 12
    assert leg.stream.stats().jitter < 0.01


def test_a_leg_without_rtp_ends_with_an_empty_chunk() -> None:
    (only,) = Leg().finish()
    assert only == Chunk(0, "alaw", 0, 0, b"", (), b"", 0, 0, last=True)


@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 60])
def test_bytes_are_counted_and_not_packets(ptime: int) -> None:
    leg = Leg()
    for seq in range(10):
        leg.push(rtp(seq, seq * ptime * 8, voice(seq, ptime * 8)), after=ptime)
    leg.finish()
    assert spans(leg.out) == [(Kind.RECEIVED, 0, 10 * ptime * 8)]


def test_csrc_extension_and_padding_are_no_audio() -> None:
    leg = Leg()
    leg.push(rtp(0, 0, b"a" * 160, csrc=(1, 2, 15)))
    leg.push(rtp(1, 160, b"b" * 160, extension=b"\1\2\3\4" * 2, marker=True))
    leg.push(rtp(2, 320, b"c" * 160, padding=4))
    leg.push(rtp(3, 480, b"d" * 160, csrc=(1,), extension=b"", padding=1))
    assert payload(leg.finish()) == b"a" * 160 + b"b" * 160 + b"c" * 160 + b"d" * 160


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        rtp(0, 0, b"")[:11],
        b"\x40" + rtp(0, 0, b"x" * 160)[1:],
        b"\x8f" + rtp(0, 0, b"x" * 8)[1:],
        b"\x90" + rtp(0, 0, b"")[1:],
        b"\x90" + rtp(0, 0, b"\0\0\xff\xff" + b"x" * 160)[1:],
        b"\xa0" + rtp(0, 0, b"x" * 8 + b"\0")[1:],
        b"\xa0" + rtp(0, 0, b"x" * 8 + b"\xff")[1:],
    ],
)
def test_what_is_not_rtp_is_counted_as_malformed(packet: bytes) -> None:
    leg = Leg()
    leg.push(packet)
    leg.finish()
    assert leg.stream.stats().malformed == 1
    assert leg.stream.stats().packets == 0


def test_an_empty_payload_takes_its_sequence_number_and_no_time() -> None:
    leg = Leg()
    leg.push(rtp(0, 0, b"a" * 160))
    leg.push(rtp(1, 99999, b""))
    leg.push(rtp(2, 99999, b"", padding=4))
    leg.push(rtp(3, 160, b"b" * 160))
    assert payload(leg.finish()) == b"a" * 160 + b"b" * 160
    assert leg.stream.stats().lost == 0


def test_a_payload_type_that_was_not_negotiated_is_no_loss() -> None:
    leg = Leg()
    leg.push(rtp(9, 5, b"x" * 160, payload_type=18))
    talk(leg, 0, 2, 0)
    leg.push(rtp(2, 320, b"x" * 20, payload_type=18))
    leg.push(b"\x80\xc8\x00\x06" + bytes(24))  # RTCP on the same port
    talk(leg, 3, 1, 480)
    assert spans(leg.finish()) == [(Kind.RECEIVED, 0, 320), (Kind.PAUSE, 320, 160), (Kind.RECEIVED, 480, 160)]
    stats = leg.stream.stats()
    assert (stats.wrong_payload_type, stats.lost, stats.packets) == (3, 0, 4)


def test_a_chunk_of_many_spans_ends_early() -> None:
    stream = Stream(codecs={8: "alaw"}, chunk_ms=1000)
    out: list[Chunk | Digit] = []
    for seq in range(100):
        out += stream.push(rtp(seq, seq * 80, voice(seq, 40)), BASE + seq * 10 * MS)
    out += stream.finish()
    check(out, stream.stats(), chunk=8000)
    assert [len(part.spans) for part in chunks(out)] == [32, 32, 32, 32, 32, 32, 7]
    assert payload(out)[:120] == voice(0, 40) + b"\xd5" * 40 + voice(1, 40)


def test_a_codec_switch_ends_the_chunk() -> None:
    leg = Leg()
    talk(leg, 0, 2, 0)
    talk(leg, 2, 4, 320, payload_type=0)
    out = chunks(leg.finish())
    assert [(part.codec, part.first, part.samples) for part in out] == [
        ("alaw", 0, 320),
        ("mulaw", 320, 480),
        ("mulaw", 800, 160),
    ]


def test_levels_are_the_power_of_each_20_ms() -> None:
    leg = Leg()
    loud, soft = audioop.lin2alaw(b"\xff\x7f" * 160, 2), audioop.lin2alaw(b"\x40\x03" * 160, 2)
    for seq, frame in enumerate([loud, soft, b"\xd5" * 160, loud[:80] + b"\xd5" * 80]):
        leg.push(rtp(seq, seq * 160, frame))
    leg.push(rtp(4, 640, b"\xff" * 200, payload_type=0))
    out = chunks(leg.finish())
    # full scale is 32256 in A-law; 832 is 31.9 dB below; the smallest A-law step is 8; 0 has no power
    assert [list(part.levels) for part in out] == [[0, 32, 72, 3], [127], []]


def test_jitter_is_that_of_rfc_3550() -> None:
    leg = Leg()
    rng = random.Random(4)
    arrival, jitter, before = 0.0, 0.0, 0.0
    for seq in range(200):
        late = rng.uniform(0, 15)
        leg.now = BASE + int((seq * 20 + late) * MS)
        leg.push(rtp(seq, seq * 160, voice(seq)), after=0)
        arrival = late * 8
        if seq:
            jitter += (abs(arrival - before) - jitter) / 16
        before = arrival
    assert leg.stream.stats().jitter == pytest.approx(jitter, rel=1e-3)


def test_a_full_backlog_becomes_a_hole_that_the_clock_passes() -> None:
    stream = Stream(codecs={8: "alaw"}, chunk_ms=20, backlog=2)
    out = stream.push(rtp(0, 0, voice(0)), BASE)
    stream.push(rtp(9, 9 * 160, voice(9)), BASE + 180 * MS)
    out += stream.tick(BASE + 900 * MS)
    out += stream.finish()
    assert stream.dropped() == 7
    assert [(part.first, part.samples, len(part.payload)) for part in chunks(out)] == [
        (0, 160, 160),
        (160, 160, 160),
        (320, 160, 160),
        (480, 1120, 0),
        (1600, 0, 0),
    ]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"codecs": {}}, "a leg needs a codec"),
        ({"codecs": {18: "g729"}}, "payload type 18 is 'g729'"),
        ({"codecs": {128: "alaw"}}, "128 is not a payload type"),
        ({"telephone_event": 300}, "300 is not a payload type"),
        ({"remote": ("pbx.example", 4000)}, "does not appear to be an IPv4 or IPv6 address"),
        ({"remote": ("192.0.2.1", 70000)}, "70000 is not a port"),
        ({"chunk_ms": 5}, "chunk_ms is 5; 10 to 1000 can be"),
        ({"reorder_ms": -1}, "reorder_ms is -1; 0 to 500 can be"),
        ({"conceal_ms": 1001}, "conceal_ms is 1001"),
        ({"pause_fill_ms": 60001}, "pause_fill_ms is 60001"),
    ],
)
def test_what_cannot_be_is_refused(fault: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Leg(**fault)
