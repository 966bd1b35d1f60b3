"""Yandex SpeechKit, API v3 and v2, in front of the test recogniser: real gRPC with the vendor's own stubs.

A fault that cuts the connection is made for one call only: as the status that a client's gRPC reports for it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from yandex.cloud.ai.stt.v2 import stt_service_pb2 as v2
from yandex.cloud.ai.stt.v2.stt_service_pb2_grpc import SttServiceServicer, add_SttServiceServicer_to_server
from yandex.cloud.ai.stt.v3 import stt_pb2 as v3
from yandex.cloud.ai.stt.v3.stt_service_pb2_grpc import RecognizerServicer, add_RecognizerServicer_to_server

from gateway.asr.fake.core import Block, Core, FakeSession, Utterance
from gateway.asr.fake.faults import Fault
from gateway.asr.fake.pcm import SAMPLE_RATE
from gateway.asr.fake.speaker import Speaker

# What HTTP and WebSocket codes are in gRPC, so that one list of faults serves all protocols.
_STATUS = {
    "401": "UNAUTHENTICATED",
    "403": "PERMISSION_DENIED",
    "429": "RESOURCE_EXHAUSTED",
    "503": "UNAVAILABLE",
    "1011": "INTERNAL",
    "4000": "INTERNAL",
    "4001": "UNAUTHENTICATED",
    "4002": "UNAVAILABLE",
}
_DROPPED = (grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
_ENDINGS = {
    "limit": (grpc.StatusCode.INVALID_ARGUMENT, "audio is longer or larger than a session may be"),
    "idle": (grpc.StatusCode.DEADLINE_EXCEEDED, "nothing came for too long"),
    "wrong-config": (grpc.StatusCode.INVALID_ARGUMENT, "told to refuse the configuration"),
    "drop": _DROPPED,
}


class Abort(Exception):  # noqa: N818 (a result, not an error of ours)
    """Ends a call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Conversation(ABC):
    """One call: takes requests, and puts responses into a queue that the call's coroutine writes out.

    Args:
        core: The recogniser.
        context: gRPC's.
        protocol: The front end's name.
    """

    def __init__(self, core: Core, context: Any, protocol: str) -> None:
        self.core = core
        self.context = context
        self.protocol = protocol
        self.session: FakeSession | None = None
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._speaker = Speaker(core.options.latency, core.dice)
        self._silent = False
        self._rate = 0.0

    @abstractmethod
    def configure(self, request: Any) -> dict[str, str]:
        """Takes the first message; returns what it asks for.

        Raises:
            Abort: It is wrong.
        """

    @abstractmethod
    def audio(self, request: Any) -> bytes | int | None:
        """Returns a message's audio, or how many samples of silence it stands for; None when it has neither."""

    @abstractmethod
    def responses(self, block: Block) -> list[Any]:
        """Returns what is said of a block."""

    async def run(self, requests: AsyncIterator[Any]) -> None:
        """Has the conversation."""
        reader = asyncio.get_running_loop().create_task(self._read(requests))
        try:
            while True:
                item = await self._out.get()
                if item is None:
                    return
                if isinstance(item, Abort):
                    await self.context.abort(item.code, item.details)
                await self.context.write(item)
        finally:
            self._speaker.silence()
            reader.cancel()
            if self.session is not None:
                self.core.ended(self.session)

    # inside

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        try:
            self._admit()
            first = True
            incoming = aiter(requests)
            while True:
                async with asyncio.timeout(self.core.options.idle_seconds):
                    request = await anext(incoming, None)
                if request is None:
                    break
                if first:
                    self._open(self.configure(request))
                    first = False
                    continue
                await self._take(self.audio(request))
            if self.session is not None and not self.context.cancelled():
                self._work(*self.session.finish())
                self._speaker.say(lambda: self._out.put_nowait(None))
        except TimeoutError:
            self._end(Fault("idle", "", "s", 0, 1))
        except Abort as abort:
            self._speaker.silence()
            self._out.put_nowait(abort)

    def _admit(self) -> None:
        if not self.core.may_start(asyncio.get_running_loop().time()):
            raise Abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many sessions started in this second")
        token = self.core.options.token
        metadata = dict(self.context.invocation_metadata())
        if token and metadata.get("authorization") not in (f"Api-Key {token}", f"Bearer {token}"):
            raise Abort(grpc.StatusCode.UNAUTHENTICATED, "the token is wrong")
        self.session = self.core.session("linear16", self.protocol, asyncio.get_running_loop().time())
        self.session.details = {
            name: str(metadata[name]) for name in ("x-client-request-id", "x-folder-id") if name in metadata
        }

    def _open(self, details: dict[str, str]) -> None:
        assert self.session is not None  # noqa: S101 (made by _admit)
        self.session.details |= details
        fault = self.session.open()
        if fault is not None:
            self._make(fault)

    async def _take(self, audio: bytes | int | None) -> None:
        assert self.session is not None  # noqa: S101 (made by _admit)
        if audio is None:
            raise Abort(grpc.StatusCode.INVALID_ARGUMENT, "a message without audio")
        self._work(*(self.session.silence(audio) if isinstance(audio, int) else self.session.feed(audio)))
        if self._rate < 0:  # half-open: nothing is read any more
            await asyncio.Event().wait()
        if self._rate and isinstance(audio, bytes):
            await asyncio.sleep(len(audio) / self._rate)

    def _work(self, blocks: list[Block], fault: Fault | None) -> None:
        if fault is not None:
            self._make(fault)
        for block in blocks:
            for response in self.responses(block):
                self._speaker.say(lambda response=response: self._out.put_nowait(response))  # type: ignore[misc]

    def _make(self, fault: Fault) -> None:
        match fault.kind:
            case "refuse" | "error" | "close":
                name = _STATUS.get(fault.value, fault.value)
                raise Abort(getattr(grpc.StatusCode, name, grpc.StatusCode.INTERNAL), "told to")
            case "stall":
                self._speaker.silence()
            case "slow":
                self._rate = float(fault.value)
            case "half-open":
                self._speaker.silence()
                self._rate = -1.0
            case "early-end":
                self._speaker.say(lambda: self._out.put_nowait(None))
                self._speaker.say(self._speaker.silence)
            case kind:
                raise Abort(*_ENDINGS.get(kind, _DROPPED))

    def _end(self, fault: Fault) -> None:
        self._speaker.silence()
        if self.session is not None:
            self.session.outcome = fault.kind
        self._out.put_nowait(Abort(*_ENDINGS[fault.kind]))


