"""A finished call in every form; the files of the subtitles are exact."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway import cli, events
from gateway.delivery.store import Row, Store
from gateway.transcripts.export import FORMS, UnfinishedError, export

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INFO = events.CallInfo(id="c1", sip_call_ids=["a@pbx"], from_number="1", to_number="2", headers={})


def said(leg: str, utterance: int, start: int, end: int, text: str, kind=events.TranscriptFinal, revision: int = 1):
    time = BEGAN + timedelta(milliseconds=start)
    return kind(leg=leg, utterance=utterance, revision=revision, text=text, start_ms=start, end_ms=end, time=time)


def call(*bodies: events.Body) -> list[events.Event]:
    return [events.Event(id=f"e{seq}", time=BEGAN, call=INFO, seq=seq, data=body) for seq, body in enumerate(bodies, 1)]


def finished(complete: bool = True) -> list[events.Event]:
    missing = [] if complete else [events.Missing(leg="agent", cause="recogniser_lost", from_ms=None, seconds=2.0)]
    return call(
        events.CallStarted(leg="caller", codec="alaw"),
        said("agent", 1, 2500, 3661001, "good --> morning\n\n<you> & me"),
        said("caller", 1, 480, 1340, "helo"),
        said("caller", 1, 480, 1340, "hello", events.TranscriptRefined, 2),
        events.CallEnded(reason="bye", seconds=5.0),
        events.TranscriptCompleted(utterances=[], legs=[], complete=complete, missing=missing),
    )


def test_srt() -> None:
    assert export(finished(), "srt") == (
        "1\n00:00:00,480 --> 00:00:01,340\ncaller: hello\n\n"
        "2\n00:00:02,500 --> 01:01:01,001\nagent: good → morning <you> & me\n"
    )


def test_webvtt() -> None:
    assert export(finished(), "vtt") == (
        "WEBVTT\n\n00:00:00.480 --> 00:00:01.340\n<v caller>hello\n\n"
        "00:00:02.500 --> 01:01:01.001\n<v agent>good → morning &lt;you&gt; &amp; me\n"
    )


def test_text_says_when_it_is_incomplete() -> None:
    assert export(finished(), "text").splitlines()[0] == "[00:00:00] caller: hello"
    assert export(finished(complete=False), "text").endswith("(incomplete: words of agent may be missing)\n")


def test_json_is_the_completed_event_with_its_call() -> None:
    made = json.loads(export(finished(), "json"))
    assert made["call"]["id"] == "c1"
    assert made["complete"] is True
    assert "type" not in made


@pytest.mark.parametrize("form", FORMS)
def test_a_call_that_goes_on_and_one_that_never_was(form: str) -> None:
    with pytest.raises(UnfinishedError, match="goes on"):
        export(finished()[:-1], form)
    with pytest.raises(UnfinishedError, match="no such call"):
        export([], form)


def test_the_command_reads_the_gateways_file(tmp_path, capsys) -> None:
    path = tmp_path / "outbox.db"
    store = Store(path)
    rows = [
        Row(number, event.id, "c1", event.seq, event.type, event.wire()) for number, event in enumerate(finished(), 1)
    ]
    store.commit(rows, [])
    store.close()
    assert cli.main(["export", "c1", "--format", "srt", "--database", str(path)]) == 0
    assert capsys.readouterr().out == export(finished(), "srt")
    assert cli.main(["export", "other", "--database", str(path)]) == 1
    assert "no such call" in capsys.readouterr().err
