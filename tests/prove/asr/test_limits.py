"""A long call at an engine with Yandex's limits: rolled over in time, word for word, its times continuous."""

from __future__ import annotations

import asyncio
import random

from gateway.asr.fake.core import Core, Options
from gateway.asr.fake.server import FakeServer
from gateway.config import Settings
from tests.peers.claims import Claim
from tests.peers.line import Line, script
from tests.prove.asr.test_exactness import engine_at

SPEED = 8  # times real time: the fake counts audio, and the machine waits for nothing but answers
CALL = 17 * 60


async def test_seventeen_minutes_at_five_minutes_a_session(claim: Claim) -> None:
    dice = random.Random(17)
    codes: list[int | None] = []
    seconds = 0.0
    for word in range(1, 1081):
        pause = dice.random() < 0.55
        codes += [word, None] if pause else [word]
        seconds += 1.5 if pause else 0.3
        if seconds > CALL:
            break
    while seconds <= CALL:  # the vocabulary is used up: the rest is pauses
        codes.append(None)
        seconds += 1.2
    spoken = script(codes)
    core = Core(Options(max_seconds=300, max_bytes=10_000_000, idle_seconds=5, starts_per_second=40))
    server = FakeServer(core)
    # what was said while the first session was being opened is caught up with, which needs more than SPEED
    engine = engine_at("yandex-v3", await server.serve("yandex-v3"), replay_speed=10)
    line = Line([engine], Settings(), spoken)
    await asyncio.wait_for(line.speak(SPEED), CALL / SPEED + 60)
    await server.stop()
    verdict = line.verdict()
    print(verdict)
    what = "a 17-minute call at Yandex's limits"
    claim(f"{what}: sessions, none ended by a limit", len(core.sessions),
          len(core.sessions) == 4 and all(session.outcome == "completed" for session in core.sessions))  # fmt: skip
    claim(
        f"{what}: words lost or doubled of {verdict.expected}", f"{verdict.missing}, {verdict.doubled}", verdict.exact
    )
    begin = {word: (start, end) for word, start, end in spoken.words}
    errors = [0]
    for update in line.owner.texts.values():
        words = [word.lower().strip(".,") for word in update.text.split()]
        if words:
            errors += [abs(update.start - begin[words[0]][0]), abs(update.end - begin[words[-1]][1])]
    claim(f"{what}: utterance times off by at most, ms", max(errors) / 8, max(errors) <= 400)
    assert line.leg.summary is not None
    assert line.leg.summary.sent == len(spoken.audio)
    assert not line.owner.failures


async def test_where_nobody_pauses_the_sessions_overlap(claim: Claim) -> None:
    spoken = script(list(range(1, 301)))  # 90 s without a pause

    async def one(protocol: str) -> None:
        core = Core(Options(max_seconds=20, block_ms=300))
        server = FakeServer(core)
        engine = engine_at(protocol, await server.serve(protocol), session_seconds=20)
        line = Line([engine], Settings(), spoken)
        await asyncio.wait_for(line.speak(1.5), 90)
        await server.stop()
        verdict = line.verdict()
        print(verdict)
        figure = f"{len(core.sessions)} sessions, {verdict.missing} lost, {verdict.doubled} doubled"
        claim(f"{protocol}: 90 s without a pause, 20 s a session: every word once", figure, verdict.exact)
        assert not line.owner.failures

    await asyncio.gather(one("yandex-v3"), one("palatine"))
