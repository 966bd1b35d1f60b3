"""The delivery to one endpoint: its queue, its requests, its share of the outbox.

What an endpoint may hold in memory is bounded. Of at most ``BODIES_LIMIT`` events it holds the body (1 KB each, as a
rule: 1 MB); of at most ``INDEX_LIMIT`` the number (50 bytes each: 5 MB). Those beyond wait on disk until half of the
index is empty and are then taken up in order. Events that could not be written have no other place: of them at most
``LOOSE_LIMIT`` are held, and a further one is dropped and counted.

An event becomes a dead letter when its retry schedule is used up. Of the event after a dead letter in the same call
only ``AFTER_DEAD`` attempts are made, until the endpoint takes one again. While the endpoint as a whole is down
(``health.py``) no attempt counts; instead, an event that has waited for as long as the whole schedule is a dead letter
at the next failure, so that what waits for an endpoint that never comes back is bounded in time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final

import structlog

from gateway.delivery import outlets, retry
from gateway.delivery.backlog import Backlog
from gateway.delivery.health import Health, State
from gateway.delivery.observer import Dropped, Observer
from gateway.delivery.outbox import Outbox
from gateway.delivery.outlet import Message, Outcome
from gateway.delivery.queue import Queue, Work
from gateway.delivery.settings import Outlet as Settings
from gateway.delivery.store import OutboxError, Row
from gateway.events import Event

BODIES_LIMIT: Final = 1000
INDEX_LIMIT: Final = 100_000
LOOSE_LIMIT: Final = 10_000
PREFETCH: Final = 16
UNREADABLE_SECONDS: Final = 1.0
AFTER_DEAD: Final = 2

log = structlog.get_logger(__name__)


class Worker:
    """Delivers to one endpoint.

    Args:
        endpoint: Its settings.
        outbox: Where the events are; started before ``start``.
        observer: Told of what happens.
        partial_seconds: A partial older than this is not sent.
        clock: Seconds since the epoch.
        index_limit: ``INDEX_LIMIT``, smaller in tests.

    Attributes:
        name: The endpoint's name.
        disabled: The endpoint answered 410.
    """

    def __init__(
        self,
        endpoint: Settings,
        outbox: Outbox,
        observer: Observer,
        *,
        partial_seconds: float,
        clock: Callable[[], float] = time.time,
        index_limit: int = INDEX_LIMIT,
    ) -> None:
        self.name = endpoint.name
        self.disabled = False
        self._endpoint = endpoint
        self._outbox = outbox
        self._observer = observer
        self._partial_seconds = partial_seconds
        self._clock = clock
        self._index_limit = index_limit
        self._outlet = outlets.make(endpoint, clock)
        self._health = Health(endpoint.concurrency)
        self._queue: Queue[Event] = Queue(endpoint.concurrency)
        self._wants: dict[str, bool] = {}
        self._held: dict[int, tuple[Row, Event | None]] = {}
        self._loose: set[int] = set()
        self._backlog = Backlog(endpoint.name, outbox, self._queue, index_limit, restored=self._pump, clock=clock)
        self._requests: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._log = log.bind(endpoint=endpoint.name, url=self._outlet.shown)

    def wants(self, event_type: str) -> bool:
        """Says whether the endpoint is to receive events of this type."""
        if event_type not in self._wants:
            self._wants[event_type] = any(fnmatchcase(event_type, pattern) for pattern in self._endpoint.events)
        return self._wants[event_type]

    @property
    def waiting(self) -> int:
        """Durable events in the index that are not delivered yet."""
        return self._queue.waiting

    @property
    def held(self) -> int:
        """Events whose body is in memory."""
        return len(self._held)

    @property
    def loose(self) -> int:
        """Events that are in memory only."""
        return len(self._loose)

    @property
    def state(self) -> State:
        """How the endpoint fares."""
        return self._health.state

    async def start(self) -> None:
        """Takes up what earlier runs left in the outbox, and begins to send.

        What is published from now on goes behind it, unless the outbox cannot be read now: then it goes first, for
        nobody can tell when the file will be there again.
        """
        self._loop = asyncio.get_running_loop()
        await self._backlog.begin()

    def add(self, row: Row) -> None:
        """Gives a durable event its place, before it is on disk; ``commit`` or ``keep`` must follow."""
        if self.disabled:
            return
        if not self._backlog.add(row):
            self._drop_partials(lambda: self._queue.add(row.call, row.number, committed=False))

    def commit(self, row: Row, event: Event) -> None:
        """The event is on disk and may be sent."""
        if self.disabled or self._backlog.commit(row):
            return
        if len(self._held) < BODIES_LIMIT:
            self._held[row.number] = (row, event)
        self._queue.commit(row.call, row.number)
        self._pump()

    def keep(self, row: Row, event: Event) -> None:
        """The event could not be written: it is held in memory until it is delivered."""
        if self.disabled:
            self._drop(row.type, "disabled")
        elif self._backlog.forgo(row):
            self._drop(row.type, "memory_full")
        elif len(self._loose) >= LOOSE_LIMIT:
            self._queue.withdraw(row.call, row.number)
            self._drop(row.type, "memory_full")
            self._pump()
        else:
            self._loose.add(row.number)
            self._held[row.number] = (row, event)
            self._queue.commit(row.call, row.number)
            self._pump()

    def offer(self, event: Event, leg: str) -> None:
        """Takes a partial: sent at once, or dropped."""
        if self.disabled:
            return
        expires = self._loop.time() + self._partial_seconds
        self._drop_partials(lambda: self._queue.offer(event.call.id, leg, event, expires))
        self._pump()

    def finish(self, call: str, leg: str) -> None:
        """The utterance of a leg is over: a partial of it that still waits is dropped."""
        self._drop_partials(lambda: self._queue.forget_partial(call, leg))

    def settled(self, until: float) -> bool:
        """Says whether nothing more will be sent until then, on the loop's clock, unless something new comes."""
        if self.disabled:
            return not self._requests
        readable = self._outbox.error is None
        if self._requests or (readable and self._backlog):
            return False
        down = self._health.state is State.DOWN and self._health.probe_at > until
        return down or self._queue.settled(until)

    def replay(self, call: str, number: int) -> None:
        """Sends an event again that a person asked for; it is pending on disk again."""
        if self.disabled or self._queue.holds(call, number) or self._backlog.holds(number):
            return
        self._queue.restore(call, number, 0, self._loop.time())
        self._pump()

    async def stop(self) -> None:
        """Ends the requests in flight; what they carried is sent again after the next start."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        await self._backlog.stop()
        for task in self._requests:
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        await self._outlet.close()
        if self._loose:
            self._log.error("events that were never on disk are lost", events=len(self._loose))

    def catch_up(self) -> None:
        """Takes events from disk into the index, when there are any and there is room."""
        self._backlog.read_on()

    def _pump(self) -> None:
        if self._stopped or self.disabled:
            return
        before = self._queue.expired
        now = self._loop.time()
        while work := self._next(now):
            task = self._loop.create_task(self._send(work))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)
        for _ in range(self._queue.expired - before):
            self._drop("transcript.partial", "expired")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake = self._queue.wake_at()
        if self._health.state is State.DOWN and self._queue.waiting and not self._queue.in_flight:
            wake = max(self._health.probe_at, now)
        if wake is not None:
            self._timer = self._loop.call_at(wake, self._pump)

    def _next(self, now: float) -> Work[Event] | None:
        if self._queue.in_flight >= self._health.room(now):
            return None
        return self._queue.early(now) if self._health.state is State.DOWN else self._queue.next(now)

    async def _send(self, work: Work[Event]) -> None:
        try:
            if work.partial is not None:
                await self._send_partial(work.partial)
                self._queue.delivered(work.call)
            else:
                await self._send_durable(work)
        except Exception:
            # a fault of ours must not silence the call for good
            self._log.exception("delivering failed", call=work.call)
            self._queue.retry(work.call, self._loop.time() + UNREADABLE_SECONDS, counted=False)
        self._pump()
        if self._queue.waiting <= self._index_limit // 2:
            self.catch_up()

    async def _send_partial(self, event: Event) -> None:
        limit = min(self._endpoint.timeout_seconds, self._partial_seconds)
        outcome = await self._outlet.send(Message(event.id, event.call.id, event.type, event.wire()), limit)
        self._tell(event.type, outcome)
        if outcome.result == "delivered":
            self._succeeded()
            self._observer.delivered(self.name, event, self._clock())
        elif outcome.result == "gone":
            self._disable()
        else:
            self._drop(event.type, "failed")

    async def _send_durable(self, work: Work[Event]) -> None:
        try:
            found = self._held.get(work.number) or await self._fetch(work)
        except OutboxError:
            self._queue.retry(work.call, self._loop.time() + UNREADABLE_SECONDS, counted=False)
            return
        if found is None:
            self._log.error("an event is not in the outbox any more", call=work.call, number=work.number)
            self._drop("", "lost")
            self._queue.delivered(work.call)
            return
        row, event = found
        message = Message(row.id, row.call, row.type, row.body)
        outcome = await self._outlet.send(message, self._endpoint.timeout_seconds)
        self._tell(row.type, outcome)
        attempts = work.attempts + 1
        self._observer.tried(self.name, message, attempts, outcome)
        if outcome.result == "delivered":
            self._outbox.delivered(row.number, self.name, attempts, self._clock())
            self._close(work)
            self._succeeded()
            if event := event or parsed(row):
                self._observer.delivered(self.name, event, self._clock())
        elif outcome.result == "gone":
            self._outbox.retry(row.number, self.name, attempts, self._clock())
            self._queue.retry(work.call, self._loop.time())
            self._disable()
        else:
            self._failed(work, row, outcome, attempts)
            if row.number not in self._loose and len(self._held) > BODIES_LIMIT // 2:
                # room for events that can go now
                self._held.pop(row.number, None)

    def _succeeded(self) -> None:
        if self._health.success():
            self._log.info("the endpoint is back", waiting=self._queue.waiting)
            self._queue.release()

    def _failed(self, work: Work[Event], row: Row, outcome: Outcome, attempts: int) -> None:
        now, draw = self._loop.time(), random.random()  # noqa: S311
        fell = self._health.failure(work.call, now, draw, outcome.retry_after)
        if self._health.state is State.DOWN:
            wait = retry.wait(self._endpoint.retry_seconds[-1:] or [60.0], 1, draw, outcome.retry_after) or 0.0
            self._queue.retry(work.call, now + wait, counted=False, firm=outcome.retry_after is not None)
            if fell:
                self._log.error("the endpoint is down; it is tried now and then", reason=outcome.text)
            self._expire()
            return
        wait_or_never = retry.wait(self._endpoint.retry_seconds, attempts, draw, outcome.retry_after)
        report = self._log.bind(event=row.id, call=row.call, type=row.type, attempts=attempts, reason=outcome.text)
        if wait_or_never is None or (work.after_dead and attempts >= AFTER_DEAD):
            report.error("an event is a dead letter")
            self._outbox.dead(row.number, self.name, attempts, self._clock())
            self._close(work, dead=True)
            self._observer.dead_letter(self.name, row.type)
        else:
            report.warning("an event was not taken; it is sent again", seconds=round(wait_or_never, 3))
            self._outbox.retry(row.number, self.name, attempts, self._clock() + wait_or_never)
            self._queue.retry(work.call, now + wait_or_never, firm=outcome.retry_after is not None)

    def _expire(self) -> None:
        """Makes dead letters of what has waited for the endpoint for as long as a whole schedule."""
        wall = self._clock()
        gone = self._queue.expire(int((wall - sum(self._endpoint.retry_seconds)) * 1e6))
        for number in gone:
            held = self._held.pop(number, None)
            self._loose.discard(number)
            self._outbox.dead(number, self.name, 0, wall)
            self._observer.dead_letter(self.name, held[0].type if held else "")
        if gone:
            self._log.error("events are dead letters: the endpoint was down for too long", events=len(gone))

    async def _fetch(self, work: Work[Event]) -> tuple[Row, Event | None] | None:
        rows = await self._outbox.events(self._queue.upcoming(work.call, PREFETCH))
        for row in rows:
            if row.number == work.number or len(self._held) < BODIES_LIMIT:
                self._held.setdefault(row.number, (row, None))
        return self._held.get(work.number)

    def _close(self, work: Work[Event], *, dead: bool = False) -> None:
        self._held.pop(work.number, None)
        self._loose.discard(work.number)
        self._queue.delivered(work.call, dead=dead)

    def _disable(self) -> None:
        if self.disabled:
            return
        self.disabled = True
        self._log.error(
            "the endpoint answered 410 Gone: it gets nothing until the gateway is started again", waiting=self.waiting
        )
        for number in self._loose:
            self._drop(self._held[number][0].type, "disabled")
        self._queue.clear()
        self._held.clear()
        self._loose.clear()
        self._backlog.clear()
        self._observer.disabled(self.name)

    def _tell(self, event_type: str, outcome: Outcome) -> None:
        self._observer.attempted(self.name, event_type, outcome.result, outcome.seconds, outcome.status)

    def _drop(self, event_type: str, reason: Dropped) -> None:
        self._observer.dropped(self.name, event_type, reason)

    def _drop_partials(self, change: Callable[[], None]) -> None:
        before = self._queue.superseded
        change()
        for _ in range(self._queue.superseded - before):
            self._drop("transcript.partial", "superseded")


def parsed(row: Row) -> Event | None:
    """Reads a stored event; None for one that an earlier version stored in another shape."""
    try:
        return Event.from_wire(row.body)
    except ValueError:
        return None
