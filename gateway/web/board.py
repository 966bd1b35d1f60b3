"""The calls as viewers see them: those that are up, and the last ones that ended, with how their audio went."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway import events
from gateway.web.feed import Feed
from gateway.web.view import CallDetail, CallSummary, CallView, Lag, LegQuality

# Calls that ended are kept here until so many others have, and are read from the store afterwards.
ENDED = 200


class Probe(Protocol):
    """Looks at the calls that are up."""

    def quality(self, call: str) -> list[LegQuality]:
        """Returns how the audio of each leg goes; empty for an unknown call."""

    def levels(self) -> dict[str, list[tuple[str, int]]]:
        """Returns for each call with somebody speaking its legs and how loud they are, dBov."""


@dataclass(slots=True)
class _Lag:
    """``Lag`` as it grows: at each message of each leg."""

    count: int
    last: float
    mean: float
    worst: float

    def add(self, seconds: float) -> None:
        self.count += 1
        self.last = seconds
        self.mean += (seconds - self.mean) / self.count
        if seconds > self.worst:
            self.worst = seconds


class Board:
    """All calls that are up or ended lately.

    Args:
        feed: Where viewers read.
        probe: Looks at the calls that are up.
    """

    def __init__(self, feed: Feed, probe: Probe) -> None:
        self.feed = feed
        self._probe = probe
        self._live: dict[str, CallView] = {}
        self._ended: OrderedDict[str, CallDetail] = OrderedDict()
        self._latency: dict[str, dict[str, _Lag]] = {}  # by name, and by call
        self._loud = False

    def __len__(self) -> int:
        return len(self._live)

    def publish(self, event: events.Event) -> None:
        """Takes an event of a call, in order."""
        view = self._live.get(event.call.id)
        if view is None:
            view = self._live[event.call.id] = CallView(event.call.id)
        view.apply(event)
        self.feed.publish(event)
        if not view.live:
            self._ended[event.call.id] = self._live_detail(event.call.id)
            del self._live[event.call.id]
            for known in self._latency.values():
                known.pop(event.call.id, None)
            if len(self._ended) > ENDED:
                self._ended.popitem(last=False)

    def measured(self, name: str, measured: Sequence[tuple[str, float]]) -> None:
        """Takes a latency of calls that are up.

        Args:
            name: Which it is.
            measured: For each value its call, and seconds.
        """
        known = self._latency.setdefault(name, {})
        for call, seconds in measured:
            lag = known.get(call)
            if lag is not None:
                lag.add(seconds)
            elif call in self._live:
                known[call] = _Lag(1, seconds, seconds, seconds)

    def tick(self) -> None:
        """Tells the viewers how loud the legs are; to be called a few times a second."""
        if not self.feed.viewers:
            return
        levels: dict[str, Any] = self._probe.levels()
        if levels or self._loud:
            self.feed.levels({"calls": levels})
        self._loud = bool(levels)

    def live(self) -> list[CallSummary]:
        """Returns the calls that are up, oldest first."""
        return [view.summary() for view in self._live.values()]

    def detail(self, call: str) -> CallDetail | None:
        """Returns all about a call that is up or ended lately; None for another."""
        if call in self._live:
            return self._live_detail(call)
        ended = self._ended.get(call)
        return None if ended is None else ended.model_copy(update={"at": self.feed.place()})

    def _live_detail(self, call: str) -> CallDetail:
        return (
            self._live[call]
            .detail()
            .model_copy(
                update={
                    "at": self.feed.place(),
                    "quality": self._probe.quality(call),
                    "latency": {
                        name: Lag(count=lag.count, last=lag.last, mean=lag.mean, worst=lag.worst)
                        for name, known in self._latency.items()
                        if (lag := known.get(call)) is not None
                    },
                }
            )
        )
