"""Which segment is decoded next.

Finals of live sessions come first. Partials, and finals of sessions that send faster than people speak, take turns, so
that a client which floods the server with a recording takes neither the partials of live calls nor all of the time.

The queue is bounded by what a session may have in it: one partial, which a newer one replaces in its place, and the
finals that the session lets wait. Over its capacity it refuses.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Kind(IntEnum):
    """What a decoding is for."""

    FINAL = 0
    """The last text of a segment of a live session, or of the end of any session."""
    PARTIAL = 1
    """The text so far of an open segment."""
    BACKLOG = 2
    """The last text of a segment of a session that runs ahead of the clock."""


class QueueFull(Exception):  # noqa: N818 (like the standard library's queue.Full)
    """The queue holds as many jobs as it may."""


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One decoding.

    Attributes:
        session: Whose it is.
        kind: What it is for.
        item: What the owner of the queue needs to do it.
    """

    session: int
    kind: Kind
    item: T


class JobQueue(Generic[T]):
    """Waiting jobs.

    Args:
        capacity: Jobs that may wait at once.

    Attributes:
        dropped_partials: Partials that were replaced by newer ones or overtaken by their final.
    """

    def __init__(self, capacity: int) -> None:
        self.dropped_partials = 0
        self._capacity = capacity
        self._waiting: dict[Kind, deque[Job[T]]] = {kind: deque() for kind in Kind}
        self._turn = Kind.PARTIAL

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, job: Job[T]) -> Job[T] | None:
        """Adds a job.

        Returns:
            The partial that this one replaces, which will not be done.

        Raises:
            QueueFull: The queue is at its capacity.
        """
        line = self._waiting[job.kind]
        if job.kind is Kind.PARTIAL:
            for index, waiting in enumerate(line):
                if waiting.session == job.session:
                    line[index] = job
                    self.dropped_partials += 1
                    return waiting
        if len(self) >= self._capacity:
            raise QueueFull
        line.append(job)
        return None

    def drop_partial(self, session: int) -> Job[T] | None:
        """Takes back the waiting partial of a session: its final overtakes it."""
        line = self._waiting[Kind.PARTIAL]
        for waiting in line:
            if waiting.session == session:
                line.remove(waiting)
                self.dropped_partials += 1
                return waiting
        return None

    def take(self) -> Job[T] | None:
        """Returns the next job, and None where there is none."""
        if self._waiting[Kind.FINAL]:
            return self._waiting[Kind.FINAL].popleft()
        other = Kind.BACKLOG if self._turn is Kind.PARTIAL else Kind.PARTIAL
        for kind, next_turn in ((self._turn, other), (other, self._turn)):
            if self._waiting[kind]:
                self._turn = next_turn
                return self._waiting[kind].popleft()
        return None

    def clear(self) -> list[Job[T]]:
        """Empties the queue and returns what was in it."""
        jobs = [job for line in self._waiting.values() for job in line]
        for line in self._waiting.values():
            line.clear()
        return jobs
