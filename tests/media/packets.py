"""RTP packets by hand, and what all streams of chunks must keep."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from gateway.media.chunks import Chunk, Digit, Kind, Span
from gateway.media.stats import StreamStats

MS = 1_000_000
SSRC = 0x1234


def rtp(
    seq: int,
    timestamp: int,
    payload: bytes,
    *,
    payload_type: int = 8,
    ssrc: int = SSRC,
    marker: bool = False,
    csrc: Sequence[int] = (),
    extension: bytes | None = None,
    padding: int = 0,
) -> bytes:
    first = 0x80 | len(csrc) | (0x10 if extension is not None else 0) | (0x20 if padding else 0)
    head = struct.pack(
        "!BBHII", first, payload_type | marker << 7, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc & 0xFFFFFFFF
    )
    head += b"".join(struct.pack("!I", source) for source in csrc)
    if extension is not None:
        head += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
    return head + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def event(seq: int, timestamp: int, code: int, duration: int, *, end: bool = False, marker: bool = False) -> bytes:
    payload = struct.pack("!BBH", code, 0x80 * end | 10, duration)
    return rtp(seq, timestamp, payload, payload_type=101, marker=marker)


def chunks(items: Iterable[Chunk | Digit]) -> list[Chunk]:
    return [item for item in items if isinstance(item, Chunk)]


def digits(items: Iterable[Chunk | Digit]) -> list[Digit]:
    return [item for item in items if isinstance(item, Digit)]


def payload(items: Iterable[Chunk | Digit]) -> bytes:
    return b"".join(chunk.payload for chunk in chunks(items))


def spans(items: Iterable[Chunk | Digit]) -> list[tuple[Kind, int, int]]:
    """The spans of all chunks, neighbours of one kind put together."""
    merged: list[tuple[Kind, int, int]] = []
    for span in (span for chunk in chunks(items) for span in chunk.spans):
        if merged and merged[-1][0] == span.kind:
            kind, first, samples = merged.pop()
            span = Span(kind, first, samples + span.samples)
        merged.append((span.kind, span.first, span.samples))
    return merged


def check(items: Sequence[Chunk | Digit], stats: StreamStats, chunk: int = 800) -> None:
    """The chunks tile the clock, the spans tile the chunks, and the counters agree with them."""
    clock = 0
    counted = dict.fromkeys(Kind, 0)
    for part in chunks(items):
        assert part.first == clock
        assert len(part.payload) in (part.samples, 0)
        assert len(part.levels) == len(part.payload) // 160
        if part.payload:
            assert part.first // chunk == (part.first + part.samples - 1) // chunk
        at = clock
        for span in part.spans:
            assert span.first == at
            assert span.samples > 0
            at += span.samples
            counted[span.kind] += span.samples
        clock += part.samples
        assert at == clock
        received = any(span.kind == Kind.RECEIVED for span in part.spans)
        assert (part.arrived_first > 0) == (part.arrived_last > 0) == received
        assert part.arrived_first <= part.arrived_last
    assert counted[Kind.RECEIVED] == stats.received_samples
    assert counted[Kind.CONCEALED] == stats.concealed_samples
    assert counted[Kind.PAUSE] + counted[Kind.COMFORT_NOISE] + counted[Kind.DTMF] == stats.paused_samples
    assert stats.samples == clock
    assert [part.last for part in chunks(items)] == [False] * (len(chunks(items)) - 1) + [True]