class V3Conversation(Conversation):
    """``RecognizeStreaming``: partials, finals, their refinements, ``eou_update``, cursors and keep-alives."""

    def configure(self, request: v3.StreamingRequest) -> dict[str, str]:
        """Takes ``session_options``."""
        if request.WhichOneof("Event") != "session_options":
            raise Abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be session_options")
        model = request.session_options.recognition_model
        raw = model.audio_format.raw_audio
        if raw.audio_encoding != v3.RawAudio.LINEAR16_PCM or raw.sample_rate_hertz != SAMPLE_RATE:
            raise Abort(grpc.StatusCode.INVALID_ARGUMENT, "this server takes LINEAR16_PCM at 8000")
        on = v3.TextNormalizationOptions.TEXT_NORMALIZATION_ENABLED
        self._refines = model.text_normalization.text_normalization == on
        return {
            "model": model.model,
            "languages": ",".join(model.language_restriction.language_code),
            "eou": v3.DefaultEouClassifier.EouSensitivity.Name(
                request.session_options.eou_classifier.default_classifier.type
            ),
        }

    def audio(self, request: v3.StreamingRequest) -> bytes | int | None:
        """Returns a chunk's data or a silence chunk's samples."""
        match request.WhichOneof("Event"):
            case "chunk":
                return request.chunk.data
            case "silence_chunk":
                return request.silence_chunk.duration_ms * SAMPLE_RATE // 1000
            case _:
                return None

    def responses(self, block: Block) -> list[v3.StreamingResponse]:
        """Returns finals with all that follows them, then the partial or a keep-alive."""
        out = []
        for utterance in block.ended:
            out.append(self._response(block, utterance, final=_v3_update(utterance)))
            if self._refines:
                nicer = v3.FinalRefinement(
                    final_index=utterance.index, normalized_text=_v3_update(utterance, nicer=True)
                )
                out.append(self._response(block, utterance, final_refinement=nicer))
            end = _ms(utterance.words[-1].end)
            out.append(self._response(block, utterance, eou_update=v3.EouUpdate(time_ms=end)))
        if block.open.words:
            out.append(self._response(block, None, partial=_v3_update(block.open)))
        elif not block.ended:
            out.append(self._response(block, None, status_code=v3.StatusCode(code_type=v3.WORKING)))
        return out

    def _response(self, block: Block, utterance: Utterance | None, **event: Any) -> v3.StreamingResponse:
        assert self.session is not None  # noqa: S101 (made by _admit)
        cursors = v3.AudioCursors(
            received_data_ms=round(self.session.seconds * 1000),
            partial_time_ms=_ms(block.position),
            final_time_ms=_ms(utterance.words[-1].end) if utterance else 0,
            final_index=utterance.index if utterance else max(0, block.open.index - 1),
        )
        uuid = v3.SessionUuid(uuid=f"session-{len(self.core.sessions)}")
        return v3.StreamingResponse(session_uuid=uuid, audio_cursors=cursors, **event)


