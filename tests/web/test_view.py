"""A call folded from its events."""

from __future__ import annotations

from gateway import events
from gateway.web.view import CallDetail, CallView
from tests.web.desk import BEGUN, completed, words


def fold(*bodies: events.Body) -> CallDetail:
    info = events.CallInfo(id="c" * 36, sip_call_ids=["a"], from_number="100", to_number="200", headers={"x": "y"})
    view = CallView.of(
        events.Event(id=str(number), time=BEGUN, call=info, seq=number, data=body)
        for number, body in enumerate(bodies, 1)
    )
    assert view is not None
    return view.detail()


def test_legs_notes_and_the_end() -> None:
    call = fold(
        events.CallStarted(leg="caller", codec="alaw"),
        events.CallUpdated(leg="agent", change="leg_added"),
        events.CallUpdated(leg="agent", change="held"),
        events.AsrDegraded(leg="caller", engine="e", code="c", text="gone", retrying=True),
    )
    assert [(leg.name, leg.state, leg.trouble) for leg in call.legs] == [
        ("caller", "up", "gone"),
        ("agent", "held", ""),
    ]
    assert [(note.leg, note.what) for note in call.notes] == [
        ("agent", "leg_added"),
        ("agent", "held"),
        ("caller", "degraded"),
    ]
    assert call.state == "live"


def test_a_partial_is_replaced_by_its_final_and_that_by_its_refinement() -> None:
    partial = words(events.TranscriptPartial, "won", revision=1)
    final = words(events.TranscriptFinal, "one", revision=2)
    refined = words(events.TranscriptRefined, "1", revision=3)
    texts = [
        [(said.text, said.state) for said in fold(*bodies).transcript]
        for bodies in ([partial], [partial, final], [partial, final, refined], [refined, final])
    ]
    assert texts == [[("won", "partial")], [("one", "final")], [("1", "refined")], [("1", "refined")]]


def test_a_partial_that_was_emptied_is_gone_and_none_outlives_the_call() -> None:
    shown = words(events.TranscriptPartial, "noise", revision=1)
    emptied = words(events.TranscriptPartial, "", revision=2)
    assert fold(shown, emptied).transcript == []
    ended = fold(shown, events.CallEnded(reason="bye", seconds=2.0), completed())
    assert ended.transcript == []
    assert (ended.state, ended.reason, ended.complete) == ("ended", "bye", True)
