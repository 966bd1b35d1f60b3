"""What holds for every stream, however the network and the sender treat it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.media.chunks import Chunk, Digit, Kind
from gateway.media.receiver import Stream
from tests.media.packets import MS, check, chunks, rtp

BASE = 1_000_000 * MS
REORDER_MS = 40


@dataclass(frozen=True)
class Sent:
    """One packet: ``at`` is its place on the sender's clock, ``delay`` what the network adds, in ms."""

    seq: int
    at: int
    payload: bytes
    delay: int
    copies: int


@st.composite
def calls(draw: st.DrawFn) -> tuple[int, int, list[Sent]]:
    """A sender with changing ptime and pauses, through a network with loss, delay inside the window, and copies."""
    first_seq = draw(st.integers(0, 0xFFFF))
    first_ts = draw(st.integers(0, 0xFFFFFFFF))
    rng = random.Random(draw(st.integers(0, 2**32)))
    packets, at = [], 0
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from([10, 20, 20, 20, 30, 40, 60]),
                st.sampled_from([0] * 12 + [20, 300, 5000]),  # pause before it, ms
                st.integers(0, REORDER_MS - 1),
                st.sampled_from([1] * 8 + [0, 2, 3]),
            ),
            min_size=1,
            max_size=60,
        )
    )
    for number, (ptime, pause, delay, copies) in enumerate(steps):
        at += pause * 8 if number else 0
        # the first packet anchors the clock: it comes, and first
        packets.append(Sent(number, at, rng.randbytes(ptime * 8), delay if number else 0, copies if number else 1))
        at += ptime * 8
    return first_seq, first_ts, packets


def play(first_seq: int, first_ts: int, packets: list[Sent], stream: Stream) -> list[Chunk | Digit]:
    """Sends each packet when its last sample was spoken, ticking the clock every 5 ms, as the receiver does."""
    start = len(packets[0].payload)
    arrivals = sorted(
        ((one.at + len(one.payload) - start) * MS // 8 + (one.delay + 13 * copy) * MS, one.seq, one)
        for one in packets
        for copy in range(one.copies)
    )
    out: list[Chunk | Digit] = []
    tick = 0
    for arrival, _, one in arrivals:
        while tick < arrival:
            if arrival - tick < 200 * MS:
                out += stream.tick(BASE + tick)
            tick += 5 * MS
        out += stream.push(rtp(first_seq + one.seq, first_ts + one.at, one.payload), BASE + arrival)
    return out + stream.finish()


@settings(max_examples=400, deadline=None)
@given(calls())
def test_bytes_come_out_where_they_were(call: tuple[int, int, list[Sent]]) -> None:
    first_seq, first_ts, packets = call
    stream = Stream(codecs={8: "alaw"}, reorder_ms=REORDER_MS, pause_fill_ms=1000)
    out = play(first_seq, first_ts, packets, stream)
    stats = stream.stats()
    check(out, stats)

    came = [one for one in packets if one.copies]
    end = came[-1].at + len(came[-1].payload)
    assert stats.samples == end
    assert stats.late == 0
    assert stats.packets == sum(one.copies for one in packets)
    assert stats.duplicates == sum(one.copies - 1 for one in came)
    assert stats.lost == sum(not one.copies for one in packets if one.seq < came[-1].seq)

    heard = bytearray(end)
    kinds = bytearray(b"\xff" * end)
    for chunk in chunks(out):
        heard[chunk.first : chunk.first + len(chunk.payload)] = chunk.payload
        for span in chunk.spans:
            kinds[span.first : span.first + span.samples] = bytes([span.kind]) * span.samples
    received = bytearray(end)
    for one in came:
        place = slice(one.at, one.at + len(one.payload))
        assert heard[place] == one.payload
        received[place] = b"\1" * len(one.payload)
    assert all((kind == Kind.RECEIVED) == came_in for kind, came_in in zip(kinds, received, strict=True))
    if stats.lost == 0:
        assert Kind.CONCEALED not in kinds


def random_packet() -> st.SearchStrategy[bytes]:
    seqs = st.one_of(st.integers(0, 40), st.integers(0, 0xFFFF))
    timestamps = st.one_of(st.integers(0, 8000), st.integers(0, 0xFFFFFFFF))
    types = st.sampled_from([8, 8, 8, 0, 101, 13, 18, 72])
    well_formed = st.builds(
        lambda seq, ts, body, kind, ssrc: rtp(seq, ts, body, payload_type=kind, ssrc=ssrc),
        seqs,
        timestamps,
        st.one_of(st.binary(max_size=8), st.binary(min_size=80, max_size=500)),
        types,
        st.sampled_from([1, 1, 1, 2]),
    )
    return st.one_of(well_formed, well_formed, st.binary(max_size=40))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            random_packet(),
            st.sampled_from([0, 5, 20, 20, 60, 4000]),
            st.sampled_from([("192.0.2.1", 4000), ("192.0.2.1", 4000), ("192.0.2.1", 4002), ("2001:db8::9", 5)]),
        ),
        max_size=80,
    ),
    st.sampled_from([None, ("192.0.2.1", 4000)]),
    st.sampled_from([0, 40]),
)
def test_whatever_comes_the_chunks_tile_the_clock(
    sent: list[tuple[bytes, int, tuple[str, int]]], remote: tuple[str, int] | None, reorder_ms: int
) -> None:
    stream = Stream(
        codecs={8: "alaw", 0: "mulaw"},
        telephone_event=101,
        comfort_noise=13,
        remote=remote,
        reorder_ms=reorder_ms,
        pause_fill_ms=200,
    )
    out: list[Chunk | Digit] = []
    now = BASE
    for packet, after, source in sent:
        now += after * MS
        out += stream.push(packet, now, source)
        out += stream.tick(now)
    out += stream.finish()
    check(out, stream.stats())
    assert all(len(item.key) == 1 and item.first >= 0 for item in out if isinstance(item, Digit))
    assert all(count >= 0 for count in stream.stats()[:14])
