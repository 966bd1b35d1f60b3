"""What is still to be said of a call in whose midst the gateway stopped: pure, from the events that are on disk.

A gateway that is killed leaves calls behind that have begun and never ended. Once it is up again it ends them, so that
every consumer gets the last two events of every call, and the second says from where on words may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from uuid_utils import uuid7

from gateway import events

REASON = "gateway_stopped"


def conclude(known: Sequence[events.Event], now: datetime) -> list[events.Event]:
    """Returns the events that end an interrupted call.

    Args:
        known: All its durable events so far, by ``seq``; at least one.
        now: The time of the events to make.

    Returns:
        ``call.ended``, where it is not among the known ones, and ``call.transcript.completed``; nothing for a call
        that has both.
    """
    if any(isinstance(event.data, events.TranscriptCompleted) for event in known):
        return []
    last = known[-1]
    bodies: list[events.Body] = []
    if not any(isinstance(event.data, events.CallEnded) for event in known):
        bodies.append(events.CallEnded(reason=REASON, seconds=None))
    words = latest_words(known)
    settled: dict[str, int] = {}
    for event in known:
        match event.data:
            case events.CallStarted(leg=leg) | events.CallUpdated(leg=str(leg), change="leg_added"):
                settled[leg] = 0
    for said in words:
        settled[said.leg] = max(settled.get(said.leg, 0), said.end_ms)
    missing = [
        events.Missing(leg=leg, cause="gateway_stopped", from_ms=end, seconds=None) for leg, end in settled.items()
    ]
    bodies.append(events.TranscriptCompleted(utterances=words, legs=[], complete=False, missing=missing))
    return [
        events.Event(id=str(uuid7()), time=now, call=last.call, seq=last.seq + number, data=body)
        for number, body in enumerate(bodies, 1)
    ]


def latest_words(known: Sequence[events.Event]) -> list[events.Words]:
    """Returns the utterances of a call, each in its latest revision, merged by wall clock."""
    latest: dict[tuple[str, int], events.Words] = {}
    for event in known:
        if isinstance(event.data, events.TranscriptFinal | events.TranscriptRefined):
            place = event.data.leg, event.data.utterance
            if place not in latest or event.data.revision >= latest[place].revision:
                latest[place] = events.Words.model_validate(event.data.model_dump(exclude={"type"}))
    return sorted(latest.values(), key=lambda said: (said.time, said.leg, said.utterance))
