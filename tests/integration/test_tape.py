"""A real call is recorded, and the code of today makes the same events of it; a change of the code shows."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import events
from gateway.calls import call as calls
from gateway.calls.replay import TapeError, replay
from gateway.calls.tape import RECORDS, Tape, Tapes
from gateway.config import Settings
from gateway.media.timeline import Timeline
from gateway.telemetry.settings import Telemetry
from gateway.transcripts.utterances import UtteranceBuilder
from tests.peers.claims import Claim
from tests.peers.gateway import GatewayProcess, call
from tests.prove.live.stage import Wire, palatine, recogniser, say

NUMBER = "74957654321"


async def trace(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "trace", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


def post(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as answer:  # noqa: S310
        assert answer.status == 202


async def recorded(folder: Path, *, cut: bool) -> tuple[Path, list[events.Event]]:
    """Has two legs speak, one of them withheld for a while, and the recogniser lost where asked for."""
    script = ["w311", "w312", "-", "w313", "w314", "-", "w315", "-"]
    async with (
        recogniser() as port,
        Wire(port) as wire,
        GatewayProcess(folder, asr=palatine(wire.port), web='anonymous = "operate"') as gateway,
    ):
        paths = [await say(folder, "one", script), await say(folder, "two", ["-", *reversed(script)])]
        speaking = [
            asyncio.create_task(
                call(gateway.sip, "--audio", str(path), "--leg", leg, "--call-id", "k", "--from", NUMBER)
            )
            for path, leg in zip(paths, ("caller", "agent"), strict=True)
        ]
        await gateway.until(lambda known: bool(known) and len(known[0].of(events.TranscriptFinal)) >= 2)
        identity = next(iter(gateway.calls))
        if cut:
            wire.cut()
        else:
            leg = f"{gateway.web}/api/v1/calls/{identity}/legs/caller"
            await asyncio.to_thread(post, f"{leg}/pause")
            await asyncio.sleep(0.7)
            await asyncio.to_thread(post, f"{leg}/resume")
        await asyncio.gather(*speaking)
        (done,) = await gateway.completed()
        tape = folder / "call.tape"
        status, output = await trace(identity, "--url", gateway.web, "--tape", str(tape))
        assert status == 0, output
    return tape, done.events


@pytest.mark.parametrize("cut", [False, True])
async def test_a_real_call_replays_the_same_and_a_change_of_the_code_shows(
    tmp_path: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    tape, told = await recorded(tmp_path, cut=cut)
    kinds = {event.type for event in told}
    assert ("asr.degraded" in kinds, "asr.recovered" in kinds) == (cut, cut)
    text = tape.read_text(encoding="utf-8")
    assert NUMBER not in text
    words = {word for event in told if isinstance(event.data, events.Words) for word in event.data.text.split()}
    assert "w313" in words
    on_tape = [json.loads(line) for line in text.splitlines()]
    transcripts = [line["event"] for line in on_tape if line.get("event", {}).get("type", "").startswith("transcript.")]
    said = {word for told in transcripts for word in told["text"].split()}
    assert len(said) == len(words), "the same word has the same name"
    assert not said & words
    status, output = await trace("--replay", str(tape))
    durable = [event for event in told if event.durable]
    what = "with the recogniser lost" if cut else "with a leg withheld"
    claim(f"trace: the tape of a real call {what}, replayed by another process", output.strip(), status == 0)
    outcome = replay(text.splitlines())
    assert outcome.same
    assert not outcome.cut
    assert [event["type"] for event in outcome.replayed if event["type"] != "transcript.partial"] == [
        event.type for event in durable
    ]
    finals = [event for event in outcome.replayed if event["type"] == "transcript.final"]
    assert [(event["start_ms"], event["end_ms"]) for event in finals] == [
        (event.data.start_ms, event.data.end_ms) for event in durable if isinstance(event.data, events.TranscriptFinal)
    ]
    if not cut:
        await a_change_is_shown(text.splitlines(), tmp_path, claim, monkeypatch)


# Without one of these the same events cannot come out; some chunks and texts change nothing.
NEEDED = {"begin", "withhold", "counted", "done", "transcript.final", "call.ended", "call.transcript.completed"}


def kind_of(line: str) -> str:
    """What a line of a tape is: an event's type, or an input's name."""
    record = json.loads(line)
    return str(record["event"]["type"] if "event" in record else record.get("in", ""))


def unchanged_without(lines: list[str], place: int) -> bool:
    """Whether a tape that lacks a line still replays the same."""
    try:
        return replay([*lines[:place], *lines[place + 1 :]]).same
    except TapeError:
        return False


async def a_change_is_shown(lines: list[str], folder: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[tuple[Any, str, Any]] = [
        (calls, "milliseconds", lambda samples: samples // 8 + 1),
        (Timeline, "mark", lambda *_: None),
        (UtteranceBuilder, "speech", lambda *_: None),
    ]
    shown = 0
    for target, name, value in changes:
        with monkeypatch.context() as patched:
            patched.setattr(target, name, value)
            outcome = replay(lines)
        sides = {line[0] for line in outcome.difference()[2:]}
        shown += not outcome.same and {"-", "+"} <= sides
    assert replay(lines).same
    needed = [place for place, line in enumerate(lines) if kind_of(line) in NEEDED]
    assert {kind_of(lines[place]) for place in needed} == NEEDED
    missed = [lines[place] for place in needed if unchanged_without(lines, place)]
    claim("trace: lines that a tape may lack with nobody noticing", f"{len(missed)} of {len(needed)}", not missed)
    # one that waits longer for the end of an utterance, by the settings on the tape
    head = json.loads(lines[0])
    head["transcripts"]["pause_ms"] = 2000
    changed = folder / "changed.tape"
    await asyncio.to_thread(changed.write_text, "\n".join([json.dumps(head), *lines[1:]]))
    status, output = await trace("--replay", str(changed))
    assert status == 1
    assert any(line[0] == "+" and "transcript." in line for line in output.splitlines())
    claim("trace: changes of the code that a replay shows", f"{shown} of {len(changes)}", shown == len(changes))


async def test_what_is_no_tape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "not.tape"
    path.write_text('{"tape": 99}\n', encoding="utf-8")
    status, output = await trace("--replay", str(path))
    assert (status, "form 99" in output) == (2, True)
    status, output = await trace("--replay", str(tmp_path / "none"))
    assert (status, "No such file" in output) == (2, True)
    assert (await trace())[0] == 2


HEAD = json.dumps({"tape": 1, "transcripts": {}, "conceal_ms": 20})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["begin", "chunk", "text", "", "caller"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["leg", "in", "depth", "inside", "now", "event", "type", "name", "codec", "engine", "chunk"]
            ),
            inner,
            max_size=8,
        )
    ),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4))
def test_any_lines_are_replayed_or_refused(values: list[Any]) -> None:
    told, why = None, ""
    try:
        told = replay([HEAD, *map(json.dumps, values)]).recorded
    except TapeError as error:
        why = str(error)
    if told is None:
        assert why.startswith(("not a tape: ", "an event is of a leg that the tape does not begin"))
    else:
        assert told == [value["event"] for value in values if "event" in value]


def event(call_id: str, data: Any) -> events.Event:
    info = events.CallInfo(id=call_id, sip_call_ids=[], from_number="", to_number="", headers={})
    return events.Event.model_validate({"id": "e", "time": 0, "call": info, "seq": 1, "data": data})


def test_only_so_many_calls_are_recorded_and_kept() -> None:
    tapes = Tapes(Settings(telemetry=Telemetry(tapes=2)))
    assert tapes.of("a") is None
    begun = [tapes.of(name, begin=True) is not None for name in "abc"]
    assert begun == [True, True, False]
    done = events.TranscriptCompleted(utterances=[], legs=[], complete=True)
    for name in "abd":
        tapes.of(name, begin=True)
        tapes.event(event(name, done))
    assert [tapes.records(name) is not None for name in "abcd"] == [False, True, False, True]
    assert Tapes(Settings(telemetry=Telemetry(tapes=0))).of("a", begin=True) is None


def test_a_tape_that_is_full_says_so() -> None:
    tape = Tape(Settings(), plain=False)
    for number in range(RECORDS + 5):
        tape.note({"event": {"type": "x", "number": number}})
    assert len(tape.records) == RECORDS + 1
    outcome = replay(map(json.dumps, tape.records))
    assert outcome.cut
    assert len(outcome.recorded) == RECORDS - 1
