"""The way of an event to its consumers: durable ones by the outbox, partials straight, in order for each call."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from gateway.delivery.observer import Guarded, Observer
from gateway.delivery.outbox import Outbox
from gateway.delivery.settings import Delivery
from gateway.delivery.store import Row
from gateway.delivery.worker import Worker, parsed
from gateway.events import Event, TranscriptFinal, TranscriptPartial, TranscriptRefined
from gateway.transcripts.interrupted import conclude

FINISHED_LIMIT: Final = 10_000
POLL_SECONDS: Final = 0.01

log = structlog.get_logger(__name__)


class Deliverer:
    """Publishes events to all endpoints.

    For each endpoint the durable events of a call go in the order in which they were published, one at a time; only a
    2xx answer lets the next one go. Calls go side by side and do not wait for each other, nor do endpoints. A partial
    is sent only when nothing durable of its call waits before it, at most once, and never after the final of its
    utterance was published.

    Args:
        outbox: The outbox, not started yet; the deliverer starts and stops it.
        settings: Endpoints and limits.
        observer: Told of what happens.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: Delivery,
        observer: Observer | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox = outbox
        self._observer = Guarded(observer or Observer())
        self._workers = [
            Worker(endpoint, outbox, self._observer, partial_seconds=settings.partial_seconds, clock=clock)
            for endpoint in settings.outlets
        ]
        self._finished: OrderedDict[tuple[str, str], int] = OrderedDict()

    @property
    def waiting(self) -> dict[str, int]:
        """By endpoint, the durable events that are known to wait for it."""
        return {worker.name: worker.waiting for worker in self._workers}

    async def start(self) -> None:
        """Opens the outbox and takes up what earlier runs did not deliver.

        An outbox that cannot be opened stops nothing: events are then delivered from memory until it can.

        Raises:
            LockedError: Another gateway uses the file.
        """
        self._loop = asyncio.get_running_loop()
        self._outbox.on_state = self._on_state
        self._outbox.on_replay = self._on_replay
        await self._outbox.start([worker.name for worker in self._workers])
        await asyncio.gather(*(worker.start() for worker in self._workers))

    async def conclude_interrupted(self, before: float) -> int:
        """Ends the calls in whose midst an earlier run of the gateway stopped; their last events are published.

        Args:
            before: When this run began, seconds since the epoch: calls that began later are not looked at.

        Returns:
            How many calls there were.

        Raises:
            OutboxError: The file cannot be read now.
        """
        calls = await self._outbox.unfinished(int(before * 1e6))
        for call in calls:
            known = [event for row in await self._outbox.call_events(call) if (event := parsed(row)) is not None]
            for event in conclude(known, datetime.now(UTC)) if known else ():
                self.publish(event)
        return len(calls)

    def publish(self, event: Event) -> None:
        """Takes an event; never waits. To be called on the event loop, in the order of ``seq`` for each call."""
        workers = [worker for worker in self._workers if worker.wants(event.type)]
        if isinstance(event.data, TranscriptPartial):
            place = (event.call.id, event.data.leg)
            if event.data.utterance > self._finished.get(place, 0):
                for worker in workers:
                    worker.offer(event, event.data.leg)
            return
        if isinstance(event.data, TranscriptFinal | TranscriptRefined):
            self._finish(event.call.id, event.data.leg, event.data.utterance)
        row, written = self._outbox.append(event, [worker.name for worker in workers])
        for worker in workers:
            worker.add(row)
        written.add_done_callback(lambda future: self._written(future, row, event, workers))

    async def flush(self, seconds: float) -> int:
        """Waits until everything published so far is delivered, or cannot be in time.

        Args:
            seconds: The longest wait; an event whose next attempt is later is not waited for.

        Returns:
            Durable events that are not delivered yet; they stay in the outbox.
        """
        until = self._loop.time() + seconds
        # polled, for only a shutdown waits here, and every part of every worker would have to tell of its changes
        while self._loop.time() < until and not all(worker.settled(until) for worker in self._workers):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        return sum(worker.waiting for worker in self._workers)

    async def stop(self) -> None:
        """Ends the requests in flight and closes the outbox. What was not delivered is sent after the next start."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await self._outbox.stop()

    def _finish(self, call: str, leg: str, utterance: int) -> None:
        self._finished[call, leg] = max(utterance, self._finished.pop((call, leg), 0))
        if len(self._finished) > FINISHED_LIMIT:
            self._finished.popitem(last=False)
        for worker in self._workers:
            worker.finish(call, leg)

    def _written(self, future: asyncio.Future[None], row: Row, event: Event, workers: list[Worker]) -> None:
        if future.cancelled():
            return
        if future.exception() is None:
            for worker in workers:
                worker.commit(row, event)
            return
        self._observer.undurable(event.type)
        for worker in workers:
            worker.keep(row, event)

    def _on_replay(self, taken: list[tuple[int, str, str]]) -> None:
        workers = {worker.name: worker for worker in self._workers}
        log.info("events are sent again because somebody asked for it", events=len(taken))
        for number, call, endpoint in taken:
            workers[endpoint].replay(call, number)

    def _on_state(self, ok: bool, text: str) -> None:
        if ok:
            log.info("the outbox is open", state=text)
            for worker in self._workers:
                worker.catch_up()
        else:
            log.error("the outbox cannot be written; events are delivered from memory", error=text)
        self._observer.storage(ok, text)
