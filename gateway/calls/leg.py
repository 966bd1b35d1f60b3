"""A leg: one media stream, one recognition, and the utterances that come of them."""

from __future__ import annotations

import time
from typing import Protocol

from gateway.asr.engine import Engine, Failure, Partial
from gateway.asr.replay import Piece
from gateway.asr.session import LegRecognition, Summary
from gateway.config import Settings
from gateway.media import g711
from gateway.media.activity import SpeechActivity
from gateway.media.chunks import SAMPLE_RATE, Chunk, Digit, Kind
from gateway.media.timeline import Timeline
from gateway.transcripts.utterances import Change, Update, UtteranceBuilder

# A sender that is silent on the wire for so long has paused: its jitter is not that large (seconds).
WIRE_SILENCE = 0.4


class Owner(Protocol):
    """The call, as its legs see it."""

    def leg_words(self, leg: Leg, update: Update) -> None:
        """Words of the leg changed or settled."""

    def leg_key(self, leg: Leg, digit: Digit) -> None:
        """A key was pressed."""

    def leg_degraded(self, leg: Leg, failure: Failure, *, retrying: bool) -> None:
        """The leg lost its recogniser."""

    def leg_recovered(self, leg: Leg, lost: int) -> None:
        """The leg has a recogniser again; ``lost`` samples were given up."""

    def leg_written(self, arrived: int, now: int) -> None:
        """Audio that arrived at the one time was written to the recogniser at the other, monotonic nanoseconds."""

    def leg_done(self, leg: Leg) -> None:
        """All words of the leg are out."""


class Leg:
    """One leg of a call, from its answer to its last word.

    Args:
        number: The number under which the receiver knows it.
        name: Its name in events, such as ``caller``.
        sip_call_id: The dialog's Call-ID.
        codec: What it sends, ``"alaw"`` or ``"mulaw"``.
        engine: Who recognises.
        settings: Recognition and utterances.
        owner: Its call.

    Attributes:
        timeline: What every sample was.
        summary: What the recogniser made of the audio; None until ``leg_done``.
        held: Whether the peer has it on hold.
    """

    def __init__(
        self, number: int, name: str, sip_call_id: str, codec: str, engine: Engine, settings: Settings, owner: Owner
    ) -> None:
        self.number = number
        self.name = name
        self.sip_call_id = sip_call_id
        self.codec = codec
        self.engine = engine.name
        self.timeline = Timeline()
        self.summary: Summary | None = None
        self.held = False
        self._owner = owner
        self._activity = SpeechActivity()
        self._last_chunk = time.monotonic()
        self._utterances = UtteranceBuilder(
            pause=settings.transcripts.pause_ms * SAMPLE_RATE // 1000,
            settle=settings.transcripts.settle_ms / 1000,
            longest=int(settings.transcripts.max_utterance_seconds * SAMPLE_RATE),
        )
        self._recognition = LegRecognition(engine, codec, settings.asr, self)

    # what the receiver hands over

    def chunk(self, chunk: Chunk) -> None:
        """Takes the next chunk; after the last one only the recogniser's words are awaited."""
        self.timeline.add(chunk)
        self._last_chunk = time.monotonic()
        if chunk.payload:
            payload = chunk.payload
            if chunk.codec != self.codec:  # the peer switched in mid-call; a session keeps the codec it began with
                payload = g711.transcode(payload, chunk.codec, self.codec)
            self._recognition.feed(Piece(chunk.first, payload, chunk.arrived_last))
            for segment in self._activity.feed(chunk.levels, chunk.first):
                self._utterances.speech(segment)
        elif chunk.samples:
            self._activity.pause()
        if chunk.last:
            self._activity.pause()
            self._recognition.finish()
        self.tick()

    def digit(self, digit: Digit) -> None:
        """Takes a key."""
        self._owner.leg_key(self, digit)

    def tick(self) -> None:
        """Lets time pass, also where no packet comes."""
        silent = time.monotonic() - self._last_chunk
        position = self.timeline.duration
        if silent > WIRE_SILENCE:
            self._activity.pause()
            position += int(silent * SAMPLE_RATE)
        self._tell(self._utterances.tick(position, time.monotonic()))

    def abort(self) -> None:
        """Drops the leg at once: the process ends."""
        self._recognition.abort()

    def withheld(self) -> int:
        """Returns the samples that no recogniser got: ``sent + withheld`` is the duration."""
        return self.timeline.duration - (self.summary.sent if self.summary else 0)

    def paused(self) -> int:
        """Returns the samples in which the peer sent no audio."""
        return self.timeline.total(Kind.PAUSE, Kind.COMFORT_NOISE, Kind.DTMF)

    # what the recognition tells

    def asr_started(self, origin: int) -> None:  # noqa: ARG002 (this engine's text has no times to offset)
        """Text starts afresh."""
        self._tell(self._utterances.restart())

    def asr_text(self, partial: Partial) -> None:
        """The engine changed its text."""
        self._tell(self._utterances.text(partial.text, self.timeline.duration, time.monotonic()))

    def asr_written(self, arrived: int, now: int) -> None:
        """Audio was written."""
        self._owner.leg_written(arrived, now)

    def asr_degraded(self, failure: Failure, *, retrying: bool) -> None:
        """The recogniser is gone."""
        self._owner.leg_degraded(self, failure, retrying=retrying)

    def asr_recovered(self, lost: int) -> None:
        """The recogniser is back."""
        self._owner.leg_recovered(self, lost)

    def asr_done(self, summary: Summary) -> None:
        """The recogniser has said all it will."""
        self.summary = summary
        self._tell(self._utterances.finish(self.timeline.duration))
        self._owner.leg_done(self)

    def _tell(self, updates: list[Update]) -> None:
        for update in updates:
            self._owner.leg_words(self, update)
            if update.change is Change.FINAL:
                self._recognition.settle(min(self._utterances.settled, self.timeline.duration))
