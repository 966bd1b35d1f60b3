"""Gives a tape's inputs to the code of today and says whether the same events come out.

What is run is a call with its legs, timelines, speech activity and utterances; receiver and recogniser are the tape.
A tape is a bug report and a test in one: where a change alters what a call would have told, it shows as a difference.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from gateway import events
from gateway.asr.engine import Engine, Failure, Final, Limits, Partial, Refinement
from gateway.asr.observer import Summary
from gateway.asr.replay import Piece
from gateway.asr.session import LegRecognition, State
from gateway.calls.call import Call
from gateway.calls.identity import Identity
from gateway.calls.leg import Leg
from gateway.calls.tape import VERSION, comparable
from gateway.config import Settings
from gateway.media.chunks import Chunk, Digit, Kind, Span
from gateway.media.stats import StreamStats


class TapeError(ValueError):
    """This is no tape, or one that this version cannot replay; the text says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay showed.

    Attributes:
        recorded: The events on the tape.
        replayed: The events that came out now.
        cut: Whether the tape ends before the call did.
    """

    recorded: list[dict[str, Any]]
    replayed: list[dict[str, Any]]
    cut: bool

    @property
    def same(self) -> bool:
        """Whether they are the same."""
        return self.recorded == self.replayed

    def difference(self) -> list[str]:
        """Returns how they differ, as lines of a unified diff."""
        before, after = (
            [json.dumps(event, ensure_ascii=False) for event in side] for side in (self.recorded, self.replayed)
        )
        return list(difflib.unified_diff(before, after, "recorded", "replayed", n=1, lineterm=""))


def replay(lines: Iterable[str]) -> Outcome:
    """Replays a tape.

    Args:
        lines: One JSON object each.

    Raises:
        TapeError: It cannot be replayed.
    """
    try:
        records = [json.loads(line) for line in lines if line.strip()]
        head, rest = records[0], records[1:]
        if head["tape"] != VERSION:
            raise TapeError(f"the tape is of form {head['tape']}, this version replays form {VERSION}")
        return _Player(head, rest).run()
    except TapeError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise TapeError(f"not a tape: {type(error).__name__}: {error}") from error


class _Nobody:
    """Watches nothing: latencies are not replayed."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@dataclass(frozen=True, slots=True)
class _Named:
    """An engine as far as a leg looks at it before its recognition does."""

    name: str
    limits: Limits = field(default_factory=Limits)  # the tape has the chunks that there were


class _Player:
    def __init__(self, head: dict[str, Any], records: list[dict[str, Any]]) -> None:
        self._settings = Settings.model_construct(
            **{name: field.default for name, field in Settings.model_fields.items()}
        ).model_copy(update={"transcripts": type(Settings.model_fields["transcripts"].default)(**head["transcripts"])})
        self._records = records
        self._at = 0
        self._replayed: list[dict[str, Any]] = []
        nobody = Identity(key="", leg="", from_number="", to_number="", headers={})
        watcher: Any = _Nobody()
        self._call = Call(nobody, self._take, watcher, lambda _: None, concealed=head["conceal_ms"] > 0)
        self._legs: dict[int, ReplayedLeg] = {}

    def run(self) -> Outcome:
        cut = False
        while self._at < len(self._records):
            record = self._records[self._at]
            self._at += 1
            if "event" in record:
                self._driven(record["event"])
            elif "cut" in record:
                cut = True
            else:
                self._give(record)
        recorded = [record["event"] for record in self._records if "event" in record]
        # a tape that is cut may end between an input and its events
        return Outcome(recorded, self._replayed[: len(recorded)] if cut else self._replayed, cut)

    def nested(self, leg: ReplayedLeg, depth: int, inside: int) -> None:
        """Gives what the recognition said inside of a call of it."""
        at = self._at
        while at < len(self._records) and "event" in self._records[at]:
            at += 1  # events that the input brought before; they are compared, not given
        while at < len(self._records):
            record = self._records[at]
            if record.get("depth", 0) != depth or record["leg"] != leg.number or record["inside"] != inside:
                return
            self._at = at + 1
            self._give(record)
            at = self._at
            while at < len(self._records) and "event" in self._records[at]:
                at += 1

    def _take(self, event: events.Event) -> None:
        told = comparable(event)
        self._replayed.append(told)

    def _driven(self, event: dict[str, Any]) -> None:
        """Does what switchboard and operator did, which events tell of."""
        kind, leg = event["type"], event.get("leg")
        found = next((one for one in self._legs.values() if one.name == leg), None)
        if kind == "call.started" or event.get("change") == "leg_added":
            self._call.add(_there(found))
        elif event.get("change") == "leg_ended":
            self._call.hung_up(_there(found))
        elif kind == "call.ended":
            self._call.end(event["reason"])

    def _give(self, record: dict[str, Any]) -> None:
        number, depth, now = record["leg"], record["depth"], record["now"]
        if record["in"] == "begin":
            self._legs[number] = ReplayedLeg(self, record, self._settings, self._call)
            return
        leg = self._legs[number]
        before = leg.moment, leg.depth, leg.inside
        leg.moment, leg.depth, leg.inside = now, depth + 1, 0
        try:
            self._acts(leg, record)[record["in"]]()
        finally:
            leg.moment, leg.depth, leg.inside = before

    def _acts(self, leg: ReplayedLeg, record: dict[str, Any]) -> dict[str, Callable[[], None]]:
        def get(name: str) -> Any:
            return record[name]

        return {
            "chunk": lambda: leg.chunk(_chunk(leg.number, get("chunk"))),
            "digit": lambda: leg.key(record),
            "withhold": lambda: leg.withhold(withheld=get("withheld")),
            "hold": lambda: self._call.hold(leg, held=get("held")),
            "tick": leg.tick,
            "reported": lambda: leg.reported(*get("report")),
            "counted": lambda: self._call.account(leg, StreamStats(**get("stats"))),
            "started": lambda: leg.asr_started(get("engine"), get("origin"), continues=get("continues")),
            "text": lambda: leg.asr_text(Partial(**get("partial"))),
            "final": lambda: leg.asr_final(Final(**get("final") | {"words": ()})),
            "refined": lambda: leg.asr_refined(Refinement(**get("refinement"))),
            "unrecognised": lambda: leg.asr_unrecognised(get("first"), get("end")),
            "degraded": lambda: leg.asr_degraded(
                Failure(**get("failure")), engine=get("engine"), retrying=get("retrying")
            ),
            "recovered": lambda: leg.asr_recovered(get("engine"), get("lost")),
            "done": lambda: leg.asr_done(_summary(get("summary"))),
        }


