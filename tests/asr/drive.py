"""Drives one engine session by hand: what is sent, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.asr.deepgram import DeepgramEngine
from gateway.asr.engine import End, Engine, EngineEvent, EngineSession, Failure, Final, Partial, Ready, Refinement
from gateway.asr.fake.core import Core, Options
from gateway.asr.fake.faults import FaultPlan, parse
from gateway.asr.fake.server import FakeServer
from gateway.asr.gate import Gate
from gateway.asr.kinds import Context
from gateway.asr.options import Deepgram, Palatine, Vosk, Yandex
from gateway.asr.palatine import PalatineEngine
from gateway.asr.vosk import VoskEngine
from gateway.asr.yandex import YandexEngine

PROTOCOLS = ("yandex-v3", "yandex-v2", "vosk", "deepgram")
MESSAGE = 1600  # samples


def fake(*faults: str, **options: Any) -> FakeServer:
    """Returns a test server that makes these faults."""
    return FakeServer(Core(Options(plan=FaultPlan([parse(fault) for fault in faults]), **options), seed=1))


def engine_at(protocol: str, url: str, heard: Callable[[float], None] = lambda _: None, **settings: Any) -> Engine:
    """Returns an engine for a protocol of the test server."""
    context = Context(protocol, 5.0, Gate(), heard)
    if protocol == "palatine":
        return PalatineEngine(Palatine(url=url, **settings), connect_seconds=context.connect_seconds)
    if protocol == "vosk":
        return VoskEngine(Vosk(url=url, **settings), context)
    if protocol == "deepgram":
        return DeepgramEngine(Deepgram(url=url, **{"api_key": "k3y", **settings}), context)
    fields = {"endpoint": url, "tls": False, "api": protocol.removeprefix("yandex-"), "api_key": "k3y", **settings}
    return YandexEngine(Yandex.model_validate(fields), context)


class Driven:
    """One session, and everything that it told."""

    def __init__(self, engine: Engine, codec: str = "alaw") -> None:
        self.events: list[EngineEvent] = []
        self._changed = asyncio.Event()
        self.session: EngineSession = engine.open(codec, self._take)

    async def send(self, audio: bytes, *, pace: float = 0.0) -> None:
        """Sends audio in messages, each after a wait."""
        for first in range(0, len(audio), MESSAGE):
            await self.until(lambda: not self.session.congested or self.over)
            if self.over:
                return
            self.session.send(audio[first : first + MESSAGE])
            await asyncio.sleep(pace)

    async def ready(self) -> None:
        """Waits for the first event."""
        await self.until(lambda: bool(self.events))

    async def end(self) -> EngineEvent:
        """Waits for ``End`` or ``Failure``, and returns it."""
        await self.until(lambda: self.over)
        return self.events[-1]

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Waits for a condition on the events."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), 0.05)
                except TimeoutError:
                    continue

    @property
    def over(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], End | Failure)

    @property
    def finals(self) -> list[Final]:
        return [event for event in self.events if isinstance(event, Final)]

    @property
    def words(self) -> list[str]:
        return " ".join(final.text for final in self.finals).split()

    @property
    def partials(self) -> list[Partial]:
        return [event for event in self.events if isinstance(event, Partial)]

    @property
    def refinements(self) -> list[Refinement]:
        return [event for event in self.events if isinstance(event, Refinement)]

    @property
    def is_ready(self) -> bool:
        return bool(self.events) and isinstance(self.events[0], Ready)

    def _take(self, event: EngineEvent) -> None:
        assert not self.over, f"{event} came after the end"
        self.events.append(event)
        self._changed.set()
