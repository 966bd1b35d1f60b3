"""The page folds events into calls as the API does: ``fold.js`` under Node.js against ``view.py``."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from gateway import events
from gateway.web.view import CallView
from tests.web.desk import BEGUN, completed, words

CHANGES = events.CallUpdated.model_fields["change"].annotation
FOLD = Path(__file__).parents[2] / "gateway/web/static/fold.js"
SCRIPT = """
const { apply, fresh } = await import("data:text/javascript;base64,%s");
let text = "";
for await (const part of process.stdin) text += part;
const folded = JSON.parse(text).map(events => {
  const call = { ...fresh(events[0].call.id), transcript: [], notes: [] };
  for (const event of events) apply(call, event);
  return call;
});
console.log(JSON.stringify(folded));
"""
FIELDS = (
    "state", "from_number", "to_number", "headers", "labels", "started", "ended", "seconds", "reason", "complete",
    "legs", "last_words", "seq", "notes",
)  # fmt: skip


def lives(dice: random.Random) -> list[events.Event]:
    """Events of one call, as wild as they may come."""
    legs = ["caller", "agent"]
    speaker = events.Speaker(aor="sip:7@x", name=dice.choice(["", "Ann"]))
    bodies: list[Any] = [events.CallStarted(leg="caller", codec="alaw", speaker=speaker)]
    changes = [change for change in get_args(CHANGES) if change != "labelled"]
    revisions: Counter[tuple[str, int]] = Counter()
    for _ in range(dice.randint(0, 40)):
        leg, number = dice.choice(legs), dice.randint(1, 4)
        kind = dice.choice([events.TranscriptPartial, events.TranscriptFinal, events.TranscriptRefined])
        revisions[leg, number] += 1
        text = dice.choice(["", "one", "two words"])
        bodies.append(
            dice.choice(
                [
                    words(kind, text, leg=leg, utterance=number, revision=revisions[leg, number], at=float(number)),
                    events.CallUpdated(leg=leg, change=dice.choice(changes), speaker=dice.choice([None, speaker])),
                    events.CallUpdated(leg=None, change="labelled"),
                    events.LegDtmf(leg=leg, key="5", start_ms=1, duration_ms=100),
                    events.AsrDegraded(leg=leg, engine="e", code="C", text="gone", retrying=True),
                    events.AsrRecovered(leg=leg, engine="e", lost_ms=0),
                ]
            )
        )
    if dice.random() < 0.7:
        bodies.append(events.CallEnded(reason="bye", seconds=3.5))
        if dice.random() < 0.7:
            bodies.append(completed())
    made, seq = [], 0
    for number, body in enumerate(bodies):
        seq += not isinstance(body, events.TranscriptPartial)
        labels = {"queue": f"{number // 10}"} if number > 5 else {}
        call = events.CallInfo(
            id="c" * 36, sip_call_ids=["a"], from_number="100", to_number="200", headers={"x": "y"}, labels=labels
        )
        made.append(events.Event(id=str(number), time=BEGUN + timedelta(seconds=number), call=call, seq=seq, data=body))
    return made


async def test_page_and_api_see_the_same_calls() -> None:
    dice = random.Random(11)
    calls = [lives(dice) for _ in range(300)]
    script = SCRIPT % base64.b64encode(FOLD.read_bytes()).decode()
    process = await asyncio.create_subprocess_exec(
        *("node", "--input-type=module", "-e", script), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    given = json.dumps([[json.loads(event.wire()) for event in call] for call in calls])
    output, _ = await asyncio.wait_for(process.communicate(given.encode()), 60)
    assert process.returncode == 0
    for known, folded in zip(calls, json.loads(output), strict=True):
        view = CallView.of(known)
        assert view is not None
        wanted = json.loads(view.detail().model_dump_json())
        for field in FIELDS:
            assert _timeless(folded[field]) == _timeless(wanted[field]), (field, known)
        by_place = {(said["leg"], said["utterance"]): (said["state"], said["text"]) for said in folded["transcript"]}
        assert by_place == {
            (said["leg"], said["utterance"]): (said["state"], said["text"]) for said in wanted["transcript"]
        }


def _timeless(value: Any) -> Any:
    """Returns times in one spelling: with or without fractions they are the same."""
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    if isinstance(value, dict):
        return {name: _timeless(item) for name, item in value.items()}
    return value.replace(".000000Z", "Z") if isinstance(value, str) else value