class V2Conversation(Conversation):
    """``StreamingRecognize``: chunks with ``final`` and ``end_of_utterance``, without times."""

    def configure(self, request: v2.StreamingRecognitionRequest) -> dict[str, str]:
        """Takes ``config``."""
        if request.WhichOneof("streaming_request") != "config":
            raise Abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be config")
        specification = request.config.specification
        linear = specification.audio_encoding == v2.RecognitionSpec.LINEAR16_PCM
        if not linear or specification.sample_rate_hertz != SAMPLE_RATE:
            raise Abort(grpc.StatusCode.INVALID_ARGUMENT, "this server takes LINEAR16_PCM at 8000")
        return {
            "model": specification.model,
            "language": specification.language_code,
            "folder": request.config.folder_id,
        }

    def audio(self, request: v2.StreamingRecognitionRequest) -> bytes | int | None:
        """Returns the audio."""
        return request.audio_content if request.WhichOneof("streaming_request") == "audio_content" else None

    def responses(self, block: Block) -> list[v2.StreamingRecognitionResponse]:
        """Returns one response with all chunks."""
        chunks = [_v2_chunk(utterance, final=True) for utterance in block.ended]
        if block.open.words:
            chunks.append(_v2_chunk(block.open, final=False))
        return [v2.StreamingRecognitionResponse(chunks=chunks)] if chunks else []


class V3Service(RecognizerServicer):
    """The service of API v3."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def RecognizeStreaming(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        """Has a conversation."""
        await V3Conversation(self._core, context, "yandex-v3").run(request_iterator)


class V2Service(SttServiceServicer):
    """The service of API v2."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def StreamingRecognize(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        """Has a conversation."""
        await V2Conversation(self._core, context, "yandex-v2").run(request_iterator)


def add(protocol: str, core: Core, server: grpc.aio.Server) -> None:
    """Adds the service of ``yandex-v3`` or ``yandex-v2`` to a gRPC server."""
    if protocol == "yandex-v3":
        add_RecognizerServicer_to_server(V3Service(core), server)
    else:
        add_SttServiceServicer_to_server(V2Service(core), server)  # type: ignore[abstract]


def _v3_update(utterance: Utterance, *, nicer: bool = False) -> v3.AlternativeUpdate:
    words = [
        v3.Word(text=word.text, start_time_ms=_ms(word.start), end_time_ms=_ms(word.end)) for word in utterance.words
    ]
    best = v3.Alternative(
        words=words,
        text=f"{utterance.text.capitalize()}." if nicer else utterance.text,
        start_time_ms=words[0].start_time_ms,
        end_time_ms=words[-1].end_time_ms,
    )
    return v3.AlternativeUpdate(alternatives=[best])


def _v2_chunk(utterance: Utterance, *, final: bool) -> v2.SpeechRecognitionChunk:
    best = v2.SpeechRecognitionAlternative(text=utterance.text, confidence=1.0)
    return v2.SpeechRecognitionChunk(alternatives=[best], final=final, end_of_utterance=final)


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE
