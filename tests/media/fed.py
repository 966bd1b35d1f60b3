"""A leg that a test feeds packet by packet, without socket and thread."""

from __future__ import annotations

import random

from gateway.media.chunks import Chunk, Digit
from gateway.media.receiver import Stream
from tests.media.packets import MS, check, rtp

BASE = 1_000_000 * MS
PEER = ("192.0.2.1", 4000)


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
