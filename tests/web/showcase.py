"""A web side with something of everything to look at: calls in all states, a call with all that can happen to one."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway import events
from gateway.web.parts import EndpointView, EngineView, Status
from gateway.web.view import LegQuality, SpanView
from tests.web.desk import BEGUN, Desk, Site, completed, words

CALL = "01a200da-b142-7304-a95f-bc583c0be9a3"
PAST = "01a200da-b14c-77d6-8413-d43776f88037"
TALK = [
    ("agent", 1.0, 3.4, "Good morning, you have reached the service line, how can I help you?"),
    ("caller", 4.6, 4.2, "Hello, my router has been blinking red since last night, and I have no internet."),
    ("agent", 9.4, 2.6, "I am sorry to hear that. May I have your customer number?"),
    ("caller", 12.6, 3.0, "Four four seven, one nine two, eight."),
    ("agent", 23.8, 2.8, "Thank you. I have restarted the line from here."),
    ("caller", 27.2, 1.9, "The light is green now"),
]
# the calls began half a minute ago
NOW = (datetime.now(UTC) - BEGUN).total_seconds() - 31
LATENCIES = {
    "packet_to_asr_write": 0.009, "speech_start_to_partial": 0.42, "speech_end_to_final": 0.86,
    "final_to_webhook": 0.012, "speech_end_to_webhook": 0.88,
}  # fmt: skip


def span(kind: str, start: float, end: float) -> SpanView:
    return SpanView(kind=kind, start_ms=round(start * 1000), end_ms=round(end * 1000))


class Showcase(Desk):
    """Looks as a gateway does in the midst of its work."""

    def __init__(self) -> None:
        super().__init__()
        self.live: list[str] = []

    def quality(self, call: str) -> list[LegQuality]:
        if call not in (CALL, PAST):
            return []
        caller = [
            span("received", 0, 8.2), span("concealed", 8.2, 8.3), span("pause", 8.3, 8.9), span("received", 8.9, 17),
            span("hold", 17, 23), span("received", 23, 27), span("comfort_noise", 27, 27.8), span("received", 27.8, 31),
        ]  # fmt: skip
        agent = [
            span("received", 0, 14.1), span("withheld", 14.1, 17), span("received", 17, 19.4), span("dtmf", 19.4, 19.6),
            span("received", 19.6, 24), span("unrecognised", 24, 25.5), span("received", 25.5, 31),
        ]  # fmt: skip
        rest = {"engine": "palatine", "asr": "open", "level": -18, "duration_ms": 31000, "packets": 1550, "foreign": 0}
        return [
            LegQuality(leg="caller", lost=5, late=1, jitter_ms=4.1, loss=0.0039, mos=4.3, spans=caller, **rest),
            LegQuality(leg="agent", lost=0, late=0, jitter_ms=0.3, loss=0.0, mos=4.41, spans=agent, **rest),
        ]

    def levels(self) -> dict[str, list[tuple[str, int]]]:
        dice = random.Random(3)
        return {call: [("caller", -dice.randint(8, 60)), ("agent", -dice.randint(8, 60))] for call in self.live}

    def status(self) -> Status:
        point = {"waiting": 0, "dead": 0, "delivered": 48210, "last_result": "delivered 204"}
        return super().status().model_copy(
            update={
                "version": "1.0", "seconds": 93784, "calls": len(self.live), "legs": 2 * len(self.live),
                "capacity": 2000, "sip": ["udp:192.0.2.10:5060", "tls:192.0.2.10:5061"], "loop_lag_ms": 1.2,
                "viewers": 3,
                "engines": [
                    EngineView(name="palatine", state="closed", sessions={"open": 58, "connecting": 1}, starts=9120,
                               outages=0),
                    EngineView(name="yandex", state="open", sessions={"waiting": 2}, starts=310, outages=4),
                ],
                "endpoints": [
                    EndpointView(name="crm", url="https://crm.example/hooks", **point),
                    EndpointView(name="archive", url="https://archive.example/in", waiting=412, oldest_seconds=97.4,
                                 last_result="refused 503", dead=3, delivered=47100),
                ],
            }
        )  # fmt: skip

    def latency(self) -> list[dict[str, Any]]:
        dice = random.Random(5)
        return [
            {
                "minutes_ago": ago,
                "latency": {
                    name: {"count": 40, "p50": mean * dice.uniform(0.9, 1.2), "p95": mean * dice.uniform(1.4, 2.4)}
                    for name, mean in LATENCIES.items()
                },
            }
            for ago in range(59, -1, -1)
            if ago not in (31, 32)
        ]


def furnish(site: Site, desk: Showcase, calls: int = 60) -> None:
    """Puts the calls in."""
    dice = random.Random(7)
    said = [line for _, _, _, line in TALK]
    _converse(site, PAST, "88005550100", end=True)
    for number in range(calls):
        call = f"{number:08x}-0000-7000-8000-000000000000"
        desk.live.append(call)
        party = f"7495{dice.randint(1000000, 9999999)}"
        begun = NOW - dice.randint(5, 900)
        site.tell(call, events.CallStarted(leg="caller", codec="alaw"), number=party, at=begun)
        site.tell(call, events.CallUpdated(leg="agent", change="leg_added"), number=party)
        site.tell(call, words(events.TranscriptPartial, dice.choice(said)), number=party)
        if number % 9 == 4:
            site.tell(call, events.CallUpdated(leg="caller", change="held"), number=party)
        if number % 17 == 8:
            lost = events.AsrDegraded(
                leg="agent", engine="yandex", code="CONNECTION_LOST", text="connection lost", retrying=True
            )
            site.tell(call, lost, number=party)
    desk.live.append(CALL)
    _converse(site, CALL, "74951234567", end=False)
    for name, mean in LATENCIES.items():
        site.board.measured(name, [(CALL, mean * factor) for factor in (1.0, 1.3, 0.8)])


def _converse(site: Site, call: str, number: str, *, end: bool) -> None:
    """One call in which everything happens that can."""

    def tell(data: events.Body, at: float) -> None:
        site.tell(call, data, at=NOW + at, number=number)

    tell(events.CallStarted(leg="caller", codec="alaw"), 0.0)
    tell(events.CallUpdated(leg="agent", change="leg_added"), 0.2)
    finals = []
    for index, (leg, start, seconds, text) in enumerate(TALK, 1):
        said = words(events.TranscriptFinal, text, leg=leg, utterance=index, at=start)
        said = said.model_copy(
            update={"end_ms": round((start + seconds) * 1000), "time": BEGUN + timedelta(seconds=NOW + start)}
        )
        if index == len(TALK) and not end:
            said = events.TranscriptPartial.model_validate(said.model_dump(exclude={"type"}))
        else:
            finals.append(said)
        tell(said, start + seconds)
        if index == 4:
            fields = said.model_dump(exclude={"type"}) | {"text": "447 192 8.", "revision": 2}
            finals[-1] = events.TranscriptRefined.model_validate(fields)
            tell(finals[-1], start + seconds + 0.3)
            tell(events.CallUpdated(leg="agent", change="withheld"), 14.1)
            tell(events.CallUpdated(leg="agent", change="released"), 17.0)
            tell(events.CallUpdated(leg="caller", change="held"), 17.0)
            tell(events.LegDtmf(leg="agent", key="5", start_ms=19400, duration_ms=120), 19.4)
            tell(events.CallUpdated(leg="caller", change="resumed"), 23.0)
            lost = {"leg": "agent", "engine": "palatine"}
            tell(events.AsrDegraded(**lost, code="CONNECTION_LOST", text="connection lost (1006)", retrying=True), 24.0)
            tell(events.AsrRecovered(**lost, lost_ms=1500), 25.5)
    if end:
        tell(events.CallEnded(reason="bye", seconds=31.0), 31.0)
        tell(completed(*finals), 31.5)
