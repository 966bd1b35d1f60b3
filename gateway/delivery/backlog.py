"""What an endpoint's index has no room for: stretches of the outbox that wait on disk and are read on in order."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.delivery.outbox import Outbox
from gateway.delivery.queue import Queue
from gateway.delivery.store import OutboxError, Row

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Unread:
    """A stretch of the outbox that is not in the index yet: ``after < number <= upto``."""

    after: int
    upto: int


@dataclass(slots=True)
class _Skipped:
    call: str
    committed: bool


class Backlog:
    """The stretches of one endpoint.

    Args:
        name: The endpoint's name.
        outbox: Where they are read.
        queue: The index that they are put into.
        limit: How many events the index may hold.
        restored: Called when events came into the index.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        outbox: Outbox,
        queue: Queue[Any],
        limit: int,
        *,
        restored: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._queue = queue
        self._limit = limit
        self._restored = restored
        self._clock = clock
        self._unread: deque[_Unread] = deque()
        self._skipped: OrderedDict[int, _Skipped] = OrderedDict()
        self._behind = False
        self._closing = False
        self._stopped = False
        self._reading: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        """Whether anything waits on disk."""
        return bool(self._unread)

    def holds(self, number: int) -> bool:
        """Says whether an event is in one of the stretches."""
        return any(stretch.after < number <= stretch.upto for stretch in self._unread)

    async def begin(self) -> None:
        """Takes up what earlier runs left.

        What comes from now on goes behind it, unless the outbox cannot be read now: then it goes first, for nobody can
        tell when the file will be there again.
        """
        self._unread.append(_Unread(0, self._outbox.newest))
        self.read_on()
        if self._reading is not None:
            await self._reading
        if self._unread and self._outbox.error is None:
            self._fall_behind(self._outbox.newest)

    def add(self, row: Row) -> bool:
        """Leaves a new event to the disk where the index is full; returns whether it did."""
        if not self._behind and self._queue.waiting >= self._limit:
            self._fall_behind(row.number - 1)
        if self._behind:
            self._skipped[row.number] = _Skipped(row.call, committed=False)
        return self._behind

    def commit(self, row: Row) -> bool:
        """The event is on disk; returns whether it was left to it."""
        skipped = self._skipped.get(row.number)
        if skipped is None:
            return False
        skipped.committed = True
        self._go_on()
        return True

    def forgo(self, row: Row) -> bool:
        """The event could not be written; returns whether it was left to the disk, and so is lost."""
        if self._skipped.pop(row.number, None) is None:
            return False
        self._go_on()
        return True

    def read_on(self) -> None:
        """Takes events from disk into the index, when there are any and there is room."""
        if self._unread and self._reading is None and not self._stopped:
            self._reading = asyncio.get_running_loop().create_task(self._read())

    def clear(self) -> None:
        """Forgets everything; what is on disk stays there."""
        self._unread.clear()
        self._skipped.clear()
        self._stopped = True

    async def stop(self) -> None:
        """Ends the reading."""
        self._stopped = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _go_on(self) -> None:
        if not self._closing:
            self._advance()
            self.read_on()

    def _fall_behind(self, newest: int) -> None:
        self._behind = True
        self._unread.append(_Unread(newest, newest))
        log.warning(
            "the endpoint is far behind; its events wait on disk", endpoint=self._name, waiting=self._queue.waiting
        )

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        page_size = max(1, self._limit // 2)
        try:
            while self._unread and self._queue.waiting <= self._limit - page_size:
                stretch = self._unread[0]
                self._closing = self._behind and len(self._unread) == 1
                upto = stretch.upto
                page = await self._outbox.pending(self._name, stretch.after, upto, page_size)
                if self._stopped:
                    return
                now, wall = loop.time(), self._clock()
                for item in page:
                    self._queue.restore(item.call, item.number, item.attempts, now + max(0.0, item.due - wall))
                if len(page) == page_size:
                    stretch.after = page[-1].number
                elif self._closing and self._queue.waiting + len(self._skipped) > self._limit:
                    stretch.after = upto
                else:
                    self._unread.popleft()
                    if self._closing:
                        self._take_skipped()
                self._closing = False
                self._advance()
                self._restored()
        except OutboxError as error:
            log.warning("the outbox cannot be read; tried again when it can", endpoint=self._name, error=str(error))
        finally:
            self._reading = None
            self._closing = False

    def _advance(self) -> None:
        """Lets the last stretch reach as far as everything before is on disk; nothing more is known of those then."""
        while self._skipped and next(iter(self._skipped.values())).committed:
            self._unread[-1].upto, _ = self._skipped.popitem(last=False)

    def _take_skipped(self) -> None:
        """Puts what was published while the last page was read behind it: the endpoint has caught up."""
        self._behind = False
        for number, skipped in self._skipped.items():
            self._queue.add(skipped.call, number, committed=skipped.committed)
        self._skipped.clear()
