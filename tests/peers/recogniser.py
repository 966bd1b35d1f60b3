"""The test server that is shipped, in the test's own process, which keeps every byte that it gets; and its words.

A word is two tones (``gateway.asr.fake.words``), the same 20 ms over and over, so that each packet of it is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.asr.fake.core import Core, FakeSession, Options
from gateway.asr.fake.faults import FaultPlan, parse
from gateway.asr.fake.server import FakeServer
from gateway.asr.fake.words import FRAME, say
from gateway.asr.fake.words import text_of as word

__all__ = ["KeptSession", "Recogniser", "frame", "spoken", "traces", "word"]

TRACE = 16  # bytes: 2 ms


class KeptSession(FakeSession):
    """Keeps its audio."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.audio = bytearray()

    def feed(self, payload: bytes) -> Any:
        self.audio += payload
        return super().feed(payload)


class KeepingCore(Core):
    """Makes sessions of a class that keeps their audio."""

    def __init__(self, options: Options, made: type[KeptSession]) -> None:
        super().__init__(options)
        self._made = made

    def session(self, codec: str, protocol: str, now: float) -> FakeSession:
        session = self._made(self.options, codec, protocol, now)
        self.sessions.append(session)
        return session


class Recogniser:
    """Serves Palatine's protocol at a loopback port, which it keeps when it is started again.

    Args:
        faults: As ``fake-asr`` takes them.
        made: The class of its sessions.
        options: See ``gateway.asr.fake.core.Options``.

    Attributes:
        ended: Sessions that are over.
    """

    def __init__(self, *faults: str, made: type[KeptSession] = KeptSession, **options: Any) -> None:
        self._core = KeepingCore(Options(**options), made)
        self._server = FakeServer(self._core)
        self.ended: list[FakeSession] = []
        self._core.on_end = self.ended.append
        self.port = 0
        self.fail(*faults)

    @property
    def url(self) -> str:
        return self._server.urls["palatine"]

    @property
    def sessions(self) -> list[Any]:
        """All so far; each with its ``audio``."""
        return self._core.sessions

    def fail(self, *faults: str) -> None:
        """Makes these faults from now on, and no others."""
        self._core.options.plan = FaultPlan([parse(fault) for fault in faults])

    async def start(self) -> None:
        self.port = int((await self._server.serve("palatine", self.port)).rpartition(":")[2].split("/")[0])

    async def stop(self) -> None:
        """Ends it with all its connections, as a kill does."""
        await self._server.stop()

    async def __aenter__(self) -> Recogniser:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def spoken(values: Sequence[int], *, word_ms: int = 300, gap_ms: int = 0, codec: str = "alaw") -> bytes:
    """Returns the bytes in which these words are said."""
    return say(values, codec, word_ms=word_ms, gap_ms=gap_ms)


def frame(value: int) -> bytes:
    """Returns a packet of a word: 20 ms of A-law."""
    return spoken([value])[:FRAME]


def traces(value: int, audio: bytes) -> int:
    """Returns how many different moments of a word are anywhere in audio, of ``FRAME`` that it has."""
    twice = frame(value) * 2
    return len({twice[at : at + TRACE] for at in range(FRAME)} & {audio[at : at + TRACE] for at in range(len(audio))})
