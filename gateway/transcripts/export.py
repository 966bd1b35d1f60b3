"""A finished call as JSON, plain text, SRT or WebVTT: pure, from the call's own events.

Cues are timed on one clock for all legs, which begins with the first word or the start of the call, whichever is
earlier.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from gateway.events import CallStarted, Event, TranscriptCompleted, Words
from gateway.transcripts.interrupted import latest_words


class UnfinishedError(Exception):
    """The call has no events, or goes on; the text says which."""


def export(events: Sequence[Event], form: str) -> str:
    """Returns the transcript of a call.

    Args:
        events: Its durable events, by ``seq``.
        form: One of ``FORMS``.

    Raises:
        UnfinishedError: There is nothing to export yet.
    """
    if not events:
        raise UnfinishedError("no such call, or its events are not kept any more")
    if not isinstance(events[-1].data, TranscriptCompleted):
        raise UnfinishedError("the call goes on, or its last words are still awaited")
    return FORMS[form](events)


def _json(events: Sequence[Event]) -> str:
    last = events[-1]
    fields = {"call": last.call.model_dump(mode="json"), **last.data.model_dump(mode="json", exclude={"type"})}
    return json.dumps(fields, ensure_ascii=False, indent=2) + "\n"


def _text(events: Sequence[Event]) -> str:
    origin = _origin(events)
    lines = [f"[{_stamp(said, origin, '.')[:8]}] {said.leg}: {said.text}" for said in latest_words(events)]
    completed = events[-1].data
    assert isinstance(completed, TranscriptCompleted)  # noqa: S101 (asked by export)
    if not completed.complete:
        legs = ", ".join(sorted({gap.leg for gap in completed.missing}))
        lines.append(f"(incomplete: words of {legs or 'a leg'} may be missing)")
    return "\n".join(lines) + "\n"


def _srt(events: Sequence[Event]) -> str:
    origin = _origin(events)
    cues = []
    for number, said in enumerate(latest_words(events), 1):
        times = f"{_stamp(said, origin, ',')} --> {_stamp(said, origin, ',', end=True)}"
        cues.append(f"{number}\n{times}\n{said.leg}: {_one_line(said.text)}\n")
    return "\n".join(cues)


def _vtt(events: Sequence[Event]) -> str:
    origin = _origin(events)
    cues = ["WEBVTT\n"]
    for said in latest_words(events):
        times = f"{_stamp(said, origin, '.')} --> {_stamp(said, origin, '.', end=True)}"
        cues.append(f"{times}\n<v {html.escape(said.leg)}>{html.escape(_one_line(said.text), quote=False)}\n")
    return "\n".join(cues)


FORMS: Final[dict[str, Callable[[Sequence[Event]], str]]] = {"json": _json, "text": _text, "srt": _srt, "vtt": _vtt}


def _origin(events: Sequence[Event]) -> datetime:
    begun = [event.time for event in events if isinstance(event.data, CallStarted)]
    return min([*begun, *(said.time for said in latest_words(events))])


def _stamp(said: Words, origin: datetime, point: str, *, end: bool = False) -> str:
    """Returns ``HH:MM:SS`` and milliseconds since the origin; a cue lasts at least a millisecond."""
    total = round((said.time - origin).total_seconds() * 1000)
    if end:
        total += max(said.end_ms - said.start_ms, 1)
    seconds, thousandths = divmod(total, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{thousandths:03}"


def _one_line(text: str) -> str:
    """An empty line, or an arrow, would end the cue."""
    return " ".join(text.split()).replace("-->", "→")
