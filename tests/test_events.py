"""The public events as they go over the wire."""

import json
from datetime import UTC, datetime

import pytest

from gateway import events

CALL = events.CallInfo(id="c", sip_call_ids=["a@b"], from_number="100", to_number="200", headers={"x-queue": "sales"})
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def event(data: events.Body) -> events.Event:
    return events.Event(id="e", time=WHEN, call=CALL, seq=3, data=data)


def test_an_event_on_the_wire() -> None:
    made = event(
        events.TranscriptFinal(leg="caller", utterance=1, revision=4, text="да", start_ms=10, end_ms=20, time=WHEN)
    )
    assert json.loads(made.wire()) == {
        "type": "transcript.final",
        "id": "e",
        "version": "1",
        "time": "2026-01-02T03:04:05.678000Z",
        "seq": 3,
        "call": {
            "id": "c",
            "sip_call_ids": ["a@b"],
            "from_number": "100",
            "to_number": "200",
            "headers": {"x-queue": "sales"},
            "labels": {},
            "diverted_from": "",
            "user_to_user": "",
            "dialogs": [],
        },
        "data": {
            "leg": "caller",
            "utterance": 1,
            "revision": 4,
            "text": "да",
            "start_ms": 10,
            "end_ms": 20,
            "time": "2026-01-02T03:04:05.678000Z",
        },
    }
    assert "да".encode() in made.wire(), "text is UTF-8, not escaped"
    assert events.Event.from_wire(made.wire()) == made


def test_only_partials_are_not_durable() -> None:
    words = {"leg": "a", "utterance": 1, "revision": 1, "text": "", "start_ms": 0, "end_ms": 0, "time": WHEN}
    assert not event(events.TranscriptPartial(**words)).durable
    assert event(events.TranscriptRefined(**words)).durable
    assert event(events.CallEnded(reason="bye", seconds=1.5)).durable


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type": "call.ended"}', b'{"type": "x", "data": {}}', b"\xff"])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        events.Event.from_wire(body)
