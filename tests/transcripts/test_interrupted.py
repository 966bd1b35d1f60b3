"""A call in whose midst the gateway stopped gets its last two events, and they say what is missing."""

from datetime import UTC, datetime, timedelta

from gateway import events
from gateway.transcripts.interrupted import conclude

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW = BEGAN + timedelta(hours=1)
INFO = events.CallInfo(
    id="c1", sip_call_ids=["a@pbx"], from_number="1", to_number="2", headers={"x": "y"}, labels={"queue": "sales"}
)


def call(*bodies: events.Body) -> list[events.Event]:
    return [events.Event(id=f"e{seq}", time=BEGAN, call=INFO, seq=seq, data=body) for seq, body in enumerate(bodies, 1)]


def said(kind: type, leg: str, utterance: int, text: str, start: int, revision: int = 1) -> events.Words:
    time = BEGAN + timedelta(milliseconds=start)
    return kind(
        leg=leg, utterance=utterance, revision=revision, text=text, start_ms=start, end_ms=start + 900, time=time
    )


def test_it_ends_the_call_and_gathers_what_was_said() -> None:
    known = call(
        events.CallStarted(leg="caller", codec="alaw"),
        events.CallUpdated(leg="agent", change="leg_added"),
        said(events.TranscriptFinal, "agent", 1, "hello", 2000),
        said(events.TranscriptFinal, "caller", 1, "god morning", 1000),
        said(events.TranscriptRefined, "caller", 1, "good morning", 1000, 2),
        events.CallUpdated(leg="agent", change="held"),
    )
    ended, completed = conclude(known, NOW)
    assert (ended.seq, completed.seq) == (7, 8)
    assert ended.data == events.CallEnded(reason="gateway_stopped", seconds=None)
    assert [(words.leg, words.text) for words in completed.data.utterances] == [
        ("caller", "good morning"),
        ("agent", "hello"),
    ]
    assert not completed.data.complete
    assert completed.data.legs == []
    missing = {gap.leg: (gap.cause, gap.from_ms, gap.seconds) for gap in completed.data.missing}
    assert missing == {"caller": ("gateway_stopped", 1900, None), "agent": ("gateway_stopped", 2900, None)}
    assert ended.call == completed.call == INFO
    assert ended.time == completed.time == NOW
    assert ended.id < completed.id


def test_a_call_that_has_ended_gets_only_its_transcript() -> None:
    known = call(events.CallStarted(leg="caller", codec="alaw"), events.CallEnded(reason="bye", seconds=3.0))
    (completed,) = conclude(known, NOW)
    assert completed.seq == 3
    assert completed.type == "call.transcript.completed"
    assert [gap.from_ms for gap in completed.data.missing] == [0]


def test_a_call_that_is_complete_is_left_alone() -> None:
    known = call(
        events.CallStarted(leg="caller", codec="alaw"),
        events.TranscriptCompleted(utterances=[], legs=[], complete=True),
    )
    assert conclude(known, NOW) == []
