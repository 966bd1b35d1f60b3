"""SpeechKit API v2: ``yandex.cloud.ai.stt.v2.SttService/StreamingRecognize``, options and responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from yandex.cloud.ai.stt.v2 import stt_service_pb2 as stt
from yandex.cloud.ai.stt.v2.stt_service_pb2_grpc import SttServiceStub

from gateway.asr.engine import EngineEvent, Final, Partial, Progress, Word
from gateway.asr.options import Yandex
from gateway.media.chunks import SAMPLE_RATE

# What a result says was spoken about so long before it came (samples; 0.5 s).
UNHEARD = 4000


class V2:
    """The dialect of API v2."""

    def __init__(self, settings: Yandex) -> None:
        self._config = config_of(settings)

    def call(self, channel: grpc.aio.Channel) -> Any:
        """Returns the method."""
        return SttServiceStub(channel).StreamingRecognize

    def options(self) -> stt.StreamingRecognitionRequest:
        """Returns the session's configuration."""
        return stt.StreamingRecognitionRequest(config=self._config)

    def audio(self, pcm: bytes) -> stt.StreamingRecognitionRequest:
        """Returns a chunk."""
        return stt.StreamingRecognitionRequest(audio_content=pcm)

    def silence(self, samples: int) -> stt.StreamingRecognitionRequest:
        """Returns silence as audio: this API has no other word for it."""
        return stt.StreamingRecognitionRequest(audio_content=bytes(2 * samples))

    def reader(self) -> V2Reader:
        """Returns a reader for a new session."""
        return V2Reader()


def config_of(settings: Yandex) -> stt.RecognitionConfig:
    """Returns the configuration of a session."""
    return stt.RecognitionConfig(
        specification=stt.RecognitionSpec(
            audio_encoding=stt.RecognitionSpec.LINEAR16_PCM,
            sample_rate_hertz=SAMPLE_RATE,
            language_code=settings.languages[0],
            model=settings.model,
            profanity_filter=settings.profanity_filter,
            literature_text=settings.literature_text,
            partial_results=True,
            single_utterance=False,
            audio_channel_count=1,
            raw_results=not settings.normalise,
        ),
        folder_id=settings.folder_id,
    )


class V2Reader:
    """Reads the responses of one session.

    This API has no cursors, and its streaming results need not carry times. Without them an utterance is taken to reach
    from half a second before its first words appeared to half a second before its final, or to where its text last
    changed.

    Attributes:
        received: Always None: the service does not say.
        heard: Samples that it has worked through, by the times of its words.
    """

    def __init__(self) -> None:
        self.received: float | None = None
        self.heard: int | None = None
        self._count = 0
        self._text = ""
        self._appeared = 0
        self._changed = 0
        self._end = 0

    def read(self, response: stt.StreamingRecognitionResponse, written: int) -> Iterator[EngineEvent]:
        """Yields what a response says, which came when so many samples had been written."""
        for chunk in response.chunks:
            best = chunk.alternatives[0] if chunk.alternatives else stt.SpeechRecognitionAlternative()
            text = best.text.strip()
            if not text and not self._text:
                yield Progress(self.heard)
                continue
            words = tuple(Word(word.word, _samples(word.start_time), _samples(word.end_time)) for word in best.words)
            self._note(text, words, written)
            start = words[0].start if words else max(self._end, self._appeared - UNHEARD)
            end = max(start, words[-1].end if words else self._changed)
            if chunk.final:
                if not words:  # a pause ended it: its last word is over since a while, and the next has not begun
                    end = max(end, written - UNHEARD)
                yield Final(text, start, end, self._count, words)
                self._count += 1
                self._end, self._text = end, ""
            else:
                yield Partial(text, False, start, end)

    def _note(self, text: str, words: tuple[Word, ...], written: int) -> None:
        if not self._text:
            self._appeared = written
        if text != self._text:
            self._text, self._changed = text, written
        if words:
            self.heard = max(self.heard or 0, words[-1].end)


def _samples(time: Duration) -> int:
    return time.seconds * SAMPLE_RATE + time.nanos * SAMPLE_RATE // 1_000_000_000
