"""One recognition session, without its socket: audio in, changes of the text out."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from gateway.asr.embedded.audio import BLOCK_MS, Blocks, OddByteError
from gateway.asr.embedded.detector import Detector
from gateway.asr.embedded.dispatcher import DecodeFailed, Dispatcher, WorkerLost
from gateway.asr.embedded.jobs import Kind
from gateway.asr.embedded.protocol import ErrorCode, ProtocolError, Request
from gateway.asr.embedded.segments import FRAME_MS, Segmenter
from gateway.asr.embedded.transcript import Transcript

PARTIAL_SECONDS = 0.6
"""New audio before the open segment is decoded again."""
STRETCH = 2.0
"""Under load a partial takes long to come; the next one is then asked for after this many times as much audio."""
AHEAD_SECONDS = 3.0
"""A session whose audio runs this far ahead of the clock is a backlog, not a conversation."""

Show = Callable[[str, str, int], Awaitable[None]]
_numbers = itertools.count(1)


class Session:
    """A stream of audio and its text.

    ``push`` returns when the audio is taken. It takes no more while the final of an earlier segment is still awaited at
    the end of the next one, so a client that sends too fast is slowed down by its own connection.

    Args:
        request: What the client asked for.
        detector: A detector for this session alone, of the request's rate.
        dispatcher: Decodes.
        show: Awaited with the new words, the full text and how much audio it covers (milliseconds) whenever the text
            changed, and after each block without speech that leaves nothing to recognise.

    Attributes:
        number: Distinguishes sessions in logs and in the queue.
        failure: Gets the error that ended the session early, if one does.
    """

    def __init__(self, request: Request, detector: Detector, dispatcher: Dispatcher, show: Show) -> None:
        self.number = next(_numbers)
        self.failure: asyncio.Future[ProtocolError] = asyncio.get_running_loop().create_future()
        self._rate = request.sample_rate
        self._blocks = Blocks(request.codec, request.sample_rate)
        self._detector = detector
        self._dispatcher = dispatcher
        self._show = show
        self._segmenter = Segmenter()
        self._transcript = Transcript()
        self._started = asyncio.get_running_loop().time()
        self._detecting: asyncio.Future[list[tuple[bytes, float]]] | None = None
        self._final: asyncio.Task[None] | None = None
        self._partial: asyncio.Task[None] | None = None
        self._processed_ms = 0
        self._next_partial_ms = 0.0

    @property
    def seconds(self) -> float:
        """Audio taken so far, in seconds, to the sample."""
        return self._blocks.seconds

    async def push(self, message: bytes) -> None:
        """Takes audio, and waits while the recogniser is behind."""
        for block in self._blocks.push(message):
            self._processed_ms += BLOCK_MS
            await self._take(await self._detect(self._detector.push, block))
            if self._segmenter.open_frames:
                self._ask_partial()
            elif not self._busy:
                # nothing of this block or before it is undecided: the same text again tells the client so
                await self._show("", self._transcript.full_text, self._processed_ms)

    async def finish(self) -> float:
        """Recognises the rest.

        Returns:
            Audio processed, in seconds, to the sample.

        Raises:
            ProtocolError: The stream ends in the middle of a sample.
        """
        try:
            rest = self._blocks.rest()
        except OddByteError:
            raise ProtocolError(
                ErrorCode.DECODE, "The linear16 stream has an odd number of bytes: its last sample is incomplete"
            ) from None
        await self._take(await self._detect(self._detector.push, rest))
        await self._take(await self._detect(self._detector.flush))
        if audio := self._segmenter.flush():
            await self._close_segment(audio, ending=True)
        if self._final is not None:
            await self._final
        return self.seconds

    async def close(self) -> Detector:
        """Drops what is under way.

        Returns:
            The detector, which nothing uses any more.
        """
        self._dispatcher.drop_partial(self.number)
        tasks = [task for task in (self._partial, self._final) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._detecting is not None:
            await asyncio.wait({self._detecting})
        return self._detector

    @property
    def _busy(self) -> bool:
        return any(task is not None and not task.done() for task in (self._partial, self._final))

    async def _detect(self, call: Callable[..., list[tuple[bytes, float]]], *audio: bytes) -> list[tuple[bytes, float]]:
        # Shielded: a cancelled wait does not stop the thread, and `close` must know when the thread is done.
        self._detecting = asyncio.get_running_loop().run_in_executor(None, call, *audio)
        return await asyncio.shield(self._detecting)

    async def _take(self, frames: list[tuple[bytes, float]]) -> None:
        for audio, probability in frames:
            if closed := self._segmenter.push(audio, probability):
                await self._close_segment(closed, ending=False)

    async def _close_segment(self, audio: bytes, *, ending: bool) -> None:
        self._dispatcher.drop_partial(self.number)
        if self._final is not None:
            await self._final
        if self._partial is not None:
            # One that the worker already decodes delivers nothing: the final is to be this segment's last text.
            self._partial.cancel()
        ahead = self._processed_ms / 1000 - (asyncio.get_running_loop().time() - self._started)
        kind = Kind.BACKLOG if ahead > AHEAD_SECONDS and not ending else Kind.FINAL
        self._next_partial_ms = 0.0
        covered_ms = max(0, self._processed_ms - BLOCK_MS)  # the segment ended somewhere in the last block
        self._final = asyncio.create_task(self._decode_final(kind, audio, covered_ms))

    def _ask_partial(self) -> None:
        open_ms = self._segmenter.open_frames * FRAME_MS
        if self._next_partial_ms == 0:
            self._next_partial_ms = self._processed_ms - open_ms + PARTIAL_SECONDS * 1000
        if self._busy or self._processed_ms < self._next_partial_ms:
            return
        self._partial = asyncio.create_task(self._decode_partial(self._segmenter.open_audio()))

    async def _decode_partial(self, audio: bytes) -> None:
        clock = asyncio.get_running_loop()
        asked, asked_ms = clock.time(), self._processed_ms
        text = await self._decode(Kind.PARTIAL, audio)
        took = clock.time() - asked
        self._next_partial_ms = asked_ms + 1000 * max(PARTIAL_SECONDS, STRETCH * took)
        if text is not None:
            self._transcript.partial(text)
            await self._show_change(asked_ms)

    async def _decode_final(self, kind: Kind, audio: bytes, covered_ms: int) -> None:
        text = await self._decode(kind, audio)
        if text is not None:
            self._transcript.final(text)
            await self._show_change(covered_ms)

    async def _decode(self, kind: Kind, audio: bytes) -> str | None:
        try:
            return await self._dispatcher.decode(self.number, kind, audio, self._rate)
        except WorkerLost as error:
            self.fail(ProtocolError(ErrorCode.ML_SERVICE, f"ML service unavailable: {error}. Please try again later."))
        except DecodeFailed as error:
            self.fail(ProtocolError(ErrorCode.PROCESSING, f"The audio could not be recognised: {error}"))
        return None

    async def _show_change(self, covered_ms: int) -> None:
        if change := self._transcript.change():
            await self._show(*change, covered_ms)

    def fail(self, error: ProtocolError) -> None:
        """Ends the session early; the first error counts."""
        if not self.failure.done():
            self.failure.set_result(error)
