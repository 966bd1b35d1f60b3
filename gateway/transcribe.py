"""Sends captured streams through the configured engine, as fast as they were spoken: for ``asr-gateway inspect``."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from gateway import config
from gateway.asr.embedded import faults
from gateway.asr.embedded.supervisor import EmbeddedServer
from gateway.asr.engine import Failure
from gateway.asr.engines import EngineError, Engines, wants_embedded
from gateway.asr.options import Palatine
from gateway.asr.routes import Facts
from gateway.calls.leg import Leg, SessionCause
from gateway.config import Settings
from gateway.media.capture import Found
from gateway.media.chunks import SAMPLE_RATE, Digit
from gateway.transcripts.utterances import Update


class TranscribeError(Exception):
    """The streams cannot be transcribed; the text says why."""


class _Words:
    """Collects what one leg says; see ``gateway.calls.leg.Owner``."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.trouble = ""
        self.failure = ""
        self.done = asyncio.Event()

    def leg_words(self, _leg: Leg, update: Update) -> None:
        self.texts[update.number] = update.text

    def leg_key(self, _leg: Leg, _digit: Digit) -> None: ...

    def leg_audio(self, _leg: Leg, _first: int, _payload: bytes, _codec: str) -> None: ...

    def leg_withheld(self, _leg: Leg, *, withheld: bool) -> None: ...

    def leg_key_withheld(self) -> None: ...

    def leg_session(self, _leg: Leg, _engine: str, _cause: SessionCause) -> None: ...

    def leg_degraded(self, _leg: Leg, failure: Failure, *, retrying: bool) -> None:
        if retrying:
            self.trouble = f"{failure.code}: {failure.text}; "
        else:
            self.failure = f"{self.trouble}{failure.code}: {failure.text}"

    def leg_recovered(self, _leg: Leg, _lost: int) -> None:
        self.trouble = ""

    def leg_lag(self, _samples: int | None) -> None: ...

    def leg_written(self, _arrived: int, _now: int) -> None: ...

    def leg_done(self, _leg: Leg) -> None:
        self.done.set()


async def transcribe(streams: Sequence[Found], path: Path | None) -> list[str]:
    """Returns the text of each stream, transcribed side by side.

    Args:
        streams: What a capture held.
        path: The configuration; None for defaults and environment.

    Raises:
        TranscribeError: The configuration or an engine cannot be used, or a recogniser was lost for good.
    """
    try:
        settings = config.load(path)
    except config.ConfigError as error:
        raise TranscribeError(f"the configuration: {error}") from error
    async with contextlib.AsyncExitStack() as undo:
        try:
            embedded = await _embedded(settings, undo)
            engines = Engines(settings.asr, embedded, lambda _engine, _seconds: None)
        except (OSError, EngineError, faults.StartError) as error:
            raise TranscribeError(str(error)) from error
        undo.push_async_callback(engines.close)
        return list(await asyncio.gather(*(_text(one, engines, settings) for one in streams)))


async def _embedded(settings: Settings, undo: contextlib.AsyncExitStack) -> Palatine | None:
    if not wants_embedded(settings.asr):
        return None
    server = EmbeddedServer(settings.asr.embedded, lambda _state, _text: None)
    await server.start()
    undo.push_async_callback(server.stop)
    return server.reached()


async def _text(found: Found, engines: Engines, settings: Settings) -> str:
    words = _Words()
    codec = next((chunk.codec for chunk in found.chunks if chunk.payload), "alaw")
    leg = Leg(0, "caller", "", codec, engines.choose(Facts())[1], settings, words)
    begun = time.monotonic()
    for chunk in found.chunks:
        await asyncio.sleep(begun + (chunk.first + chunk.samples) / SAMPLE_RATE - time.monotonic())
        leg.chunk(chunk)
    async with asyncio.timeout(settings.asr.finish_seconds + 5):
        while not words.done.is_set():
            leg.tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(words.done.wait(), 0.2)
    if words.failure:
        raise TranscribeError(words.failure)
    return " ".join(words.texts[number] for number in sorted(words.texts))
