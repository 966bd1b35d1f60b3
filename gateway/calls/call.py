"""A call: its legs, its numbered events, and the whole of what was said."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from uuid_utils import uuid7

from gateway import events
from gateway.asr.engine import Failure
from gateway.calls.identity import Identity
from gateway.calls.leg import Leg, SessionCause
from gateway.media.chunks import SAMPLE_RATE, Digit, Kind
from gateway.media.quality import Quality, quality
from gateway.media.recording import CHANNELS, Recorder, Recording
from gateway.media.stats import StreamStats
from gateway.media.timeline import TimelineError, milliseconds, wall_clock
from gateway.sip.siprec import Participant
from gateway.transcripts.utterances import Change, Update

log = structlog.get_logger()

# How far the engine's own count of audio may lie from what was sent before the transcript is called incomplete: one
# block of Palatine's (seconds).
COUNT_TOLERANCE = 0.3

_WORDS = {
    Change.PARTIAL: events.TranscriptPartial,
    Change.FINAL: events.TranscriptFinal,
    Change.REFINED: events.TranscriptRefined,
}


class Watcher(Protocol):
    """Who is told what the calls go through, apart from their events: the metrics."""

    def audio_written(self, call: str, arrived: int, now: int) -> None:
        """Audio of a call was written to a recogniser; see ``Observer.asr_written``."""

    def words_begun(self, event: events.Event, spoken_ns: int | None, *, located: bool) -> None:
        """An utterance was shown for the first time.

        Args:
            event: Its event.
            spoken_ns: When its first sample was due, monotonic nanoseconds; None when the leg has no anchor.
            located: Whether it is known that this was spoken there.
        """

    def words_settled(self, event: events.Event, spoken_ns: int | None, *, located: bool) -> None:
        """An utterance became final.

        Args:
            event: Its event.
            spoken_ns: When its last sample was due, monotonic nanoseconds; None when the leg has no anchor.
            located: Whether it is known that this was spoken there.
        """

    def words_lag(self, call: str, seconds: float | None) -> None:
        """The text of a leg ends so long before its audio; None where the engine does not say where it ends."""

    def asr_session(self, call: str, leg: str, engine: str, cause: SessionCause) -> None:
        """A recogniser's session speaks for a leg from now on."""

    def asr_done(self, call: str, leg: str) -> None:
        """A leg's last words are out."""

    def asr_written(self, engine: str, size: int) -> None:
        """A leg is over, and so many bytes of audio were written to an engine."""

    def key_pressed(self, *, withheld: bool) -> None:
        """A key was pressed; one that is withheld goes nowhere."""

    def asr_lost(self, engine: str, code: str) -> None:
        """A recogniser's session was lost."""

    def leg_heard(self, quality: Quality) -> None:
        """A leg is over, and this is how good it sounded."""

    def leg_accounted(self, leg: events.LegMedia) -> None:
        """A leg is over, and this is what became of its audio."""


