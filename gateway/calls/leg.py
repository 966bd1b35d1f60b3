"""A leg: one media stream, one recognition, and the utterances that come of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from gateway.asr.engine import Engine, Failure, Final, Partial, Refinement
from gateway.asr.replay import Piece
from gateway.asr.session import LegRecognition, State, Summary
from gateway.calls.keys import Keys, Way
from gateway.calls.sensitive import Withholding
from gateway.config import Settings
from gateway.media import g711
from gateway.media.activity import FRAME, Segment, SpeechActivity
from gateway.media.chunks import SAMPLE_RATE, Chunk, Digit, Kind
from gateway.media.stats import StreamStats
from gateway.media.timeline import Timeline
from gateway.transcripts.utterances import Change, Update, UtteranceBuilder

# A sender that is silent on the wire for so long has paused: its jitter is not that large (seconds).
WIRE_SILENCE = 0.4
SILENT = -127
# After so much audio without speech nothing waits for more of it: what was said is final (samples).
CALM = 8000
# Stretches of speech that are remembered, to tell whether words lie where somebody spoke.
SEGMENTS = 32


class SessionCause(StrEnum):
    """Why a session of a recogniser speaks for a leg."""

    FIRST = "first"
    """The leg had none."""
    CONTINUED = "continued"
    """It follows one that was read to its end: an engine's limit (roll-over), or a long silence."""
    REGAINED = "regained"
    """It follows one that was lost."""


