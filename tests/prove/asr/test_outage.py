"""500 legs whose engine dies for 20 s: no retry storm, every word back, and nobody else is touched."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

from gateway.asr.gate import Gate
from gateway.asr.options import Palatine
from gateway.asr.palatine import PalatineEngine
from gateway.config import Settings
from tests.peers.claims import Claim
from tests.peers.line import Line, script

LEGS, OTHERS = 500, 20
RATE = 40
CHUNK_MS = 300
DEAD_AT, DEAD_FOR = 18.0, 20.0
SECONDS = 84


class Fake:
    """``asr-gateway fake-asr`` in a process of its own, which can be killed."""

    def __init__(
        self, folder: Path, name: str, *, latency: str = "60/150", starts: int = RATE, protocol: str = "palatine"
    ) -> None:
        self._protocol = protocol
        self._folder = folder
        self._name = name
        self._options = ("--starts-per-second", str(starts), "--latency-ms", latency)
        self._port = 0
        self._runs = 0
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        self._runs += 1
        with (self._folder / f"{self._name}-{self._runs}").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.cli", "fake-asr", f"--{self._protocol}", str(self._port)),
                *self._options,
                stdout=log,
            )
        async with asyncio.timeout(20):
            words: list[str] = []
            while len(words) < 4:  # another process writes them
                await asyncio.sleep(0.05)
                words = (self._folder / f"{self._name}-{self._runs}").read_text().split()
        self.url = words[3]
        self._port = int(self.url.rpartition(":")[2].split("/")[0])

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> list[dict[str, object]]:
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()
        lines = (self._folder / f"{self._name}-{self._runs}").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def speak_all(lines: list[Line]) -> None:
    """Speaks on all lines in real time, spread over the length of a chunk."""
    start, step = time.monotonic(), CHUNK_MS / 1000
    chunks = -(-len(lines[0].spoken.audio) // (CHUNK_MS * 8))
    for number in range(chunks):
        for index, line in enumerate(lines):
            if index % 10 == 0:
                due = start + step * (number + 1 + index / len(lines))
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            line.feed()


async def test_five_hundred_legs_lose_their_engine_for_twenty_seconds(tmp_path: Path, claim: Claim) -> None:
    codes = [code for word in range(1, 161) for code in ((word, None) if word % 8 == 0 else (word,))]
    spoken = script(codes)
    assert 70 < spoken.seconds < SECONDS
    dying, other = Fake(tmp_path, "dying"), Fake(tmp_path, "other")
    await dying.start()
    await other.start()
    gates = [Gate(starts_per_second=RATE) for _ in range(2)]
    engines = [
        PalatineEngine(Palatine.model_validate({"url": fake.url, "message_ms": CHUNK_MS}), connect_seconds=5, gate=gate)
        for fake, gate in zip((dying, other), gates, strict=True)
    ]
    settings = Settings()
    gc.collect()
    before = resident_mb()
    lines = [Line([engines[0 if index < LEGS else 1]], settings, spoken, CHUNK_MS) for index in range(LEGS + OTHERS)]
    mine, others = lines[:LEGS], lines[LEGS:]
    starts: list[tuple[float, int]] = []
    held, back, drained, worst = 0, 0.0, 0.0, 0.0

    async def watch() -> None:
        nonlocal held, drained, worst
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            starts.append((now, gates[0].starts))
            held = max(held, sum(line.leg._recognition.held for line in mine))
            worst = max(worst, resident_mb())
            if back and any(line.leg._recognition.backlog > 2 * CHUNK_MS * 8 for line in mine):
                drained = now

    begin = time.monotonic()
    watching, speaking = asyncio.create_task(watch()), asyncio.create_task(speak_all(lines))
    await asyncio.sleep(DEAD_AT)
    normal = resident_mb()
    await dying.kill()
    await asyncio.sleep(DEAD_FOR)
    await dying.start()
    back = time.monotonic()
    await speaking
    async with asyncio.timeout(30):
        while not all(line.owner.done.is_set() for line in lines):
            for line in lines:
                line.leg.tick()
            await asyncio.sleep(0.2)
    watching.cancel()
    await dying.stop()
    await other.stop()
    print(f"the run took {time.monotonic() - begin:.0f} s; engine back at {back - begin:.1f} s")
    per_second = max(
        later - count for at, count in starts for when, later in starts if 0 < when - at <= 1.0
    )  # over any second
    refused = sum(code == "HANDSHAKE" for line in mine for code, _ in line.owner.failures)
    what = f"{LEGS} legs, the engine dies for {DEAD_FOR:.0f} s"
    kept = per_second <= RATE + 2 and not refused  # the samples are 0.1 s apart
    claim(f"{what}: starts in any second, of {RATE} allowed; refused", f"{per_second}, {refused}", kept)
    recovered = [line.owner.recovered[-1] for line in mine if line.owner.recovered]
    spread = [round(sorted(recovered)[len(recovered) * tenth // 10] - back, 1) for tenth in range(10)]
    print(f"recovered, by tenths of the legs, s after the engine: {spread}")
    print(f"tries {gates[0].starts}, breaker opened {gates[0].opened} times")
    figure = f"{len(recovered)}, the last {max(recovered) - back:.1f} s after the engine" if recovered else "0"
    claim(f"{what}: legs that recovered", figure, len(recovered) == LEGS)
    claim(f"{what}: backlog drained after, s", f"{drained - back:.1f}", drained - back <= 30)
    verdicts = [line.verdict() for line in mine]
    for line, verdict in zip(mine, verdicts, strict=True):
        if not verdict.exact:
            texts = [(u.start // 8, u.end // 8, u.text) for _, u in sorted(line.owner.texts.items())]
            print(verdict, line.owner.failures, line.leg.unrecognised, texts)
    exact = sum(verdict.exact for verdict in verdicts)
    claim(f"{what}: legs with every word once", exact, exact == LEGS)
    figure = f"{normal:.0f} MB before, {worst:.0f} at most, {held / LEGS / 1000:.0f} KB of audio a leg"
    claim(f"{what}: memory", figure, worst - normal < LEGS * settings.asr.replay_seconds * 8000 / 1e6 * 2)
    untouched = sum(line.verdict().exact and not line.owner.failures for line in others)
    claim(f"{what}: legs of another engine that noticed nothing", f"{untouched}/{OTHERS}", untouched == OTHERS)
    assert before < normal
