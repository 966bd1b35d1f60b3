"""The inputs of a call as they came, so that the same code can be given them again: see ``gateway.calls.replay``.

A tape holds what went into each leg (chunks without their audio, what the recogniser said, holds, keys) with the time
at which it did, and the events that came out. Words stand on it under other names, the same word under the same name,
unless the log may hold transcripts: all decisions are about whether words are the same, never about what they mean.
Keys are told by what became of them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from gateway import events
from gateway.asr.engine import Engine, Failure, Final, Partial, Refinement
from gateway.asr.observer import Summary
from gateway.asr.replay import Piece
from gateway.asr.session import LegRecognition
from gateway.asr.settings import Asr
from gateway.calls.leg import WIRE_SILENCE, Leg, Owner
from gateway.config import Settings
from gateway.media.chunks import Chunk, Digit
from gateway.media.stats import StreamStats

VERSION = 1
RECORDS = 20_000
"""On one tape: about 25 minutes of one leg. What comes after is not recorded, and not compared."""
# What depends on the clock of this machine, or on who calls.
_ALWAYS_OTHER = {"time", "seconds"}
_NOT_TAPED = ("labelled", "speaker")


class Tape:
    """One call.

    Args:
        settings: What its decisions depend on.
        plain: Whether words and keys may be on it as they are.

    Attributes:
        records: One JSON object each; the first says what the tape is.
    """

    def __init__(self, settings: Settings, *, plain: bool) -> None:
        self.records: list[dict[str, Any]] = [
            {
                "tape": VERSION,
                "gateway": version("asr-gateway"),
                "transcripts": settings.transcripts.model_dump(mode="json"),
                "conceal_ms": settings.media.conceal_ms,
            }
        ]
        self._plain = plain
        self._names: dict[str, str] = {}

    def note(self, record: dict[str, Any]) -> None:
        """Takes a record, as long as there is room."""
        if len(self.records) < RECORDS:
            self.records.append(record)
        elif len(self.records) == RECORDS:
            self.records.append({"cut": True})

    def event(self, event: events.Event) -> None:
        """Takes an event that came out."""
        if isinstance(event.data, events.CallUpdated) and event.data.change in _NOT_TAPED:
            return
        told = comparable(event)
        if isinstance(event.data, events.Words):
            told["text"] = self.veiled(told["text"])
        elif isinstance(event.data, events.TranscriptCompleted):
            for words in told["utterances"]:
                words["text"] = self.veiled(words["text"])
        elif isinstance(event.data, events.LegDtmf) and not self._plain:
            told["key"] = "*"
        self.note({"event": told})

    def veiled(self, text: str) -> str:
        """Returns a text with each word under its other name."""
        if self._plain:
            return text
        return " ".join(self._names.setdefault(word, f"w{len(self._names) + 1}") for word in text.split())

    def key(self, key: str) -> str:
        """Returns a key as it may stand on the tape."""
        return key if self._plain else "*"


def comparable(event: events.Event) -> dict[str, Any]:
    """Returns what must be the same when a tape is replayed."""
    made: dict[str, Any] = _without(event.data.model_dump(mode="json"))
    made.pop("speaker", None)
    return made


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(part) for name, part in value.items() if name not in _ALWAYS_OTHER}
    return [_without(part) for part in value] if isinstance(value, list) else value


class Tapes:
    """The tapes of the last calls. Of calls that are up side by side only so many are recorded, the rest is not.

    Args:
        settings: The configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = settings.telemetry.tapes
        self._running: dict[str, Tape] = {}
        self._over: OrderedDict[str, Tape] = OrderedDict()

    def of(self, call: str, *, begin: bool = False) -> Tape | None:
        """Returns the tape of a call that is up.

        Args:
            call: The call's id.
            begin: Begin one where there is none, and room; its first leg has not been made yet.
        """
        if begin and call not in self._running and len(self._running) < self._limit:
            self._running[call] = Tape(self._settings, plain=self._settings.telemetry.log_transcripts)
        return self._running.get(call)

    def event(self, event: events.Event) -> None:
        """Takes an event of any call."""
        tape = self._running.get(event.call.id)
        if tape is None:
            return
        tape.event(event)
        if isinstance(event.data, events.TranscriptCompleted):
            self._over[event.call.id] = self._running.pop(event.call.id)
            while len(self._over) > self._limit:
                self._over.popitem(last=False)

    def records(self, call: str) -> list[dict[str, Any]] | None:
        """Returns what is on the tape of a call; None where there is none."""
        tape = self._running.get(call) or self._over.get(call)
        return None if tape is None else list(tape.records)


class _Counted(LegRecognition):
    """A recognition whose calls are counted, so that what it says inside of one is known to belong there."""

    def __init__(self, engines: Sequence[Engine], codec: str, settings: Asr, leg: TapedLeg) -> None:
        self._leg = leg
        super().__init__(engines, codec, settings, leg)

    def feed(self, piece: Piece) -> None:
        self._leg.inside += 1
        super().feed(piece)

    def settle(self, sample: int, text: str = "") -> None:
        self._leg.inside += 1
        super().settle(sample, text)

    def finish(self) -> None:
        self._leg.inside += 1
        super().finish()


