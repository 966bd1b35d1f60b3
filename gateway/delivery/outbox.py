"""The durable outbox: events are on disk before they are sent, and stay until every endpoint is done with them.

A thread of its own (``writer.py``) owns the SQLite file. A mark (what became of a delivery) that a crash swallows means
that an event is sent again, never that it is lost.

When the file cannot be written (full disk, lock, damage, a disk that hangs) the outbox says so once, refuses events at
once instead of holding them up, and tries the file again every second. A damaged file is moved aside under a name with
the time, and a new one begun.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

from gateway.delivery.lock import FileLock
from gateway.delivery.store import DEAD, DELIVERED, PENDING, Mark, OutboxError, Pending, Row, Store
from gateway.delivery.upkeep import Done, Upkeep
from gateway.delivery.writer import Writer
from gateway.events import Event

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Outbox:
    """The outbox of one gateway; used from one event loop.

    The queue to the writer holds 10,000 events; its policy when full is *refuse the newest*: the event's future fails
    at once, and whoever sends it does so without the safety of the disk.

    Args:
        path: The SQLite file.
        keep_days: How long an event is kept, once no endpoint waits for it.
        keep_bytes: How much the file may hold. Beyond it the oldest events go, whether or not somebody waits for them;
            looked at once a minute.
        busy_seconds: How long another process' lock on the file is waited for.
        probe_seconds: How often a file that failed is tried again.
        stall_seconds: A commit that takes longer has failed; its events are on disk if it ends well after all.
        clock: Seconds since the epoch.

    Attributes:
        on_state: Called on the event loop with whether the file can be written and a text, whenever that changes.
        on_replay: Called on the event loop with number, call and endpoint of each delivery that a person asked for.
        refused: Events that were not written.
        evicted: Events removed for want of room while somebody still waited for them.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_days: float = 7.0,
        keep_bytes: int = 1 << 40,
        busy_seconds: float = 2.0,
        probe_seconds: float = 1.0,
        stall_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._clock = clock
        self._lock: FileLock | None = None
        self._stall_seconds = stall_seconds
        self._patience = busy_seconds + stall_seconds
        self._upkeep = Upkeep(keep_days * 86400, keep_bytes, clock)
        self._writer = Writer(path, self, self._upkeep, busy_seconds=busy_seconds, probe_seconds=probe_seconds)
        self._started = False
        self._unresolved: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._watching = False
        self.on_state: Callable[[bool, str], None] = lambda _ok, _text: None
        self.on_replay: Callable[[list[tuple[int, str, str]]], None] = lambda _taken: None
        self.refused = 0
        self.evicted = 0

    @property
    def newest(self) -> int:
        """The highest number given so far, those of earlier runs included."""
        return self._writer.newest

    @property
    def error(self) -> str | None:
        """Why the file cannot be written now; None when it can."""
        return self._writer.error

    @property
    def committed(self) -> int:
        """Events written."""
        return self._writer.committed

    @property
    def commits(self) -> int:
        """Transactions in which they were."""
        return self._writer.commits

    @property
    def marks_lost(self) -> int:
        """Marks given up because the file could not be written for too long."""
        return self._writer.marks_lost

    async def start(self, endpoints: Sequence[str]) -> None:
        """Opens the file. A file that cannot be opened is no error here: ``on_state`` tells, and it is tried again.

        Args:
            endpoints: Names of the endpoints that events are kept for.

        Raises:
            LockedError: Another gateway uses the file.
        """
        self._loop = asyncio.get_running_loop()
        with suppress(OSError):  # a folder that is not there is the file's trouble, and told as such
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self._path)
        self._upkeep.endpoints = tuple(endpoints)
        self._started = True
        done, _ = await asyncio.wait([self._writer.start()], timeout=self._patience)
        if not done:
            self._degrade(f"{self._path}: opening it takes longer than {self._stall_seconds:g} s")

    def append(self, event: Event, endpoints: Sequence[str]) -> tuple[Row, asyncio.Future[None]]:
        """Takes a durable event; never waits.

        Args:
            event: The event. Events are stored in the order of these calls.
            endpoints: Names of those who are to receive it.

        Returns:
            The event as stored, with its number, and a future that is done when it is on disk or fails with
            ``OutboxError`` when it is not.
        """
        number = self._writer.number(int(self._clock() * 1e6))
        row = Row(number, event.id, event.call.id, event.seq, event.type, event.wire(), tuple(endpoints))
        future: asyncio.Future[None] = self._loop.create_future()
        refusal = self._writer.append(row, future)
        if refusal is None:
            self._unresolved.append((self._loop.time(), future))
            self._watch()
        else:
            self.refused += 1
            future.set_exception(OutboxError(refusal))
        return row, future

    def delivered(self, number: int, endpoint: str, attempts: int, now: float) -> None:
        """Notes that an endpoint has acknowledged an event.

        Args:
            number: The event.
            endpoint: The endpoint's name.
            attempts: How many it took.
            now: Seconds since the epoch.
        """
        self._writer.mark(number, endpoint, Mark(DELIVERED, attempts, now))

    def dead(self, number: int, endpoint: str, attempts: int, now: float) -> None:
        """Notes that an event is a dead letter for this endpoint; the arguments are those of ``delivered``."""
        self._writer.mark(number, endpoint, Mark(DEAD, attempts, now))

    def retry(self, number: int, endpoint: str, attempts: int, due: float) -> None:
        """Notes a failed attempt.

        Args:
            number: The event.
            endpoint: The endpoint's name.
            attempts: How many there were.
            due: When the next one is, seconds since the epoch.
        """
        self._writer.mark(number, endpoint, Mark(PENDING, attempts, due))

    async def pending(self, endpoint: str, after: int, upto: int, limit: int) -> list[Pending]:
        """Returns what an endpoint has not acknowledged, oldest first, with ``after < number <= upto``.

        Raises:
            OutboxError: The file cannot be read.
        """
        return await self._read(lambda store: store.pending(endpoint, after, upto, limit))

    async def events(self, numbers: Sequence[int]) -> list[Row]:
        """Returns the events with these numbers, as far as they are stored, in order.

        Raises:
            OutboxError: The file cannot be read.
        """
        return await self._read(lambda store: store.events(numbers))

    async def unfinished(self, before: int) -> list[str]:
        """Returns the calls that have begun before an event number and have no ``call.transcript.completed``.

        Raises:
            OutboxError: The file cannot be read.
        """
        return await self._read(lambda store: store.unfinished(before))

    async def call_events(self, call: str) -> list[Row]:
        """Returns the stored events of a call, by ``seq``.

        Raises:
            OutboxError: The file cannot be read.
        """
        return await self._read(lambda store: store.call_events(call))

    async def states(self) -> dict[tuple[str, int], int]:
        """Counts deliveries by endpoint and state (``PENDING``, ``DELIVERED``, ``DEAD``).

        Raises:
            OutboxError: The file cannot be read.
        """
        return await self._read(lambda store: store.states())

    async def flush(self) -> None:
        """Waits until everything that was given so far is on disk.

        Raises:
            OutboxError: It cannot be written.
        """
        await self._read(lambda _store: None)

    async def stop(self) -> None:
        """Writes what is left and closes the file."""
        if not self._started:
            return
        self._started = False
        lock, self._lock = self._lock, None
        if not await asyncio.to_thread(self._writer.stop, self._stall_seconds):
            self.on_state(False, f"{self._path}: closing it takes longer than {self._stall_seconds:g} s")
        elif lock is not None:
            lock.release()
        text = "the outbox is stopped"
        self._writer.degrade(text)
        self.fail([future for _, future in self._unresolved], text)

    async def _read(self, query: Callable[[Store], T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.read(query, future)
        try:
            return await asyncio.wait_for(future, self._patience)
        except TimeoutError:
            raise OutboxError(f"{self._path}: reading takes too long") from None

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.call_later(self._stall_seconds, self._check)

    def _check(self) -> None:
        """Gives up on a commit that hangs."""
        self._watching = False
        while self._unresolved and self._unresolved[0][1].done():
            self._unresolved.popleft()
        if not self._unresolved:
            return
        if self._loop.time() - self._unresolved[0][0] >= self._patience:
            self._degrade(f"{self._path}: a commit takes longer than {self._stall_seconds:g} s")
        else:
            self._watch()

    def _degrade(self, text: str) -> None:
        was_well = self._writer.degrade(text)
        self.fail([future for _, future in self._unresolved], text)
        self._unresolved.clear()
        if was_well:
            self.on_state(False, text)

    # What the writer tells, on the event loop.

    def resolve(self, futures: Sequence[asyncio.Future[None]]) -> None:
        """These are on disk."""
        for future in futures:
            if not future.done():
                future.set_result(None)
        while self._unresolved and self._unresolved[0][1].done():
            self._unresolved.popleft()

    def fail(self, futures: Sequence[asyncio.Future[None]], text: str) -> None:
        """These are not, for this reason."""
        for future in futures:
            if not future.done():
                self.refused += 1
                future.set_exception(OutboxError(text))

    def state(self, ok: bool, text: str) -> None:
        """Whether the file can be written has changed."""
        self.on_state(ok, text)

    def kept_up(self, done: Done) -> None:
        """A round of upkeep did something."""
        self.evicted += done.evicted
        if done.evicted:
            log.error(
                "the outbox is full; its oldest events were removed", file=str(self._path), undelivered=done.evicted
            )
        if done.replayed:
            self.on_replay(done.replayed)
