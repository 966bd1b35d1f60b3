"""The flight recorder: every step of the last calls, with its time, in bounded memory.

No transcript, key or number goes in, unless the log may hold them, too; secrets never do. The policy when full is *drop
the oldest call*; of one call, the first steps and the newest are kept, and what went between is counted.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CALLS = 500
FIRST = 100
NEWEST = 300
DIALOGS = 4000


@dataclass(slots=True)
class _Steps:
    first: list[dict[str, Any]] = field(default_factory=list)
    newest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=NEWEST))
    dropped: int = 0


class Recorder:
    """Keeps the steps of calls.

    Args:
        clock: The time in monotonic nanoseconds.
        calls: How many calls are kept.
    """

    def __init__(self, clock: Callable[[], int], calls: int = CALLS) -> None:
        self._clock = clock
        self._limit = calls
        self._calls: OrderedDict[str, _Steps] = OrderedDict()
        self._dialogs: OrderedDict[str, str] = OrderedDict()

    def note(self, call: str, part: str, what: str, **facts: Any) -> None:
        """Takes a step.

        Args:
            call: The call's id, or a dialog's Call-ID while it has no call yet.
            part: Which part tells: ``sip``, ``media``, ``asr``, ``event`` or ``delivery``.
            what: What happened.
            **facts: Details; plain values.
        """
        step = {"at": self._clock(), "part": part, "what": what, **facts}
        call = self._dialogs.get(call, call)
        known = self._calls.get(call)
        if known is None:
            known = self._calls[call] = _Steps()
            if len(self._calls) > self._limit:
                self._calls.popitem(last=False)
        if len(known.first) < FIRST:
            known.first.append(step)
        else:
            known.dropped += len(known.newest) == NEWEST
            known.newest.append(step)

    def join(self, dialog: str, call: str) -> None:
        """Says which call a dialog belongs to: its steps go there."""
        if self._dialogs.get(dialog) == call:
            return
        self._dialogs[dialog] = call
        if len(self._dialogs) > DIALOGS:
            self._dialogs.popitem(last=False)
        if (early := self._calls.pop(dialog, None)) is None or dialog == call:
            return
        known = self._calls.setdefault(call, _Steps())
        steps = sorted([*known.first, *early.first], key=lambda step: step["at"])
        known.first, rest = steps[:FIRST], steps[FIRST:]
        known.newest.extendleft(reversed(rest))

    def steps(self, call: str) -> list[dict[str, Any]] | None:
        """Returns the steps of a call in the order of their times, ``ms`` since the first; None for an unknown call."""
        known = self._calls.get(call)
        if known is None:
            return None
        steps = list(known.first)
        if known.dropped:
            at = known.newest[0]["at"]
            steps.append({"at": at, "part": "recorder", "what": "dropped", "steps": known.dropped})
        steps += known.newest
        begun = steps[0]["at"]
        return [{"ms": round((step.pop("at") - begun) / 1e6, 3), **step} for step in map(dict, steps)]