class TapedLeg(Leg):
    """A leg that records its inputs.

    Args:
        tape: Where they go.
        made: As the arguments of ``Leg``.

    Attributes:
        inside: How many calls of its recognition the input that is being taken has made.
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
        *,
        tape: Tape,
    ) -> None:
        self._tape = tape
        self.inside = 0
        self._depth = 1  # what the recognition says at once belongs to the making
        self._frozen = time.monotonic()
        tape.note(
            {"leg": number, "in": "begin", "depth": 0, "inside": 0, "now": self._frozen}
            | {"name": name, "codec": codec, "engine": engines[0].name}
        )
        super().__init__(number, name, sip_call_id, codec, engines, settings, owner)
        self._depth = 0

    def _now(self) -> float:
        return self._frozen if self._depth else time.monotonic()

    def _recognise(self, engines: Sequence[Engine], settings: Settings) -> LegRecognition:
        return _Counted(engines, self.codec, settings.asr, self)

    def _input(self, kind: str, act: Callable[[], None], **facts: Any) -> None:
        before = self.inside, self._frozen
        now = time.monotonic()
        record = {"leg": self.number, "in": kind, "depth": self._depth, "inside": self.inside, "now": now}
        self._tape.note(record | facts)
        self.inside, self._frozen = 0, now
        self._depth += 1
        try:
            act()
        finally:
            self._depth -= 1
            self.inside, self._frozen = before

    def chunk(self, chunk: Chunk) -> None:
        """As a leg does."""
        told = [list(chunk.spans), chunk.levels.hex(), chunk.arrived_first, chunk.arrived_last, chunk.last]
        facts = [chunk.codec, chunk.first, chunk.samples, len(chunk.payload), *told]
        self._input("chunk", lambda: super(TapedLeg, self).chunk(chunk), chunk=facts)

    def _key_taken(self, digit: Digit, *, withheld: bool, toggled: bool) -> None:
        def act() -> None:
            super(TapedLeg, self)._key_taken(digit, withheld=withheld, toggled=toggled)

        facts = {"key": self._tape.key(digit.key), "first": digit.first, "samples": digit.samples}
        self._input("digit", act, **facts, withheld=withheld, toggled=toggled)

    def withhold(self, *, withheld: bool) -> None:
        """As a leg does."""
        self._input("withhold", lambda: super(TapedLeg, self).withhold(withheld=withheld), withheld=withheld)

    def hold(self, *, held: bool) -> None:
        """As a leg does."""
        self._input("hold", lambda: super(TapedLeg, self).hold(held=held), held=held)

    def tick(self) -> None:
        """As a leg does; recorded where it can do anything."""
        if time.monotonic() - self._last_chunk > WIRE_SILENCE:
            self._input("tick", super().tick)

    def reported(self, sample: int, sender_ns: int, arrival: int) -> None:
        """As a leg does."""
        report = [sample, sender_ns, arrival]
        self._input("reported", lambda: super(TapedLeg, self).reported(sample, sender_ns, arrival), report=report)

    def counted(self, stats: StreamStats) -> None:
        """As a leg does."""
        self._input("counted", lambda: super(TapedLeg, self).counted(stats), stats=stats._asdict())

    def asr_started(self, engine: str, origin: int, *, continues: bool) -> None:
        """As a leg does."""

        def act() -> None:
            super(TapedLeg, self).asr_started(engine, origin, continues=continues)

        self._input("started", act, engine=engine, origin=origin, continues=continues)

    def asr_text(self, partial: Partial) -> None:
        """As a leg does."""
        facts = asdict(partial) | {"text": self._tape.veiled(partial.text)}
        self._input("text", lambda: super(TapedLeg, self).asr_text(partial), partial=facts)

    def asr_final(self, final: Final) -> None:
        """As a leg does."""
        facts = asdict(final) | {"text": self._tape.veiled(final.text), "words": []}
        self._input("final", lambda: super(TapedLeg, self).asr_final(final), final=facts)

    def asr_refined(self, refinement: Refinement) -> None:
        """As a leg does."""
        facts = asdict(refinement) | {"text": self._tape.veiled(refinement.text)}
        self._input("refined", lambda: super(TapedLeg, self).asr_refined(refinement), refinement=facts)

    def asr_unrecognised(self, first: int, end: int) -> None:
        """As a leg does."""
        self._input("unrecognised", lambda: super(TapedLeg, self).asr_unrecognised(first, end), first=first, end=end)

    def asr_degraded(self, failure: Failure, *, engine: str, retrying: bool) -> None:
        """As a leg does."""

        def act() -> None:
            super(TapedLeg, self).asr_degraded(failure, engine=engine, retrying=retrying)

        self._input("degraded", act, failure=asdict(failure), engine=engine, retrying=retrying)

    def asr_recovered(self, engine: str, lost: int) -> None:
        """As a leg does."""
        self._input("recovered", lambda: super(TapedLeg, self).asr_recovered(engine, lost), engine=engine, lost=lost)

    def asr_done(self, summary: Summary) -> None:
        """As a leg does."""
        self._input("done", lambda: super(TapedLeg, self).asr_done(summary), summary=asdict(summary))
