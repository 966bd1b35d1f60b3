"""SpeechKit API v3: ``speechkit.stt.v3.Recognizer/RecognizeStreaming``, its options and what its responses say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc.aio
import structlog
from yandex.cloud.ai.stt.v3 import stt_pb2 as stt
from yandex.cloud.ai.stt.v3.stt_service_pb2_grpc import RecognizerStub

from gateway.asr.engine import EngineEvent, Final, Partial, Progress, Refinement, Word
from gateway.asr.options import Yandex
from gateway.media.chunks import SAMPLE_RATE

log = structlog.get_logger()

SAMPLES_PER_MS = SAMPLE_RATE // 1000


class V3:
    """The dialect of API v3."""

    def __init__(self, settings: Yandex) -> None:
        self._options = options_of(settings)

    def call(self, channel: grpc.aio.Channel) -> Any:
        """Returns the method."""
        return RecognizerStub(channel).RecognizeStreaming

    def options(self) -> stt.StreamingRequest:
        """Returns the session's options."""
        return stt.StreamingRequest(session_options=self._options)

    def audio(self, pcm: bytes) -> stt.StreamingRequest:
        """Returns a chunk."""
        return stt.StreamingRequest(chunk=stt.AudioChunk(data=pcm))

    def silence(self, samples: int) -> stt.StreamingRequest:
        """Returns a silence chunk."""
        return stt.StreamingRequest(silence_chunk=stt.SilenceChunk(duration_ms=samples // SAMPLES_PER_MS))

    def reader(self) -> V3Reader:
        """Returns a reader for a new session."""
        return V3Reader()


def options_of(settings: Yandex) -> stt.StreamingOptions:
    """Returns the options of a session; classifiers and analyses stay off."""
    normalisation = stt.TextNormalizationOptions
    classifier = stt.DefaultEouClassifier
    return stt.StreamingOptions(
        recognition_model=stt.RecognitionModelOptions(
            model=settings.model,
            audio_format=stt.AudioFormatOptions(
                raw_audio=stt.RawAudio(
                    audio_encoding=stt.RawAudio.LINEAR16_PCM, sample_rate_hertz=SAMPLE_RATE, audio_channel_count=1
                )
            ),
            text_normalization=normalisation(
                text_normalization=(
                    normalisation.TEXT_NORMALIZATION_ENABLED
                    if settings.normalise
                    else normalisation.TEXT_NORMALIZATION_DISABLED
                ),
                profanity_filter=settings.profanity_filter,
                literature_text=settings.literature_text,
            ),
            language_restriction=stt.LanguageRestrictionOptions(
                restriction_type=stt.LanguageRestrictionOptions.WHITELIST, language_code=settings.languages
            ),
            audio_processing_type=stt.RecognitionModelOptions.REAL_TIME,
        ),
        eou_classifier=stt.EouClassifierOptions(
            default_classifier=classifier(
                type=classifier.HIGH if settings.eou == "high" else classifier.DEFAULT,
                max_pause_between_words_hint_ms=settings.max_pause_ms,
            )
        ),
    )


class V3Reader:
    """Reads the responses of one session.

    The order seen is final, its refinement, ``eou_update``; the refinement names its final by ``final_index``, which is
    the one that the cursors showed when the final came.

    Attributes:
        received: Seconds of audio that the service says it got.
        heard: Samples that it has worked through.
    """

    def __init__(self) -> None:
        self.received: float | None = None
        self.heard: int | None = None
        self._finals: dict[int, int] = {}  # our index by the service's
        self._count = 0
        self._shown = False
        self._warned = False

    def read(self, response: stt.StreamingResponse, written: int) -> Iterator[EngineEvent]:  # noqa: ARG002
        """Yields what a response says; its own cursors say where."""
        if response.HasField("audio_cursors"):
            self._cursors(response.audio_cursors)
        match response.WhichOneof("Event"):
            case "partial":
                yield self._partial(response.partial)
            case "final":
                yield self._final(response.final, response.audio_cursors)
            case "final_refinement":
                yield self._refinement(response.final_refinement)
            case "status_code":
                yield self._status(response.status_code)
            case _:  # eou_update, whose final came before it; classifiers and analyses that were not asked for
                yield Progress(self.heard)

    def _cursors(self, cursors: stt.AudioCursors) -> None:
        furthest = max(cursors.received_data_ms, cursors.partial_time_ms, cursors.final_time_ms)
        self.received = max(self.received or 0.0, furthest / 1000)
        self.heard = max(self.heard or 0, max(cursors.partial_time_ms, cursors.final_time_ms) * SAMPLES_PER_MS)

    def _partial(self, update: stt.AlternativeUpdate) -> EngineEvent:
        best = _best(update)
        text = best.text.strip()
        if not text and not self._shown:
            return Progress(self.heard)
        self._shown = bool(text)
        start, end = best.start_time_ms * SAMPLES_PER_MS, best.end_time_ms * SAMPLES_PER_MS
        return Partial(text, False, start, max(start, end))

    def _final(self, update: stt.AlternativeUpdate, cursors: stt.AudioCursors) -> EngineEvent:
        best = _best(update)
        text = best.text.strip()
        if not text and not self._shown:
            return Progress(self.heard)
        words = tuple(
            Word(word.text, word.start_time_ms * SAMPLES_PER_MS, word.end_time_ms * SAMPLES_PER_MS)
            for word in best.words
        )
        start = words[0].start if words else best.start_time_ms * SAMPLES_PER_MS
        end = words[-1].end if words else (best.end_time_ms or cursors.final_time_ms) * SAMPLES_PER_MS
        final = Final(text, start, max(start, end), self._count, words)
        self._finals[cursors.final_index] = self._count
        self._count += 1
        self._shown = False
        return final

    def _refinement(self, refinement: stt.FinalRefinement) -> EngineEvent:
        index = self._finals.get(refinement.final_index)
        text = _best(refinement.normalized_text).text.strip()
        if index is None or not text:
            return Progress(self.heard)
        return Refinement(index, text)

    def _status(self, status: stt.StatusCode) -> EngineEvent:
        if status.code_type == stt.WARNING and not self._warned:
            self._warned = True  # it says so again and again where audio is sent faster than it was spoken
            log.warning("asr_warning", engine="yandex", text=status.message)
        return Progress(self.heard)


def _best(update: stt.AlternativeUpdate) -> stt.Alternative:
    """Returns the first alternative, which is the likeliest; an empty one where there is none."""
    return update.alternatives[0] if update.alternatives else stt.Alternative()
