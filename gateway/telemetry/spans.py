"""Which spans a call has: its setup, its legs, their ASR sessions and utterances, every attempt to deliver an event.

The trace of a call has the call's id as its own, without the hyphens; the ids of call, leg and utterance spans are made
of it, too. So what is delivered by a later run of the gateway has its place in the same trace. Spans say who, when and
how often: no words, no numbers, no addresses of callers, nothing secret.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from opentelemetry.trace import Span, SpanKind, StatusCode

from gateway import events
from gateway.calls.identity import mask
from gateway.delivery.outlet import Message, Outcome
from gateway.media.timeline import wall_clock
from gateway.sip import messages
from gateway.sip.events import Ended, Established, Incoming
from gateway.telemetry.otel import Exporter

_EPOCH = datetime.fromtimestamp(0, UTC)
Facts = dict[str, str | int | float | bool]


@dataclass(slots=True)
class _Open:
    """A call that is not over, and what has begun of it."""

    span: Span
    legs: dict[str, Span] = field(default_factory=dict)
    sessions: dict[str, Span] = field(default_factory=dict)
    shown: dict[tuple[str, int], int] = field(default_factory=dict)  # first partials, by leg and utterance


class CallSpans:
    """Makes spans of what the parts tell.

    Args:
        exporter: Takes them.
        ratio: Share of the calls that get a trace, 0 to 1.
    """

    def __init__(self, exporter: Exporter, ratio: float = 1.0) -> None:
        self._exporter = exporter
        self._ratio = ratio
        self._calls: dict[str, _Open] = {}
        self._invited: dict[int, tuple[str, int]] = {}  # by dialog: Call-ID, and when
        self._setups: dict[str, tuple[int, int]] = {}  # by Call-ID: INVITE and answer, until a leg comes of it

    async def stop(self) -> None:
        """Ends what is open and sends it."""
        for call in list(self._calls):
            self._finish(call, _now())
        await self._exporter.stop()

    def signalled(self, message: messages.Message) -> None:
        """Takes what the signalling process says of a dialog, before a leg comes of it."""
        match message:
            case Incoming():
                self._invited[message.dialog] = (message.sip_call_id, _now())
            case Established() if message.dialog in self._invited:
                sip_call_id, since = self._invited[message.dialog]
                self._setups[sip_call_id] = (since, _now())
            case Ended() if message.dialog in self._invited:
                self._setups.pop(self._invited.pop(message.dialog)[0], None)

    def signalling_lost(self) -> None:
        """The signalling process died, and its dialogs with it."""
        self._invited.clear()
        self._setups.clear()

    def event(self, event: events.Event) -> None:
        """Takes an event of a call."""
        data, at = event.data, _ns(event.time)
        if isinstance(data, events.CallStarted):
            if sampled(event.call.id, self._ratio):
                self._begin(event, data.leg, at, codec=data.codec)
            return
        known = self._calls.get(event.call.id)
        if known is None:
            return
        match data:
            case events.TranscriptPartial(revision=1):
                known.shown[data.leg, data.utterance] = at
            case events.TranscriptFinal():
                self._utterance(event.call.id, known, data, at)
            case events.CallUpdated(change="leg_added", leg=str(leg)):
                self._leg(event, known, leg, at)
            case events.CallUpdated(change="leg_ended", leg=str(leg)) if leg in known.legs:
                known.legs.pop(leg).end(at)
            case events.CallUpdated(leg=str(leg)) if leg in known.legs:
                known.legs[leg].add_event(data.change, timestamp=at)
            case events.AsrDegraded() if (session := known.sessions.pop(data.leg, None)) is not None:
                session.set_status(StatusCode.ERROR, data.code)
                session.end(at)
            case events.CallEnded():
                known.span.set_attribute("asr_gateway.end_reason", data.reason)
            case events.TranscriptCompleted():
                known.span.set_attribute("asr_gateway.complete", data.complete)
                self._finish(event.call.id, at)

    def session(self, call: str, leg: str, engine: str, cause: str) -> None:
        """A recogniser's session speaks for a leg from now on; the one before it is over."""
        self.recognised(call, leg)
        if (known := self._calls.get(call)) is not None:
            known.sessions[leg] = self._exporter.span(
                "asr_session",
                trace=trace_id(call),
                start=_now(),
                parent=span_id(call, leg),
                facts=_facts(call, leg, engine=engine, cause=cause),
            )

    def recognised(self, call: str, leg: str) -> None:
        """A leg's recognition is over."""
        if (known := self._calls.get(call)) is not None and (session := known.sessions.pop(leg, None)) is not None:
            session.end(_now())

    def tried(self, endpoint: str, message: Message, attempt: int, outcome: Outcome) -> None:
        """An attempt to deliver an event is over."""
        call = message.call
        if not sampled(call, self._ratio):
            return
        now, parent = _now(), span_id(call)
        facts = _facts(call, endpoint=endpoint, attempt=attempt, event_type=message.type, result=outcome.result)
        if message.type in ("transcript.final", "transcript.refined"):
            said = json.loads(message.body)["data"]
            parent = span_id(call, said["leg"], said["utterance"])
            facts |= _facts(call, said["leg"], utterance=said["utterance"])
        if outcome.status:
            facts["http.response.status_code"] = outcome.status
        span = self._exporter.span(
            "delivery",
            trace=trace_id(call),
            start=now - round(outcome.seconds * 1e9),
            parent=parent,
            kind=SpanKind.CLIENT,
            facts=facts,
        )
        if outcome.result != "delivered":
            span.set_status(StatusCode.ERROR, outcome.result)
        span.end(now)

    # inside

    def _begin(self, event: events.Event, leg: str, at: int, codec: str) -> None:
        call = event.call.id
        since = min([at, *(self._setups.get(dialog, (at, at))[0] for dialog in event.call.sip_call_ids)])
        span = self._exporter.span(
            "call",
            trace=trace_id(call),
            start=since,
            number=span_id(call),
            kind=SpanKind.SERVER,
            facts=_facts(call),
        )
        known = self._calls[call] = _Open(span)
        self._leg(event, known, leg, at, codec=codec)

    def _leg(self, event: events.Event, known: _Open, leg: str, at: int, **more: str) -> None:
        call = event.call.id
        trace, parent = trace_id(call), span_id(call)
        for dialog in event.call.dialogs:
            # of a dialog with several legs the first has it
            if dialog.leg == leg and (setup := self._setups.pop(dialog.call_id, None)) is not None:
                facts = _facts(call, leg)
                self._exporter.span("setup", trace=trace, parent=parent, start=setup[0], facts=facts).end(setup[1])
        known.legs[leg] = self._exporter.span(
            "leg", trace=trace, parent=parent, start=at, number=span_id(call, leg), facts=_facts(call, leg, **more)
        )

    def _utterance(self, call: str, known: _Open, said: events.TranscriptFinal, at: int) -> None:
        """From the first sample of an utterance to its final."""
        start = _ns(said.time)
        span = self._exporter.span(
            "utterance",
            trace=trace_id(call),
            start=min(start, at),
            parent=span_id(call, said.leg),
            number=span_id(call, said.leg, said.utterance),
            facts=_facts(
                call,
                said.leg,
                utterance=said.utterance,
                revision=said.revision,
                start_ms=said.start_ms,
                end_ms=said.end_ms,
            ),
        )
        if shown := known.shown.pop((said.leg, said.utterance), 0):
            span.add_event("first_partial", timestamp=shown)
        span.add_event("speech_end", timestamp=start + (said.end_ms - said.start_ms) * 1_000_000)
        span.end(at)

    def _finish(self, call: str, at: int) -> None:
        known = self._calls.pop(call)
        for span in (*known.sessions.values(), *known.legs.values(), known.span):
            span.end(at)


def trace_id(call: str) -> int:
    """Returns the trace of a call: its id, a UUID, as a number."""
    return UUID(call).int


def span_id(call: str, leg: str = "", utterance: int = 0) -> int:
    """Returns the span id of a call, of a leg of it, or of an utterance on that."""
    place = f"{call} {leg} {utterance}".encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest()) or 1


def sampled(call: str, ratio: float) -> bool:
    """Returns whether a call gets a trace: by the last bits of its id, which are random; so in every run the same."""
    return (trace_id(call) & 0xFFFFFFFF) < ratio * 2**32


def _facts(call: str, leg: str = "", **more: str | float | bool) -> Facts:
    facts: Facts = {"asr_gateway.call_id": call}
    if leg:
        facts["asr_gateway.leg"] = mask(leg)  # recording metadata may name a leg by its number
    return facts | {f"asr_gateway.{name}": value for name, value in more.items()}


def _now() -> int:
    return _ns(wall_clock(time.monotonic_ns()))


def _ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
