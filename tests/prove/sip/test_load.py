"""A hundred new calls a second with a thousand up: at the signalling process alone, and at the whole gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.events import CallEnded
from gateway.sip.build import installed
from gateway.sip.events import Ended, Incoming
from tests.peers import load
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, free_port
from tests.prove.live.stage import palatine, recogniser
from tests.sip.conftest import Signalling, Start, start

__all__ = ["start"]
RATE, HOLD_MS, SECONDS = 100, 10_000, 25

pytestmark = pytest.mark.skipif(installed().name != "work", reason="the quick build holds 4 calls")


def state(claim: Claim, who: str, result: load.Load, within_ms: int) -> None:
    calls = RATE * SECONDS
    claim(f"{who}, {RATE} calls/s: calls up at once", result.most, result.most >= 1000)
    claim("… calls that failed", f"{result.failed} of {calls}", result.failed == 0 and result.answered == calls)
    claim("… retransmissions", result.retransmissions, result.retransmissions == 0)
    times = f"p50 {result.percentile(50):.1f} ms, p99 {result.percentile(99):.1f} ms"
    claim(f"… answer time, within {within_ms} ms", times, result.percentile(99) < within_ms)
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
    state(claim, "the signalling process", result, within_ms=200)
    assert len(gateway.of(Incoming)) == len(gateway.of(Ended)) == RATE * SECONDS


class Bench(GatewayProcess):
    """A gateway whose consumer leaves the processor to it: it checks signatures, not schemas."""

    def _check(self, body: bytes) -> None:
        pass


async def test_the_whole_gateway(tmp_path: Path, claim: Claim) -> None:
    async with recogniser() as engine, Bench(tmp_path, asr=palatine(engine), max_calls=1500) as gateway:
        (signalling,) = gateway.children("gateway.sip.process")
        result = await load.run(
            gateway.sip, port=free_port(), rate=RATE, hold_ms=HOLD_MS, seconds=SECONDS, pid=signalling
        )
        state(claim, "the whole gateway", result, within_ms=500)  # T1 of RFC 3261
        calls = await gateway.completed(result.answered, 120)
    ended = {reason.reason for call in calls for reason in call.of(CallEnded)}
    whole = sum(call.completed is not None and call.completed.complete for call in calls)
    claim("… its calls whose transcript was delivered complete", whole, whole == RATE * SECONDS and ended == {"bye"})