class Call:
    """One call.

    Args:
        identity: What its first INVITE said.
        publish: Takes its events.
        watcher: Told of latencies.
        on_done: Called when the last event is out.
        recorder: Records the call; None for no recording.
        concealed: Whether lost audio is concealed, which quality depends on.

    Attributes:
        id: The gateway's own id.
        legs: All its legs, those that are over too.
    """

    def __init__(
        self,
        identity: Identity,
        publish: Callable[[events.Event], None],
        watcher: Watcher,
        on_done: Callable[[Call], None],
        *,
        recorder: Recorder | None = None,
        concealed: bool = True,
    ) -> None:
        self.id = str(uuid7())
        self.key = identity.key
        self.legs: list[Leg] = []
        self._identity = identity
        self._publish = publish
        self._watcher = watcher
        self._on_done = on_done
        self._seq = 0
        self._recorder = recorder
        self._recording: Recording | None = None
        self._concealed = concealed
        self._recorded_from = 0  # monotonic nanoseconds
        self._shifts: dict[int, int] = {}  # frames of the recording at which each leg begins
        self._quality: list[events.LegQuality] = []
        self._answered = 0.0
        self._ended = False
        self._up: set[int] = set()
        self._dialogs: list[events.SipDialog] = []
        self._speakers: dict[int, events.Speaker | None] = {}
        self._words: dict[tuple[int, int], events.Words] = {}
        self._media: dict[int, events.LegMedia] = {}
        self._labels: dict[str, str] = {}
        self._info: events.CallInfo | None = None  # the same in all events until a leg or a label comes
        self.log = log.bind(call=self.id)

    @property
    def up(self) -> bool:
        """Whether a leg is still connected."""
        return bool(self._up)

    @property
    def ended(self) -> bool:
        """Whether ``call.ended`` is out: no leg can join any more."""
        return self._ended

    def free_name(self, name: str) -> str:
        """Returns the name, with a number behind it where another leg has it already."""
        taken = {leg.name for leg in self.legs}
        number = 2
        free = name
        while free in taken:
            free = f"{name}-{number}"
            number += 1
        return free

    def add(self, leg: Leg, speaker: Participant | None = None, *, tags: tuple[str, str] = ("", "")) -> None:
        """Adds a leg that was answered.

        Args:
            leg: The leg.
            speaker: Who speaks on it, where that is known.
            tags: The peer's and our own tag of its dialog.
        """
        self._dialogs.append(events.SipDialog(leg=leg.name, call_id=leg.sip_call_id, from_tag=tags[0], to_tag=tags[1]))
        first = not self.legs
        self.legs.append(leg)
        self._info = None
        self._up.add(leg.number)
        self.log.info("leg_up", leg=leg.name, codec=leg.codec, sip_call_id=leg.sip_call_id)
        told = self._speakers[leg.number] = _told(speaker)
        if first:
            self._answered = time.monotonic()
            self._emit(events.CallStarted(leg=leg.name, codec=leg.codec, speaker=told))
        else:
            self._emit(events.CallUpdated(leg=leg.name, change="leg_added", speaker=told))

    def identified(self, leg: Leg, speaker: Participant | None) -> None:
        """Says who speaks on a leg, should that be new."""
        told = _told(speaker)
        if told is not None and told != self._speakers.get(leg.number):
            self._speakers[leg.number] = told
            self._emit(events.CallUpdated(leg=leg.name, change="speaker", speaker=told))

    def hold(self, leg: Leg, *, held: bool) -> None:
        """Says that the peer put a leg on hold or took it off."""
        if held != leg.held:
            leg.hold(held=held)
            self._emit(events.CallUpdated(leg=leg.name, change="held" if held else "resumed"))

    def label(self, labels: dict[str, str]) -> None:
        """Gives the call other labels; an empty text takes one away."""
        labelled = {name: text for name, text in (self._labels | labels).items() if text}
        if labelled != self._labels:
            self._labels = labelled
            self._info = None
            self._emit(events.CallUpdated(leg=None, change="labelled"))

    def hung_up(self, leg: Leg) -> None:
        """Says that a leg's dialog is over; its last words may still come."""
        self._up.discard(leg.number)
        self.log.info("leg_down", leg=leg.name)
        self._emit(events.CallUpdated(leg=leg.name, change="leg_ended"))

    def end(self, reason: str) -> None:
        """Ends the call: no leg is up, and none is waited for."""
        self._ended = True
        seconds = round(time.monotonic() - self._answered, 3)
        self.log.info("call_ended", reason=reason, seconds=seconds)
        self._emit(events.CallEnded(reason=reason, seconds=seconds, quality=self._quality))
        if self._recording is not None:
            self._recording.close()
        self._complete()

    def account(self, leg: Leg, stats: StreamStats) -> None:
        """Enters what the receiver counted, once the leg's last chunk is out."""
        try:
            leg.timeline.verify()
        except TimelineError as error:
            self.log.error("ledger_broken", leg=leg.name, text=str(error))
        leg.counted(stats)
        found = quality(stats, concealed=self._concealed)
        self._quality.append(
            events.LegQuality(
                leg=leg.name,
                **found._asdict(),
                unauthentic=stats.unauthentic,
                held_ms=milliseconds(leg.timeline.total(Kind.HOLD)),
                withheld_ms=milliseconds(leg.timeline.total(Kind.WITHHELD)),
            )
        )
        self._watcher.leg_heard(found)
        self._media[leg.number] = events.LegMedia(
            leg=leg.name,
            duration=leg.timeline.duration,
            received=leg.timeline.wire(Kind.RECEIVED),
            concealed=leg.timeline.wire(Kind.CONCEALED),
            paused=leg.paused(),
            sent=0,
            withheld=0,
            unrecognised=0,
            recognised_seconds=None,
            packets=stats.packets,
            lost=stats.lost,
            late=stats.late,
            duplicates=stats.duplicates,
            foreign=stats.foreign + stats.wrong_payload_type + stats.malformed,
        )

    # what the legs tell

    def leg_words(self, leg: Leg, update: Update) -> None:
        """Words changed or settled."""
        words = _WORDS[update.change](
            leg=leg.name,
            utterance=update.number,
            revision=update.revision,
            text=update.text,
            start_ms=milliseconds(update.start),
            end_ms=milliseconds(update.end),
            time=leg.timeline.wall(update.start),
        )
        event = self._emit(words)
        if update.change is not Change.PARTIAL:
            self._words[leg.number, update.number] = events.Words.model_validate(words.model_dump(exclude={"type"}))
        located = leg.located(update.start, update.end)
        if update.change is Change.FINAL:
            self._watcher.words_settled(event, leg.timeline.monotonic_ns(update.end), located=located)
        elif update.change is Change.PARTIAL and update.revision == 1:
            self._watcher.words_begun(event, leg.timeline.monotonic_ns(update.start), located=located)

    def leg_key(self, leg: Leg, digit: Digit) -> None:
        """A key was pressed."""
        start, length = milliseconds(digit.first), milliseconds(digit.samples)
        self._watcher.key_pressed(withheld=False)
        self._emit(events.LegDtmf(leg=leg.name, key=digit.key, start_ms=start, duration_ms=length))

    def leg_key_withheld(self) -> None:
        """A key was pressed that goes nowhere."""
        self._watcher.key_pressed(withheld=True)

    def leg_session(self, leg: Leg, engine: str, cause: SessionCause) -> None:
        """A recogniser's session speaks for a leg."""
        self._watcher.asr_session(self.id, leg.name, engine, cause)

    def leg_audio(self, leg: Leg, first: int, payload: bytes, codec: str) -> None:
        """Audio that may be kept."""
        if self._recorder is None or self._ended or (channel := self.legs.index(leg)) >= CHANNELS:
            return
        if self._recording is None:
            try:
                self._recording = self._recorder.open(self.id, codec)
            except OSError as error:
                self.log.error("recording_failed", text=str(error))
                self._recorder = None
                return
            self.log.info("recording", path=str(self._recording.path))
        if leg.number not in self._shifts:
            begun = leg.timeline.monotonic_ns(0) or time.monotonic_ns()
            self._recorded_from = self._recorded_from or begun
            self._shifts[leg.number] = (begun - self._recorded_from) * SAMPLE_RATE // 1_000_000_000
        self._recording.write(channel, first + self._shifts[leg.number], payload, codec)

    def leg_withheld(self, leg: Leg, *, withheld: bool) -> None:
        """Sensitive input began or ended."""
        self._emit(events.CallUpdated(leg=leg.name, change="withheld" if withheld else "released"))

    def leg_degraded(self, leg: Leg, failure: Failure, *, retrying: bool) -> None:
        """The leg lost its recogniser."""
        self.log.warning("asr_degraded", leg=leg.name, code=failure.code, text=failure.text, retrying=retrying)
        self._watcher.asr_lost(leg.engine, failure.code)
        self._emit(
            events.AsrDegraded(leg=leg.name, engine=leg.engine, code=failure.code, text=failure.text, retrying=retrying)
        )

    def leg_recovered(self, leg: Leg, lost: int) -> None:
        """The leg has a recogniser again."""
        self.log.info("asr_recovered", leg=leg.name, lost_ms=milliseconds(lost))
        self._emit(events.AsrRecovered(leg=leg.name, engine=leg.engine, lost_ms=milliseconds(lost)))

    def leg_written(self, arrived: int, now: int) -> None:
        """Audio was written."""
        self._watcher.audio_written(self.id, arrived, now)

    def leg_lag(self, samples: int | None) -> None:
        """The text of a leg lies so far behind its audio."""
        self._watcher.words_lag(self.id, None if samples is None else samples / SAMPLE_RATE)

    def leg_done(self, leg: Leg) -> None:
        """A leg's last words are out."""
        self._watcher.asr_done(self.id, leg.name)
        for engine, size in leg.written.items():
            self._watcher.asr_written(engine, size)
        self._complete()

    # inside

    def _complete(self) -> None:
        if not self._ended or any(leg.summary is None or leg.number not in self._media for leg in self.legs):
            return
        media = [self._accounted(leg) for leg in self.legs]
        for leg in media:
            self._watcher.leg_accounted(leg)
        words = sorted(self._words.values(), key=lambda said: (said.time, said.leg, said.utterance))
        lost = {leg.name: leg.unrecognised for leg in self.legs}
        missing = [gap for leg in media for gap in missing_of(leg, lost[leg.leg])]
        complete = not missing
        self._emit(events.TranscriptCompleted(utterances=words, legs=media, complete=complete, missing=missing))
        self.log.info("transcript_completed", complete=complete, utterances=len(words))
        self._on_done(self)

    def _accounted(self, leg: Leg) -> events.LegMedia:
        media, summary = self._media[leg.number], leg.summary
        assert summary is not None  # noqa: S101 (asked by the caller)
        if not leg.balanced():
            self.log.error("ledger_unbalanced", leg=leg.name, sent=summary.sent, withheld=leg.withheld())
        return media.model_copy(
            update={
                "sent": summary.sent,
                "withheld": leg.withheld(),
                "unrecognised": summary.unrecognised,
                "recognised_seconds": summary.recognised_seconds,
            }
        )

    def _emit(self, data: events.Body) -> events.Event:
        if not isinstance(data, events.TranscriptPartial):
            self._seq += 1
        event = events.Event(
            id=str(uuid7()), time=wall_clock(time.monotonic_ns()), call=self._about(), seq=self._seq, data=data
        )
        self._publish(event)
        return event

    def _about(self) -> events.CallInfo:
        if self._info is None:
            self._info = self._gathered()
        return self._info

    def _gathered(self) -> events.CallInfo:
        return events.CallInfo(
            id=self.id,
            sip_call_ids=[leg.sip_call_id for leg in self.legs],
            from_number=self._identity.from_number,
            to_number=self._identity.to_number,
            headers=self._identity.headers,
            labels=self._labels,
            diverted_from=self._identity.diverted_from,
            user_to_user=self._identity.user_to_user,
            dialogs=list(self._dialogs),
        )