class Owner(Protocol):
    """The call, as its legs see it."""

    def leg_words(self, leg: Leg, update: Update) -> None:
        """Words of the leg changed or settled."""

    def leg_key(self, leg: Leg, digit: Digit) -> None:
        """A key was pressed."""

    def leg_audio(self, leg: Leg, first: int, payload: bytes, codec: str) -> None:
        """Audio of the leg that may be kept: what is withheld is left out."""

    def leg_withheld(self, leg: Leg, *, withheld: bool) -> None:
        """The leg began to be withheld, or ended."""

    def leg_key_withheld(self) -> None:
        """A key was pressed, and goes nowhere."""

    def leg_session(self, leg: Leg, engine: str, cause: SessionCause) -> None:
        """A recogniser's session speaks for the leg from now on."""

    def leg_degraded(self, leg: Leg, failure: Failure, *, retrying: bool) -> None:
        """The leg lost its recogniser."""

    def leg_recovered(self, leg: Leg, lost: int) -> None:
        """The leg has a recogniser again; ``lost`` samples were given up."""

    def leg_lag(self, samples: int | None) -> None:
        """The engine told a text that ends so long before the audio does; None where it does not say where."""

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
        engines: Who recognises, in order of preference.
        settings: Recognition and utterances.
        owner: Its call.

    Attributes:
        engine: Name of the engine that recognises, or did last.
        timeline: What every sample was.
        summary: What the recogniser made of the audio; None until ``leg_done``.
        held: Whether the peer has it on hold.
        unrecognised: Stretches whose words are missing: first sample, and one past the last.
        stats: What the receiver counted, once the leg is disconnected.
        level: Loudest 20 ms of the newest chunk, dBov (0 the loudest, -127 silence).
        heard_at: When the newest packet of its chunks arrived, monotonic seconds; 0 before the first.
        on_calm: Told how long chunks may be (samples) until a frame is louder than a level (-dBov); see
            ``Receiver.calm``.
    """

    def __init__(
        self,
        number: int,
        name: str,
        sip_call_id: str,
        codec: str,
        engines: Sequence[Engine],
        settings: Settings,
        owner: Owner,
    ) -> None:
        self.number = number
        self.name = name
        self.sip_call_id = sip_call_id
        self.codec = codec
        self.engine = engines[0].name
        self.timeline = Timeline()
        self.summary: Summary | None = None
        self.held = False
        self.unrecognised: list[tuple[int, int]] = []
        self._owner = owner
        self._withholding = Withholding(settings.calls.pause_code, settings.calls.resume_code)
        self._keys = Keys()
        self.level = SILENT
        self.stats: StreamStats | None = None
        self.heard_at = 0.0
        self.on_calm: Callable[[int, int], None] | None = None
        self._longest = engines[0].limits.silence_ms * SAMPLE_RATE // 1000
        self._calm_from = CALM  # nobody speaks, and chunks may be longer
        self._spoken: deque[Segment] = deque(maxlen=SEGMENTS)
        self._engine_locates = False
        self._had_session = False
        self._activity = SpeechActivity()
        self._last_chunk = self._now()
        self._chunk = 0  # samples of the newest
        self._spared = 0  # samples that the recognition did not get from here
        self._utterances = UtteranceBuilder(
            pause=settings.transcripts.pause_ms * SAMPLE_RATE // 1000,
            settle=settings.transcripts.settle_ms / 1000,
            longest=int(settings.transcripts.max_utterance_seconds * SAMPLE_RATE),
        )
        self._recognition = self._recognise(engines, settings)

    # what a leg that is recorded or replayed does in its own way

    def _now(self) -> float:
        """Returns the time in monotonic seconds."""
        return time.monotonic()

    def _recognise(self, engines: Sequence[Engine], settings: Settings) -> LegRecognition:
        return LegRecognition(engines, self.codec, settings.asr, self)

    # what the receiver hands over

    def chunk(self, chunk: Chunk) -> None:
        """Takes the next chunk; after the last one only the recogniser's words are awaited."""
        self.timeline.add(chunk)
        self._last_chunk = self._now()
        if chunk.arrived_last:
            self.heard_at = chunk.arrived_last / 1e9
        self._chunk = chunk.samples
        self.level = -min(chunk.levels, default=-SILENT)
        secret = self._withholding.withheld(chunk)
        self._spared += secret if chunk.payload else chunk.samples
        if secret:
            self.timeline.mark(Kind.WITHHELD, chunk.first, secret)
            self._activity.pause()
        if chunk.payload and secret < chunk.samples:
            payload, first = chunk.payload[secret:], chunk.first + secret
            self._owner.leg_audio(self, first, payload, chunk.codec)
            if chunk.codec != self.codec:  # the peer switched in mid-call; a session keeps the codec it began with
                payload = g711.transcode(payload, chunk.codec, self.codec)
            spoke = self._activity.speaking
            for segment in self._activity.feed(chunk.levels[secret // FRAME :], first):
                self._utterances.speech(segment)
                self._spoken.append(segment)
            speaking = spoke or self._activity.speaking
            if speaking:
                self._calm_from = first + len(payload) + CALM
            elif first >= self._calm_from and chunk.samples < self._longest:
                self._calm()
            self._recognition.feed(Piece(first, payload, chunk.arrived_last, speaking))
        elif chunk.samples:
            self._activity.pause()
        if chunk.last:
            self._activity.pause()
            self._recognition.finish()
        self._tell(self._utterances.tick(self.timeline.duration, self._last_chunk))

    def _calm(self) -> None:
        """Lets chunks be longer, and so the messages to the recogniser fewer, until somebody speaks."""
        if self.on_calm is not None and self._recognition.state is State.OPEN and not self._utterances.open:
            self.on_calm(self._longest, self._activity.threshold)

    def pressed(self, key: str, duration_ms: int) -> None:
        """Takes a key that signalling told of (SIP INFO): it ends about now.

        Args:
            key: One of ``0123456789*#ABCD``.
            duration_ms: How long it was pressed, milliseconds.
        """
        samples = duration_ms * SAMPLE_RATE // 1000
        self.digit(Digit(self.number, key, max(0, self._position() - samples), samples), Way.INFO)

    def digit(self, digit: Digit, way: Way = Way.RTP) -> None:
        """Takes a key; what is withheld goes nowhere, and a code of keys begins and ends that."""
        if not self._keys.fresh(digit, way):
            return
        before = self._withholding.active
        withheld = self._withholding.key(digit)
        self._key_taken(digit, withheld=withheld, toggled=self._withholding.active != before)

    def _key_taken(self, digit: Digit, *, withheld: bool, toggled: bool) -> None:
        if withheld:
            self._owner.leg_key_withheld()
        else:
            self._owner.leg_key(self, digit)
        if toggled:
            self._owner.leg_withheld(self, withheld=self._withholding.active)

    def withhold(self, *, withheld: bool) -> None:
        """Begins or ends to keep audio and keys from recogniser, store, log and consumers.

        It counts from now on: what was handed over is not taken back, and what is under way at the end is withheld
        still.
        """
        if withheld == self._withholding.active:
            return
        if withheld:
            self._withholding.pause()
        else:
            self._withholding.resume(self._position())
        self._owner.leg_withheld(self, withheld=withheld)

    def hold(self, *, held: bool) -> None:
        """Takes note that the peer put the leg on hold or took it off."""
        self.held = held
        self.timeline.hold(held=held, now=round(self._now() * 1e9))

    def reported(self, sample: int, sender_ns: int, arrival: int) -> None:
        """Takes a sender report (RFC 3550): when a sample was due by the sender's clock; see ``Anchor.reported``."""
        self.timeline.anchor.reported(sample, sender_ns, arrival)

    def counted(self, stats: StreamStats) -> None:
        """Takes what the receiver counted, once the last chunk is out."""
        self.stats = stats

    def tick(self) -> None:
        """Lets time pass where no packet comes; chunks do so themselves."""
        now = self._now()
        silent = now - self._last_chunk
        if silent > WIRE_SILENCE:
            self.level = SILENT
            self._activity.pause()
            position = self.timeline.duration + int(silent * SAMPLE_RATE)
            self._tell(self._utterances.tick(position, now))

    def abort(self) -> None:
        """Drops the leg at once: the process ends."""
        self._recognition.abort()

    @property
    def recognition(self) -> State:
        """Where the leg's recognition stands."""
        return self._recognition.state

    @property
    def unsettled(self) -> int:
        """Samples kept for the recogniser, because their words are not settled yet."""
        return self._recognition.held

    @property
    def backlog(self) -> int:
        """Samples that no session of a recogniser has yet."""
        return self._recognition.backlog

    @property
    def written(self) -> Mapping[str, int]:
        """Bytes of audio that recognisers got, replays included, by engine."""
        return self._recognition.written

    def located(self, first: int, end: int) -> bool:
        """Returns whether it is known that somebody spoke there: by the engine, or by our own speech activity."""
        return self._engine_locates or any(spoken.start < end and spoken.end > first for spoken in self._spoken)

    def withheld(self) -> int:
        """Returns the samples that no recogniser got: sensitive input, long pauses, and what it could not take.

        Counted where it was kept back, not reckoned from the rest: see ``balanced``.
        """
        return self._spared + (self.summary.skipped + self.summary.missed if self.summary else 0)

    def balanced(self) -> bool:
        """Returns whether bytes sent and samples withheld are the leg's duration, to the sample; once it is over."""
        return self.summary is not None and self.summary.sent + self.withheld() == self.timeline.duration

    def paused(self) -> int:
        """Returns the samples in which the peer sent no audio."""
        return self.timeline.wire(Kind.PAUSE, Kind.COMFORT_NOISE, Kind.DTMF)

    # what the recognition tells

    def asr_started(self, engine: str, origin: int, *, continues: bool) -> None:
        """Text starts afresh."""
        self.engine = engine
        if continues:
            self._tell(self._utterances.finish(origin))
        cause = SessionCause.CONTINUED if continues else SessionCause.REGAINED
        self._owner.leg_session(self, engine, cause if self._had_session else SessionCause.FIRST)
        self._had_session = True
        self._tell(self._utterances.restart(origin))

    def asr_text(self, partial: Partial) -> None:
        """The engine changed its text."""
        position, now = self.timeline.duration, self._now()
        self._engine_locates = not partial.accumulates
        self._owner.leg_lag(None if partial.end is None else max(0, self._received() - partial.end))
        if partial.accumulates:
            self._tell(self._utterances.text(partial.text, position, now, partial.heard))
            if not self._utterances.open:
                self._recognition.settle(self._utterances.settled)
        else:
            self._tell(self._utterances.engine_text(partial, position, now))

    def asr_final(self, final: Final) -> None:
        """The engine ended an utterance."""
        self._engine_locates = True
        self._tell(self._utterances.engine_final(final))

    def asr_refined(self, refinement: Refinement) -> None:
        """The engine has a nicer text."""
        self._tell(self._utterances.engine_refined(refinement))

    def asr_unrecognised(self, first: int, end: int) -> None:
        """The words of these samples are missing."""
        self.unrecognised.append((first, end))
        self.timeline.mark(Kind.UNRECOGNISED, first, end - first)

    def asr_written(self, arrived: int) -> None:
        """Audio was written."""
        self._owner.leg_written(arrived, time.monotonic_ns())

    def asr_degraded(self, failure: Failure, *, engine: str, retrying: bool) -> None:
        """The recogniser is gone."""
        self.engine = engine
        if retrying:
            self._utterances.interrupt()
        self._owner.leg_degraded(self, failure, retrying=retrying)

    def asr_recovered(self, engine: str, lost: int) -> None:
        """There is a recogniser again."""
        self.engine = engine
        self._owner.leg_recovered(self, lost)

    def asr_done(self, summary: Summary) -> None:
        """The recogniser has said all it will."""
        self.summary = summary
        self._tell(self._utterances.finish(self.timeline.duration))
        self._owner.leg_done(self)

    def _position(self) -> int:
        """Returns where the leg's clock stands now, audio that is still under way included."""
        return max(self.timeline.anchor.sample(round(self._now() * 1e9)), self.timeline.duration)

    def _received(self) -> int:
        """How far the leg's audio has come by now; its newest packets may be in a chunk still to come."""
        since = int((self._now() - self.heard_at) * SAMPLE_RATE)
        return self.timeline.duration + min(max(0, since), self._chunk)

    def _tell(self, updates: list[Update]) -> None:
        for update in updates:
            self._owner.leg_words(self, update)
            if update.change is Change.FINAL:
                self._recognition.settle(min(self._utterances.settled, self.timeline.duration), update.text)