class ReplayedLeg(Leg):
    """A leg whose time and recognition are the tape's.

    Attributes:
        moment: The time of the input that is being given, monotonic seconds.
        depth: How deep it lies in other inputs, itself included.
        inside: How many calls of its recognition it has made.
    """

    def __init__(self, player: _Player, record: dict[str, Any], settings: Settings, call: Call) -> None:
        self.player = player
        self.moment, self.depth, self.inside = float(record["now"]), 1, 0
        engine: Any = _Named(record["engine"])
        super().__init__(record["leg"], record["name"], "", record["codec"], [engine], settings, call)
        player.nested(self, 1, 0)
        self.depth = 0

    def key(self, record: dict[str, Any]) -> None:
        """Takes a key of which the tape tells what became of it."""
        digit = Digit(self.number, record["key"], record["first"], record["samples"])
        if record["toggled"] and self._withholding.active:
            self._withholding.resume(digit.first + digit.samples)
        elif record["toggled"]:
            self._withholding.pause()
        self._key_taken(digit, withheld=record["withheld"], toggled=record["toggled"])

    def _now(self) -> float:
        return self.moment

    def _recognise(self, engines: Sequence[Engine], settings: Settings) -> LegRecognition:  # noqa: ARG002
        return cast("LegRecognition", _Recognition(self))


class _Recognition:
    """Says what the tape says that it said."""

    state = State.OPEN
    held = backlog = 0
    written: Mapping[str, int] = {}

    def __init__(self, leg: ReplayedLeg) -> None:
        self._leg = leg

    def feed(self, piece: Piece) -> None:  # noqa: ARG002
        self._say()

    def settle(self, sample: int, text: str = "") -> None:  # noqa: ARG002
        self._say()

    def finish(self) -> None:
        self._say()

    def abort(self) -> None:
        """Nothing is said any more."""

    def _say(self) -> None:
        self._leg.inside += 1
        self._leg.player.nested(self._leg, self._leg.depth, self._leg.inside)


def _there(leg: ReplayedLeg | None) -> ReplayedLeg:
    if leg is None:
        raise TapeError("an event is of a leg that the tape does not begin")
    return leg


def _chunk(leg: int, told: list[Any]) -> Chunk:
    codec, first, samples, length, spans, levels, arrived_first, arrived_last, last = told
    made = tuple(Span(Kind(kind), begin, count) for kind, begin, count in spans)
    return Chunk(
        leg, codec, first, samples, bytes(length), made, bytes.fromhex(levels), arrived_first, arrived_last, last
    )


def _summary(told: dict[str, Any]) -> Summary:
    return Summary(**told | {"failure": Failure(**told["failure"]) if told["failure"] else None})
