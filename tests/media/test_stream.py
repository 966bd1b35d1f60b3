"""The logic of one leg, packet by packet, without socket and thread."""

from __future__ import annotations

import math
import random
import warnings

import pytest

from gateway.media.chunks import Chunk, Digit, Kind
from gateway.media.receiver import Stream
from tests.media.packets import MS, check, chunks, digits, event, payload, rtp, spans

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

BASE = 1_000_000 * MS
PEER = ("192.0.2.1", 4000)
WHERE = {"alaw": b"\xd5", "mulaw": b"\xff"}


class Leg:
    """Feeds a stream and collects what comes out; a packet's arrival follows its timestamp unless told."""

    def __init__(self, **options: object) -> None:
        settings = {"codecs": {8: "alaw", 0: "mulaw"}, "telephone_event": 101, "comfort_noise": 13, "now": BASE}
        self.stream = Stream(**(settings | options))  # type: ignore[arg-type]
        self.out: list[Chunk | Digit] = []
        self.now = BASE

    def push(self, packet: bytes, *, after: float = 20, source: tuple[str, int] = PEER) -> None:
        self.now += int(after * MS)
        self.out += self.stream.push(packet, self.now, source)

    def finish(self) -> list[Chunk | Digit]:
        self.out += self.stream.finish()
        check(self.out, self.stream.stats())
        return self.out


def voice(seq: int, samples: int = 160) -> bytes:
    return random.Random(seq).randbytes(samples)


def talk(leg: Leg, first: int, count: int, timestamp: int, **options: int) -> int:
    for seq in range(first, first + count):
        leg.push(rtp(seq, timestamp, voice(seq), **options))  # type: ignore[arg-type]
        timestamp += 160
    return timestamp


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


def test_a_chunk_of_many_spans_ends_early() -> None:
    stream = Stream(codecs={8: "alaw"}, chunk_ms=1000)
    out: list[Chunk | Digit] = []
    for seq in range(100):
        out += stream.push(rtp(seq, seq * 80, voice(seq, 40)), BASE + seq * 10 * MS)
    out += stream.finish()
    check(out, stream.stats(), chunk=8000)
    assert [len(part.spans) for part in chunks(out)] == [32, 32, 32, 32, 32, 32, 7]
    assert payload(out)[:120] == voice(0, 40) + b"\xd5" * 40 + voice(1, 40)


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


def test_a_packet_late_by_seconds_is_late() -> None:
    leg = Leg()
    at = talk(leg, 1000, 300, 0)
    leg.push(rtp(1001, 160, voice(1001)))
    leg.push(rtp(1002, 320, voice(1002)))
    talk(leg, 1300, 1, at)
    assert spans(leg.finish()) == [(Kind.RECEIVED, 0, 301 * 160)]
    assert leg.stream.stats().late == 2


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
