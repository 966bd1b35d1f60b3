"""An engine that fails is tried without any call, and found when it works again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.asr import probe
from gateway.asr.gate import FAILURES_TO_OPEN, Breaker
from gateway.asr.options import Palatine
from gateway.asr.palatine import PalatineEngine
from gateway.asr.probe import Prober
from tests.peers.recogniser import Recogniser
from tests.peers.waiting import until


class Trial:
    """An engine at a server, its breaker open, and a clock that a test can move on."""

    def __init__(self, server: Recogniser) -> None:
        self.server = server
        self.engine = PalatineEngine(Palatine(url=server.url), connect_seconds=5.0)
        self.later = 0.0
        for _ in range(FAILURES_TO_OPEN):
            self.engine.gate.failed(self.now())
        assert self.engine.gate.state is Breaker.OPEN
        self.prober = Prober([self.engine, self.engine], self.now)

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self.later

    async def tried(self, state: Breaker) -> None:
        self.later += 60
        self.prober.look()
        self.prober.look()
        assert self.engine.gate.state is Breaker.TRYING
        await until(lambda: self.engine.gate.state is state)


@pytest.fixture
async def trial() -> AsyncIterator[Trial]:
    async with Recogniser() as server:
        made = Trial(server)
        yield made
        made.prober.close()


async def test_one_that_works_again_is_found_by_one_session_without_audio(trial: Trial) -> None:
    trial.prober.look()
    assert trial.engine.gate.state is Breaker.OPEN, "not before the breaker lets anybody"
    await trial.tried(Breaker.CLOSED)
    (session,) = trial.server.sessions
    await until(lambda: trial.server.ended == [session])
    assert not session.audio
    trial.prober.look()
    assert len(trial.server.sessions) == 1, "what works is not tried"


async def test_one_that_refuses_stays_unusable_with_its_reason(trial: Trial) -> None:
    trial.server.fail("error=AUTH_ERROR@start")
    await trial.tried(Breaker.OPEN)
    assert trial.engine.gate.verdict is not None
    assert trial.engine.gate.verdict[0] == "AUTH_ERROR"


async def test_one_that_says_nothing_has_failed(trial: Trial) -> None:
    trial.server.fail("stall@start")
    trial.later += 60
    trial.prober.look()
    await until(lambda: len(trial.server.sessions) == 1)
    trial.later += probe.LONGEST + 1
    trial.prober.look()
    assert trial.engine.gate.state is Breaker.OPEN