def _told(speaker: Participant | None) -> events.Speaker | None:
    return events.Speaker(aor=speaker.aor, name=speaker.name) if speaker else None


def missing_of(leg: events.LegMedia, lost: Sequence[tuple[int, int]] = ()) -> list[events.Missing]:
    """Says what the transcript of a leg may lack: nothing where the engine accounts for all the audio it was sent.

    Args:
        leg: What became of its audio.
        lost: Stretches of which no recogniser gave an account: first sample, and one past the last.
    """
    sent = leg.sent / SAMPLE_RATE
    if leg.unrecognised:
        known: list[tuple[int | None, int]] = [(milliseconds(first), end - first) for first, end in lost]
        return [
            events.Missing(leg=leg.leg, cause="recogniser_lost", from_ms=from_ms, seconds=samples / SAMPLE_RATE)
            for from_ms, samples in known or [(None, leg.unrecognised)]
        ]
    if leg.recognised_seconds is None:
        return [events.Missing(leg=leg.leg, cause="recogniser_lost", from_ms=0, seconds=sent)] if sent else []
    if abs(leg.recognised_seconds - sent) > COUNT_TOLERANCE:
        less = round(sent - leg.recognised_seconds, 3)
        return [events.Missing(leg=leg.leg, cause="count_differs", from_ms=None, seconds=less)]
    return []
