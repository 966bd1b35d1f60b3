"""An hour of a sender whose clock runs fast or slow."""

from __future__ import annotations

import random

import pytest

from gateway.media.bytemap import ByteMap
from gateway.media.chunks import Chunk
from gateway.media.receiver import Stream
from gateway.media.timeline import Timeline
from tests.media.packets import MS, rtp
from tests.peers.claims import Claim

HOUR = 3600 * 50  # packets


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_an_hour_with_a_clock_that_drifts(ppm: int, claim: Claim) -> None:
    stream, timeline, sent = Stream(codecs={8: "alaw"}), Timeline(), ByteMap()
    rng, begun, now = random.Random(ppm), 50_000 * MS, 0
    for seq in range(HOUR):
        spoken = begun + int((seq + 1) * 20 * MS / (1 + ppm * 1e-6))
        # jitter of a busy network: mostly small, now and then 60 ms
        now = max(now + 1, spoken + int(rng.expovariate(1 / 3) * MS) + (60 * MS if rng.random() < 0.002 else 0))
        for item in stream.push(rtp(seq & 0xFFFF, seq * 160, bytes([seq & 0xFF]) * 160), now):
            assert isinstance(item, Chunk)
            timeline.add(item)
            sent.add(item.first, len(item.payload))
    for item in stream.finish():
        assert isinstance(item, Chunk)
        timeline.add(item)
        sent.add(item.first, len(item.payload))
    timeline.verify()
    assert stream.stats().samples == HOUR * 160
    apart = max(abs(timeline.duration - sent.sent), abs(sent.sample(sent.sent - 1) - (HOUR * 160 - 1)))
    claim(f"an hour at {ppm:+d} ppm: samples between timeline and bytes", apart, apart == 0)
    reported = stream.stats().drift_ppm
    assert reported is not None
    claim(f"an hour at {ppm:+d} ppm: drift reported", f"{reported:+.1f} ppm", abs(reported - ppm) <= 10)
    last = timeline.monotonic_ns(timeline.duration)
    assert last is not None
    error = abs(last - spoken) / MS
    claim(f"an hour at {ppm:+d} ppm: wall clock of the last sample off by", f"{error:.1f} ms", error < 10)
