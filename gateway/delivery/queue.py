"""Which event of an endpoint may go next: a state machine without I/O or clock.

Each call has a lane. The durable events of a lane go strictly in the order in which they were added, one request of a
lane in flight at a time, a partial included: a partial that is under way and the final after it can so never overtake
each other. Lanes take turns, ``concurrency`` of them side by side; one that waits for its next attempt holds no place.

Durable events are known here by their numbers only (some 50 bytes each); bodies are somebody else's business.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Work(Generic[P]):
    """One request that may be sent now.

    Attributes:
        call: The lane; ``delivered`` or ``retry`` must be called with it.
        number: The durable event, 0 for a partial.
        attempts: Attempts of it so far.
        partial: The partial, None for a durable event.
        after_dead: Whether the event before it in this lane is a dead letter.
    """

    call: str
    number: int
    attempts: int
    partial: P | None
    after_dead: bool = False


@dataclass(slots=True)
class _Lane(Generic[P]):
    numbers: deque[int] = field(default_factory=deque)
    partials: dict[str, tuple[float, P]] = field(default_factory=dict)
    attempts: int = 0
    busy: bool = False
    flying: int = 0
    due: float | None = None
    firm: bool = False
    queued: bool = False
    after_dead: bool = False


class Queue(Generic[P]):
    """The events that wait for one endpoint.

    Attributes:
        waiting: Durable events in the queue, those in flight included.
        in_flight: Requests in flight.
        expired: Partials dropped because their time was over.
        superseded: Partials dropped because a newer partial or a durable event took their place.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._lanes: dict[str, _Lane[P]] = {}
        self._ready: deque[str] = deque()
        self._due: list[tuple[float, int, str]] = []
        self._tie = itertools.count()
        self._uncommitted: set[int] = set()
        self.waiting = 0
        self.in_flight = 0
        self.expired = 0
        self.superseded = 0

    def add(self, call: str, number: int, *, committed: bool) -> None:
        """Puts a durable event at the end of its call's lane, and drops the partials that wait there.

        A partial tells of what comes after the durable event whose ``seq`` it carries; once there is a newer one, its
        moment is gone.

        Args:
            call: The call's id.
            number: The event's number in the outbox.
            committed: Whether it may be sent already; if not, ``commit`` must follow.
        """
        lane = self._lanes.setdefault(call, _Lane())
        self.superseded += len(lane.partials)
        lane.partials.clear()
        lane.numbers.append(number)
        self.waiting += 1
        if not committed:
            self._uncommitted.add(number)
        self._wake(call, lane)

    def restore(self, call: str, number: int, attempts: int, due: float) -> None:
        """Adds an event of an earlier run, with the attempts that it has behind it.

        Args:
            call: The call's id.
            number: The event's number in the outbox.
            attempts: Attempts so far.
            due: When the next one may be, on the clock of ``next``.
        """
        first = call not in self._lanes or not self._lanes[call].numbers
        self.add(call, number, committed=True)
        if first and attempts and not self._lanes[call].busy:
            lane = self._lanes[call]
            lane.attempts = attempts
            self._park(call, lane, due)

    def holds(self, call: str, number: int) -> bool:
        """Says whether an event waits here already."""
        lane = self._lanes.get(call)
        return lane is not None and number in lane.numbers

    def commit(self, call: str, number: int) -> None:
        """Lets an event go that was added uncommitted."""
        self._uncommitted.discard(number)
        if lane := self._lanes.get(call):
            self._wake(call, lane)

    def withdraw(self, call: str, number: int) -> None:
        """Takes an event out that is neither in flight nor wanted any more."""
        lane = self._lanes[call]
        was_head = lane.numbers[0] == number
        lane.numbers.remove(number)
        self.waiting -= 1
        self._uncommitted.discard(number)
        if was_head:
            lane.attempts = 0
            lane.due = None
        self._wake(call, lane)

    def offer(self, call: str, leg: str, partial: P, expires: float) -> None:
        """Puts a partial in place of the one before it of the same leg.

        Args:
            call: The call's id.
            leg: The leg's name.
            partial: What is handed back by ``next``.
            expires: It is not sent later than this, on the clock of ``next``.
        """
        lane = self._lanes.setdefault(call, _Lane())
        self.superseded += leg in lane.partials
        lane.partials[leg] = (expires, partial)
        self._wake(call, lane)

    def forget_partial(self, call: str, leg: str) -> None:
        """Drops the partial of a leg, if one waits: its utterance is over."""
        if (lane := self._lanes.get(call)) and lane.partials.pop(leg, None):
            self.superseded += 1
            self._wake(call, lane)

    def next(self, now: float) -> Work[P] | None:
        """Takes the next request that may be sent.

        Args:
            now: Seconds on any steady clock.

        Returns:
            It, or None when none may go now.
        """
        while self._due and self._due[0][0] <= now:
            due, _, call = heapq.heappop(self._due)
            lane = self._lanes.get(call)
            if lane is not None and lane.due == due:
                lane.due = None
                self._wake(call, lane)
        while self._ready and self.in_flight < self._concurrency:
            call = self._ready.popleft()
            lane = self._lanes[call]
            lane.queued = False
            if work := self._take(call, lane, now):
                lane.busy = True
                lane.flying = work.number
                self.in_flight += 1
                return work
            self._tidy(call, lane)
        return None

    def early(self, now: float) -> Work[P] | None:
        """Takes the next request; where none may go now, the one that would be next, before its time.

        Args:
            now: Seconds on the clock of ``next``.

        Returns:
            It, or None when nothing waits that is committed, or nothing more may fly.
        """
        work = self.next(now)
        while work is None and self._due and self.in_flight < self._concurrency:
            due, _, call = heapq.heappop(self._due)
            lane = self._lanes.get(call)
            if lane is not None and lane.due == due:
                lane.due = None
                self._wake(call, lane)
                work = self.next(now)
        return work

    def release(self) -> None:
        """Lets every lane go that waits for its next attempt, but those for whom the consumer named a time."""
        waiting, self._due = self._due, []
        for due, tie, call in waiting:
            lane = self._lanes.get(call)
            if lane is None or lane.due != due:
                continue
            if lane.firm:
                heapq.heappush(self._due, (due, tie, call))
            else:
                lane.due = None
                self._wake(call, lane)

    def expire(self, before: int) -> list[int]:
        """Takes out the events that are not in flight and have a lower number; returns their numbers."""
        gone: list[int] = []
        for call, lane in list(self._lanes.items()):
            flying = lane.numbers.popleft() if lane.busy and lane.flying else 0
            while lane.numbers and lane.numbers[0] < before and lane.numbers[0] not in self._uncommitted:
                gone.append(lane.numbers.popleft())
                if not flying:
                    lane.attempts = 0
            if flying:
                lane.numbers.appendleft(flying)
            if not lane.numbers and not lane.busy:
                lane.due = None
            self._wake(call, lane)
        self.waiting -= len(gone)
        return gone

    def delivered(self, call: str, *, dead: bool = False) -> None:
        """The request of this lane is over for good.

        Args:
            call: The lane.
            dead: It is a dead letter; else acknowledged, or a partial that is gone.
        """
        lane = self._land(call)
        if lane.flying:
            lane.numbers.popleft()
            lane.attempts = 0
            lane.after_dead = dead
            self.waiting -= 1
        self._wake(call, lane)

    def retry(self, call: str, due: float, *, counted: bool = True, firm: bool = False) -> None:
        """The durable event in flight in this lane must be tried again.

        Args:
            call: The lane.
            due: When, on the clock of ``next``.
            counted: Whether this was an attempt; it was not when nothing was sent.
            firm: Whether the consumer named the time: ``release`` leaves the lane waiting then.
        """
        lane = self._land(call)
        lane.attempts += counted
        lane.firm = firm
        self._park(call, lane, due)

    def upcoming(self, call: str, count: int) -> list[int]:
        """Returns the numbers of the first ``count`` durable events of a lane."""
        return list(itertools.islice(self._lanes[call].numbers, count))

    def wake_at(self) -> float | None:
        """Returns when the next waiting lane is due; None when no lane waits for its time."""
        while self._due and ((lane := self._lanes.get(self._due[0][2])) is None or lane.due != self._due[0][0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def settled(self, until: float) -> bool:
        """Says whether nothing will happen until then: every lane waits for a later time."""
        if self.in_flight or self._ready or self._uncommitted:
            return False
        wake = self.wake_at()
        return wake is None or wake > until

    def clear(self) -> None:
        """Forgets everything that waits; what is in flight may still be reported."""
        for call, lane in list(self._lanes.items()):
            kept = 1 if lane.busy and lane.flying else 0
            self.waiting -= len(lane.numbers) - kept
            while len(lane.numbers) > kept:
                lane.numbers.pop()
            lane.partials.clear()
            lane.due = None
            lane.queued = False
            if not lane.busy:
                del self._lanes[call]
        self._ready.clear()
        self._due.clear()
        self._uncommitted.clear()

    def _take(self, call: str, lane: _Lane[P], now: float) -> Work[P] | None:
        if lane.due is not None:
            return None
        if lane.numbers:
            number = lane.numbers[0]
            return None if number in self._uncommitted else Work(call, number, lane.attempts, None, lane.after_dead)
        while lane.partials:
            leg = next(iter(lane.partials))
            expires, partial = lane.partials.pop(leg)
            if expires > now:
                return Work(call, 0, 0, partial)
            self.expired += 1
        return None

    def _land(self, call: str) -> _Lane[P]:
        lane = self._lanes[call]
        lane.busy = False
        self.in_flight -= 1
        return lane

    def _park(self, call: str, lane: _Lane[P], due: float) -> None:
        if not lane.numbers:
            self._wake(call, lane)
            return
        lane.due = due
        heapq.heappush(self._due, (due, next(self._tie), call))

    def _wake(self, call: str, lane: _Lane[P]) -> None:
        if lane.busy or lane.queued or lane.due is not None:
            return
        if (lane.numbers and lane.numbers[0] not in self._uncommitted) or (lane.partials and not lane.numbers):
            lane.queued = True
            self._ready.append(call)
        else:
            self._tidy(call, lane)

    def _tidy(self, call: str, lane: _Lane[P]) -> None:
        if not (lane.numbers or lane.partials or lane.busy or lane.queued):
            self._lanes.pop(call, None)
