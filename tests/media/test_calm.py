"""Longer chunks while nobody speaks: they end with the first louder frame, and nothing but the cuts is different."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.chunks import Chunk
from gateway.media.receiver import Stream
from tests.media.packets import MS, check, chunks, payload, rtp, spans

BASE = 10_000_000_000
QUIET, LOUD = b"\xd5\x55" * 80, b"\x2a\xaa" * 80  # A-law: the two smallest steps, and the two largest
LONG = 7200  # samples: 900 ms


def said(stream: Stream, seq: int, frame: bytes) -> list[Chunk]:
    return chunks(stream.push(rtp(seq, seq * 160, frame), BASE + seq * 20 * MS))  # type: ignore[arg-type]


def lengths(found: list[Chunk]) -> list[tuple[int, int]]:
    return [(chunk.first, chunk.samples) for chunk in found]


def test_in_the_calm_chunks_are_long() -> None:
    stream = Stream(codecs={8: "alaw"}, chunk_ms=300)
    out = [one for seq in range(15) for one in said(stream, seq, QUIET)]
    stream.calm(LONG, 52)
    out += [one for seq in range(15, 115) for one in said(stream, seq, QUIET)]
    assert lengths(out) == [(0, 2400), (2400, 7200), (9600, 7200)]
    assert out[1].levels == bytes([out[0].levels[0]]) * 45
    assert payload(out) == QUIET * 105


def test_the_first_louder_frame_sends_the_silence_ahead_and_waits_no_longer_than_ever() -> None:
    stream = Stream(codecs={8: "alaw"}, chunk_ms=300)
    stream.calm(LONG, 52)
    out = [one for seq in range(20) for one in said(stream, seq, QUIET)]
    assert out == []
    (silence,) = said(stream, 20, LOUD)
    assert (silence.first, silence.payload) == (0, QUIET * 20 + LOUD)
    assert silence.arrived_last == BASE + 20 * 20 * MS
    out = [one for seq in range(21, 60) for one in said(stream, seq, LOUD)]
    assert lengths(out) == [(3360, 1440), (4800, 2400), (7200, 2400)]
    assert payload(out) == LOUD * 39


def test_a_louder_frame_before_the_first_long_chunk_changes_nothing() -> None:
    stream = Stream(codecs={8: "alaw"}, chunk_ms=300)
    stream.calm(LONG, 52)
    frames = [QUIET] * 10 + [LOUD] * 20
    out = [one for seq, frame in enumerate(frames) for one in said(stream, seq, frame)]
    assert lengths(out) == [(0, 2400), (2400, 2400)]


@pytest.mark.parametrize("samples", [80, 240, 320])
def test_a_louder_frame_is_seen_in_packets_of_any_length(samples: int) -> None:
    stream = Stream(codecs={8: "alaw"}, chunk_ms=300)
    stream.calm(LONG, 52)
    found, count = [], 3600 // samples
    for seq in range(count):
        found += stream.push(rtp(seq, seq * samples, b"\xd5" * samples), BASE + seq * 20 * MS)
    assert found == []
    loud = b"\xd5" * (samples - 80) + b"\x2a" * 80
    (silence,) = chunks(stream.push(rtp(count, count * samples, loud), BASE + count * 20 * MS))  # type: ignore[arg-type]
    assert silence.samples == (count + 1) * samples


def test_who_wants_it_out_of_range_is_told() -> None:
    stream = Stream(codecs={8: "alaw"})
    with pytest.raises(ValueError, match="samples is 16001; 0 to 16000 can be"):
        stream.calm(16_001, 52)
    with pytest.raises(ValueError, match="level is 128; 0 to 127 can be"):
        stream.calm(7200, 128)


@given(st.sampled_from(["alaw", "mulaw"]), st.integers(0, 127), st.lists(st.integers(0, 255), min_size=1, max_size=160))
def test_a_frame_ends_the_calm_where_its_level_is_below_and_not_otherwise(
    codec: str, level: int, some: list[int]
) -> None:
    frame = bytes(some) + {"alaw": b"\xd5", "mulaw": b"\xff"}[codec] * (160 - len(some))
    other = Stream(codecs={8: codec}, chunk_ms=20)
    (judged,) = chunks(other.push(rtp(0, 0, frame), BASE))  # type: ignore[arg-type]
    stream = Stream(codecs={8: codec}, chunk_ms=20)
    stream.calm(LONG, level)
    before = stream.push(rtp(0, 0, {"alaw": b"\xd5", "mulaw": b"\xff"}[codec] * 160), BASE)
    assert before == []
    assert (len(stream.push(rtp(1, 160, frame), BASE + 20 * MS)) == 1) == (judged.levels[0] < level)


Step = tuple[bool, int, int | None]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.none() | st.integers(0, 16_000)), max_size=200),
    st.sampled_from([60, 100, 300]),
)
def test_only_the_cuts_are_different(steps: list[Step], chunk_ms: int) -> None:
    """Frames loud or quiet, packets lost, and calm begun at any time."""
    plain, calm = Stream(codecs={8: "alaw"}, chunk_ms=chunk_ms), Stream(codecs={8: "alaw"}, chunk_ms=chunk_ms)
    usual, other = [], []
    seq, longest = 0, chunk_ms * 8
    for loud, lost, samples in steps:
        if samples is not None:
            calm.calm(samples, 52)
            longest = max(longest, samples)
        packet, at = rtp(seq, seq * 160, LOUD if loud else QUIET), BASE + seq * 20 * MS
        usual += plain.push(packet, at)
        other += calm.push(packet, at)
        seq += 1 + lost
    usual += plain.finish()
    other += calm.finish()
    check(usual, plain.stats(), chunk=chunk_ms * 8)
    assert payload(other) == payload(usual)
    assert spans(other) == spans(usual)
    assert calm.stats() == plain.stats()
    found = chunks(other)
    assert [chunk.first for chunk in found] == [sum(one.samples for one in found[:at]) for at in range(len(found))]
    assert all(len(chunk.payload) <= longest for chunk in found)
    assert [chunk.last for chunk in found] == [False] * (len(found) - 1) + [True]
