"""A consumer's check of a received stream: is it complete, in order, authentic? Pure, line by line.

A line is an event as it was received, in any of these shapes:

- ``{"headers": {…}, "body": "…"}``: what came by webhook; only of these the signature can be checked;
- ``{"event": {…}}``, or the event itself: what a file or a stream holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.delivery import signing
from gateway.events import Event, TranscriptCompleted


@dataclass(slots=True)
class _Call:
    last: int = 0
    ids: dict[int, str] = field(default_factory=dict)
    completed: int | None = None
    claims: bool | None = None


class Verification:
    """Checks a stream.

    Args:
        verifiers: What the consumer knows, see ``signing.verifier``; without any, no signature is checked.

    Attributes:
        lines: Lines so far.
        events: Different durable events.
        partials: Partials.
        repeats: Events that had come before: allowed, a consumer ignores them by their id.
        verified: Lines whose signature fits.
        faults: What is wrong, a text each.
    """

    def __init__(self, verifiers: Sequence[signing.Verifier] = ()) -> None:
        self._verifiers = verifiers
        self._calls: dict[str, _Call] = {}
        self.lines = 0
        self.events = 0
        self.partials = 0
        self.repeats = 0
        self.verified = 0
        self.faults: list[str] = []

    def line(self, text: str) -> None:
        """Takes the next line; an empty one is passed over."""
        if not text.strip():
            return
        self.lines += 1
        try:
            fields: dict[str, Any] = json.loads(text)
            if "body" in fields:
                self._authentic(fields)
                event = Event.from_wire(fields["body"].encode())
            else:
                event = Event.from_wire(json.dumps(fields.get("event", fields)).encode())
        except (ValueError, TypeError, AttributeError, KeyError):
            self._fault("not an event")
            return
        self._take(event)

    def finish(self) -> list[str]:
        """Returns all faults: those of the lines, then what is missing at the end."""
        missing = []
        for name, call in self._calls.items():
            if gaps := sorted(set(range(1, max(call.ids, default=0) + 1)) - set(call.ids)):
                missing.append(f"call {name}: seq {_ranges(gaps)} never came")
            if call.completed is None:
                missing.append(f"call {name}: its call.transcript.completed has not come")
        return self.faults + missing

    @property
    def unsettled(self) -> list[str]:
        """Calls whose own report says that words may be missing."""
        return [name for name, call in self._calls.items() if call.claims is False]

    def _authentic(self, fields: dict[str, Any]) -> None:
        if not self._verifiers:
            return
        headers = {name.lower(): value for name, value in fields["headers"].items()}
        try:
            # the stream was recorded at some time: whether it was fresh then is not asked
            signing.verify(self._verifiers, headers, fields["body"].encode(), 0.0, float("inf"))
            self.verified += 1
        except signing.SigningError as error:
            self._fault(f"not authentic: {error}")

    def _take(self, event: Event) -> None:
        call = self._calls.setdefault(event.call.id, _Call())
        where = f"call {event.call.id}, seq {event.seq}"
        if not event.durable:
            self.partials += 1
            if event.seq < call.last:
                self._fault(f"{where}: a partial came after a later durable event")
            return
        known = call.ids.get(event.seq)
        if known == event.id:
            self.repeats += 1
            return
        if known is not None:
            self._fault(f"{where}: two different events have this number")
            return
        self.events += 1
        call.ids[event.seq] = event.id
        if event.seq < call.last:
            self._fault(f"{where}: came after seq {call.last}")
        call.last = max(call.last, event.seq)
        if isinstance(event.data, TranscriptCompleted):
            call.completed, call.claims = event.seq, event.data.complete

    def _fault(self, text: str) -> None:
        self.faults.append(f"line {self.lines}: {text}")


def _ranges(numbers: Sequence[int]) -> str:
    """Returns numbers as ``1, 3–5``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in parts)
