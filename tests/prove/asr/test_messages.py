"""What the size of a message costs: latency of partials and CPU of a leg, at an engine that works in 300 ms blocks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from gateway.asr.engine import Engine
from gateway.asr.options import Palatine, Yandex
from gateway.asr.palatine import PalatineEngine
from gateway.config import Settings
from tests.peers.claims import Claim
from tests.peers.line import Line, script
from tests.prove.asr.test_exactness import engine_at
from tests.prove.asr.test_outage import Fake

LEGS = 40
SIZES = (20, 60, 100, 150, 300)


async def speak(lines: list[Line], size: int) -> list[float]:
    """Speaks on all lines; returns for each word the time from its block's end on the wire to its partial."""
    start, shown, spoken = time.monotonic(), [], lines[0].spoken
    offsets = [index / len(lines) * size / 1000 for index in range(len(lines))]
    for number in range(len(spoken.audio) // (size * 8)):
        for index, line in enumerate(lines):
            await asyncio.sleep(max(0.0, start + (number + 1) * size / 1000 + offsets[index] - time.monotonic()))
            line.feed()
    async with asyncio.timeout(20):
        await asyncio.gather(*(line.owner.done.wait() for line in lines))
    for line, offset in zip(lines, offsets, strict=True):
        for word, first, _ in spoken.words:
            # recognised 80 ms into the word, in the block that this completes
            block = -(-(first + 640) // 2400) * 0.3
            at = next((when for when, text in line.owner.shown if word in text.split()), None)
            if at is not None:
                shown.append(at - start - offset - block)
    return sorted(shown)


async def run(fake: Fake, engine: Engine, size: int) -> tuple[float, float, float]:
    """Speaks on all legs; returns median and 99th percentile of the latency (ms), and the CPU share of a leg."""
    spoken = script([*range(1, 21)])  # 6 s
    lines = [Line([engine], Settings(), spoken, size) for _ in range(LEGS)]
    await asyncio.sleep(0.5)
    cpu = time.process_time()
    shown = await speak(lines, size)
    cpu = (time.process_time() - cpu) / LEGS / spoken.seconds
    await fake.stop()
    assert len(shown) == LEGS * len(spoken.words)
    return shown[len(shown) // 2] * 1000, shown[len(shown) * 99 // 100] * 1000, cpu


async def test_message_sizes(tmp_path: Path, claim: Claim) -> None:
    default = Palatine().message_ms
    found: dict[tuple[str, int], tuple[float, float, float]] = {}
    print()
    print(f"{'codec':9} {'message':>8} {'p50':>8} {'p99':>8}   CPU of a leg")
    for codec in ("native", "linear16"):
        for size in SIZES:
            fake = Fake(tmp_path, f"{codec}-{size}", latency="0", starts=1000)
            await fake.start()
            settings = Palatine.model_validate({"url": fake.url, "message_ms": size // 20 * 20, "codec": codec})
            p50, p99, cpu = found[codec, size] = await run(fake, PalatineEngine(settings, connect_seconds=5), size)
            print(f"{codec:9} {size:5} ms {p50:5.1f} ms {p99:5.1f} ms   {cpu:.3%} of a core")
    for codec in ("native", "linear16"):
        rows = {size: found[codec, size] for size in SIZES}
        soonest, cheapest = min(row[0] for row in rows.values()), min(row[2] for row in rows.values())
        table = ", ".join(f"{size}: {row[0]:.1f} ms {row[2]:.2%}" for size, row in rows.items())
        what = f"{codec}: latency of partials (p50) and CPU of a leg by message size; {default} ms is as good as any"
        p50, _, cpu = rows[default]
        claim(what, table, p50 <= soonest + 5 and cpu <= cheapest * 1.1)


async def test_a_leg_over_grpc(tmp_path: Path, claim: Claim) -> None:
    fake = Fake(tmp_path, "grpc", latency="0", starts=1000, protocol="yandex-v3")
    await fake.start()
    p50, p99, cpu = await run(fake, engine_at("yandex-v3", fake.url), Yandex().message_ms)
    row = f"{Yandex().message_ms} ms, {p50:.1f} ms, p99 {p99:.1f} ms, {cpu:.2%} of a core"
    claim(f"Yandex v3 over gRPC, {LEGS} legs: message, latency of partials, CPU of a leg", row, p50 < 300)
