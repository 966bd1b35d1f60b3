"""One call as the API shows it, folded from its events: the same for a call that is up and one from the store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from gateway import events


class LegView(BaseModel):
    """A leg.

    Attributes:
        name: Its name.
        codec: What it sends; empty where the events do not say.
        state: ``up``, ``held`` (by its peer), ``paused`` (transcription, by an operator) or ``ended``.
        trouble: Why it has no recogniser now; empty while it has one.
        speaker: Who speaks on it, where recording metadata (SIPREC) says so.
    """

    name: str
    codec: str = ""
    state: Literal["up", "held", "paused", "ended"] = "up"
    trouble: str = ""
    speaker: str = ""


class WordsView(BaseModel):
    """An utterance in its latest text.

    Attributes:
        leg: The leg's name.
        utterance: Number on its leg, from 1.
        revision: Of its text.
        state: ``partial``, ``final`` or ``refined``.
        text: The words.
        start_ms: On the leg's clock.
        end_ms: On the leg's clock.
        time: Wall-clock time of its start.
    """

    leg: str
    utterance: int
    revision: int
    state: Literal["partial", "final", "refined"]
    text: str
    start_ms: int
    end_ms: int
    time: datetime


class NoteView(BaseModel):
    """Something that happened besides words.

    Attributes:
        time: When.
        leg: To which leg.
        what: ``leg_added``, ``leg_ended``, ``held``, ``resumed``, ``withheld``, ``released``, ``degraded``,
            ``recovered`` or ``dtmf``.
        text: Details: the key, or why the recogniser is gone.
    """

    time: datetime
    leg: str
    what: str
    text: str = ""


class CallSummary(BaseModel):
    """A call in a list.

    Attributes:
        id: The gateway's own id.
        state: ``live`` until its last event is out, then ``ended``.
        from_number: Who calls.
        to_number: Whom.
        headers: The chosen headers of its INVITEs.
        labels: What the operator's system attached to it.
        started: When the first leg was answered.
        ended: When the last one hung up.
        seconds: From the one to the other.
        reason: Why it ended.
        complete: Whether the recogniser accounted for all audio; None while it lives.
        legs: Its legs.
        last_words: The newest words.
        seq: Of its newest durable event.
    """

    id: str
    state: Literal["live", "ended"] = "live"
    from_number: str = ""
    to_number: str = ""
    headers: dict[str, str] = {}
    labels: dict[str, str] = {}
    started: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    reason: str = ""
    complete: bool | None = None
    legs: list[LegView] = []
    last_words: str = ""
    seq: int = 0


class SpanView(BaseModel):
    """A stretch of a leg's clock that was all of one kind."""

    kind: str
    start_ms: int
    end_ms: int


class LegQuality(BaseModel):
    """How a leg's audio goes, now or when the call ended.

    Attributes:
        leg: The leg's name.
        codec: What it sends.
        engine: Who recognises.
        asr: State of its recognition.
        level: Loudest 20 ms of the last chunk, dBov (0 is the loudest, -127 silence).
        duration_ms: Length of its clock.
        packets: RTP packets received.
        lost: Packets lost.
        late: Packets too late to be used.
        foreign: Packets from elsewhere, dropped.
        jitter_ms: Interarrival jitter (RFC 3550).
        loss: Share of the packets that were lost or late, 0 to 1.
        mos: Listening quality by the E-model, 1 to 4.41; None before the first packet.
        spans: What its clock was, oldest first; at most the last 400.
    """

    leg: str
    codec: str = ""
    engine: str
    asr: str
    level: int
    duration_ms: int
    packets: int
    lost: int
    late: int
    foreign: int
    jitter_ms: float
    loss: float = 0.0
    mos: float | None = None
    spans: list[SpanView]


class Lag(BaseModel):
    """One latency of a call: how often it was measured, and what came out (seconds)."""

    count: int
    last: float
    mean: float
    worst: float


class CallDetail(CallSummary):
    """All about a call.

    Attributes:
        at: Place in the stream that this belongs to; name it as Last-Event-ID to go on from here.
        sip_call_ids: Call-ID of each dialog.
        transcript: Its utterances by wall clock, each in its latest text, with partials.
        notes: What happened besides words.
        media: What became of each leg's audio, once the call is over.
        quality: How each leg's audio goes, or went; empty for calls of earlier runs.
        latency: By name of the latency, what this call saw.
    """

    at: str = ""
    sip_call_ids: list[str] = []
    transcript: list[WordsView] = []
    notes: list[NoteView] = []
    media: list[events.LegMedia] = []
    quality: list[LegQuality] = []
    latency: dict[str, Lag] = Field(default_factory=dict)


