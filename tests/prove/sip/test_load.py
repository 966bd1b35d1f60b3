"""A hundred new calls a second with a thousand up at the signalling process."""

from __future__ import annotations

import pytest

from gateway.sip.build import installed
from gateway.sip.messages import Ended, Incoming
from tests.peers import load
from tests.peers.claims import Claim
from tests.peers.gateway import free_port
from tests.sip.conftest import Signalling, Start, start

__all__ = ["start"]
RATE, HOLD_MS, SECONDS = 100, 10_000, 25

pytestmark = pytest.mark.skipif(installed().name != "work", reason="the quick build holds 4 calls")


def state(claim: Claim, who: str, result: load.Load) -> None:
    calls = RATE * SECONDS
    claim(f"{who}, {RATE} calls/s: calls up at once", result.most, result.most >= 1000)
    claim("… calls that failed", f"{result.failed} of {calls}", result.failed == 0 and result.answered == calls)
    claim("… retransmissions", result.retransmissions, result.retransmissions == 0)
    times = f"p50 {result.percentile(50):.1f} ms, p99 {result.percentile(99):.1f} ms"
    claim("… answer time", times, result.percentile(99) < 200)
    claim("… CPU of the signalling process, share of a core", f"{result.cpu:.0%}", result.cpu < 0.6)


async def test_the_signalling_process(start: Start, claim: Claim) -> None:
    gateway: Signalling = await start(max_calls=1500)
    assert gateway.link.pid
    result = await load.run(
        f"127.0.0.1:{gateway.port}",
        port=free_port(),
        rate=RATE,
        hold_ms=HOLD_MS,
        seconds=SECONDS,
        pid=gateway.link.pid,
    )
    state(claim, "the signalling process", result)
    assert len(gateway.of(Incoming)) == len(gateway.of(Ended)) == RATE * SECONDS