Said = events.TranscriptPartial | events.TranscriptFinal | events.TranscriptRefined


class CallView:
    """Folds the events of one call; a pure state machine.

    Args:
        call: The call's id.
    """

    def __init__(self, call: str) -> None:
        self._detail = CallDetail(id=call)
        self._call: events.CallInfo | None = None
        self._words: dict[tuple[str, int], Said] = {}
        self._last_words = ""
        self._legs: dict[str, LegView] = {}

    @classmethod
    def of(cls, known: Iterable[events.Event]) -> CallView | None:
        """Folds the stored events of a call; None where there is none."""
        view = None
        for event in known:
            view = view or cls(event.call.id)
            view.apply(event)
        return view

    @property
    def live(self) -> bool:
        """Whether more is to come."""
        return self._detail.state == "live"

    def apply(self, event: events.Event) -> None:
        """Takes the next event."""
        detail, call = self._detail, event.call
        if call is not self._call:  # the events of a call share it until something of it changes
            self._call = call
            detail.from_number, detail.to_number = call.from_number, call.to_number
            detail.headers, detail.sip_call_ids = call.headers, call.sip_call_ids
            detail.labels = call.labels
        if event.seq > detail.seq:
            detail.seq = event.seq
        match event.data:
            case events.CallStarted(leg=leg, codec=codec, speaker=speaker):
                detail.started = event.time
                self._legs[leg] = LegView(name=leg, codec=codec, speaker=_spoken_by(speaker))
            case events.CallUpdated(leg=str(leg), change=change, speaker=speaker):
                self._leg(leg, change)
                self._known(leg).speaker = _spoken_by(speaker) or self._known(leg).speaker
                if change != "speaker":
                    self._note(event, leg, change)
            case events.CallEnded(reason=reason, seconds=seconds):
                detail.ended, detail.reason, detail.seconds = event.time, reason, seconds
                for known in self._legs.values():
                    known.state = "ended"
            case events.TranscriptPartial() | events.TranscriptFinal() | events.TranscriptRefined():
                self._say(event.data)
            case events.LegDtmf(leg=leg, key=key):
                self._note(event, leg, "dtmf", key)
            case events.AsrDegraded(leg=leg, text=text):
                self._known(leg).trouble = text
                self._note(event, leg, "degraded", text)
            case events.AsrRecovered(leg=leg):
                self._known(leg).trouble = ""
                self._note(event, leg, "recovered")
            case events.TranscriptCompleted(legs=legs, complete=complete):
                detail.media, detail.complete, detail.state = legs, complete, "ended"
                # what was only ever partial is no part of a transcript that is complete
                self._words = {
                    place: said for place, said in self._words.items() if not isinstance(said, events.TranscriptPartial)
                }

    def summary(self) -> CallSummary:
        """Returns the call for a list."""
        fields = {name: getattr(self._detail, name) for name in CallSummary.model_fields}
        newest = {"legs": list(self._legs.values()), "last_words": self._last_words}
        return CallSummary.model_construct(**fields | newest)

    def detail(self) -> CallDetail:
        """Returns all about the call."""
        words = sorted(self._words.values(), key=lambda said: (said.time, said.leg, said.utterance))
        return self._detail.model_copy(
            update={
                "legs": list(self._legs.values()),
                "last_words": self._last_words,
                "transcript": [_shown(said) for said in words],
                "notes": list(self._detail.notes),
            }
        )

    def _note(self, event: events.Event, leg: str, what: str, text: str = "") -> None:
        self._detail.notes.append(NoteView(time=event.time, leg=leg, what=what, text=text))

    def _known(self, leg: str) -> LegView:
        return self._legs.setdefault(leg, LegView(name=leg))

    def _leg(self, name: str, change: str) -> None:
        leg = self._known(name)
        match change:
            case "held":
                leg.state = "held"
            case "withheld":
                leg.state = "paused"
            case "leg_ended":
                leg.state = "ended"
            case "resumed" | "released" | "leg_added":
                leg.state = "up"

    def _say(self, said: Said) -> None:
        place = said.leg, said.utterance
        before = self._words.get(place)
        if before is not None and before.revision >= said.revision:
            return
        if not said.text and isinstance(said, events.TranscriptPartial):
            self._words.pop(place, None)
            return
        self._words[place] = said
        self._last_words = said.text


def _shown(said: Said) -> WordsView:
    state = said.type.removeprefix("transcript.")
    return WordsView.model_construct(state=state, **{name: getattr(said, name) for name in events.Words.model_fields})


def _spoken_by(speaker: events.Speaker | None) -> str:
    return "" if speaker is None else speaker.name or speaker.aor
