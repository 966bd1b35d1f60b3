"""The durable outbox: events are on disk before they are sent, and stay until every endpoint is done with them.

One thread owns the SQLite file and commits in groups: whatever gathered while one commit was under way goes into the
next. Marks (what became of a delivery) ride along, or are written 50 ms later by themselves; one that a crash swallows
means that an event is sent again, never that it is lost.

When the file cannot be written (full disk, lock, damage, a disk that hangs) the outbox says so once, refuses events at
once instead of holding them up, and tries the file again every second. A damaged file is moved aside under a name with
the time, and a new one begun.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from gateway.delivery.lock import FileLock
from gateway.delivery.store import DEAD, DELIVERED, PENDING, Mark, OutboxError, Pending, Row, Store, damaged
from gateway.events import Event

APPENDS_LIMIT: Final = 10_000
BATCH: Final = 512
MARKS_LIMIT: Final = 100_000
MARK_SECONDS: Final = 0.05
SWEEP_SECONDS: Final = 60.0
SWEEP_ROWS: Final = 500
REPLAY_SECONDS: Final = 1.0
REPLAY_ROWS: Final = 1000

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Batch:
    rows: list[tuple[Row, asyncio.Future[None]]]
    marks: dict[tuple[int, str], Mark]
    reads: list[tuple[Callable[[Store], Any], asyncio.Future[Any]]]


class Outbox:
    """The outbox of one gateway; used from one event loop.

    The queue to the writer holds ``APPENDS_LIMIT`` events; its policy when full is *refuse the newest*: the event's
    future fails at once, and whoever sends it does so without the safety of the disk.

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
        committed: Events written.
        commits: Transactions in which they were.
        refused: Events that were not written.
        marks_lost: Marks given up because the file could not be written for too long.
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
        self._keep_bytes = keep_bytes
        self._keep_seconds = keep_days * 86400
        self._busy_seconds = busy_seconds
        self._probe_seconds = probe_seconds
        self._stall_seconds = stall_seconds
        self._endpoints: tuple[str, ...] = ()
        self._changed = threading.Condition()
        self._rows: deque[tuple[Row, asyncio.Future[None]]] = deque()
        self._marks: dict[tuple[int, str], Mark] = {}
        self._reads: deque[tuple[Callable[[Store], Any], asyncio.Future[Any]]] = deque()
        self._error: str | None = "the outbox is not started"
        self._stopping = False
        self._newest = 0
        self._unresolved: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._watching = False
        self._thread: threading.Thread | None = None
        self.on_state: Callable[[bool, str], None] = lambda _ok, _text: None
        self.on_replay: Callable[[list[tuple[int, str, str]]], None] = lambda _taken: None
        self.committed = 0
        self.commits = 0
        self.refused = 0
        self.marks_lost = 0
        self.evicted = 0

    @property
    def newest(self) -> int:
        """The highest number given so far, those of earlier runs included."""
        return self._newest

    @property
    def error(self) -> str | None:
        """Why the file cannot be written now; None when it can."""
        return self._error

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
        self._endpoints = tuple(endpoints)
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="outbox", daemon=True)
        self._thread.start()
        done, _ = await asyncio.wait([opened], timeout=self._stall_seconds + self._busy_seconds)
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
        with self._changed:
            self._newest = number = max(self._newest + 1, int(self._clock() * 1e6))
        row = Row(number, event.id, event.call.id, event.seq, event.type, event.wire(), tuple(endpoints))
        future: asyncio.Future[None] = self._loop.create_future()
        with self._changed:
            refusal = self._error
            if refusal is None and len(self._rows) >= APPENDS_LIMIT:
                refusal = f"{APPENDS_LIMIT} events wait for the disk"
            if refusal is None:
                self._rows.append((row, future))
                self._changed.notify()
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
        self._mark(number, endpoint, Mark(DELIVERED, attempts, now))

    def dead(self, number: int, endpoint: str, attempts: int, now: float) -> None:
        """Notes that an event is a dead letter for this endpoint; the arguments are those of ``delivered``."""
        self._mark(number, endpoint, Mark(DEAD, attempts, now))

    def retry(self, number: int, endpoint: str, attempts: int, due: float) -> None:
        """Notes a failed attempt.

        Args:
            number: The event.
            endpoint: The endpoint's name.
            attempts: How many there were.
            due: When the next one is, seconds since the epoch.
        """
        self._mark(number, endpoint, Mark(PENDING, attempts, due))

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
        if self._thread is None:
            return
        lock, self._lock = self._lock, None
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join, self._stall_seconds)
        if self._thread.is_alive():
            self.on_state(False, f"{self._path}: closing it takes longer than {self._stall_seconds:g} s")
        elif lock is not None:
            lock.release()
        self._thread = None
        self._error = "the outbox is stopped"
        self._fail([future for _, future in self._unresolved], self._error)

    def _mark(self, number: int, endpoint: str, mark: Mark) -> None:
        with self._changed:
            if len(self._marks) >= MARKS_LIMIT and (number, endpoint) not in self._marks:
                self.marks_lost += 1
                return
            self._marks[number, endpoint] = mark
            if len(self._marks) == 1:
                self._changed.notify()

    async def _read(self, query: Callable[[Store], T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        with self._changed:
            if self._error is not None:
                raise OutboxError(self._error)
            self._reads.append((query, future))
            self._changed.notify()
        try:
            return await asyncio.wait_for(future, self._busy_seconds + self._stall_seconds)
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
        if self._loop.time() - self._unresolved[0][0] >= self._stall_seconds + self._busy_seconds:
            self._degrade(f"{self._path}: a commit takes longer than {self._stall_seconds:g} s")
        else:
            self._watch()

    def _degrade(self, text: str) -> None:
        with self._changed:
            was = self._error
            self._error = text
        self._fail([future for _, future in self._unresolved], text)
        self._unresolved.clear()
        if was is None:
            self.on_state(False, text)

    def _fail(self, futures: Sequence[asyncio.Future[None]], text: str) -> None:
        for future in futures:
            if not future.done():
                self.refused += 1
                future.set_exception(OutboxError(text))

    # What follows runs in the writer's thread.

    def _run(self, opened: asyncio.Future[None]) -> None:
        store = self._reopen()
        self._tell(self._resolve, [opened])
        sweep_at = replay_at = time.monotonic()
        seen = -1
        probe_at = time.monotonic() + self._probe_seconds
        while True:
            if store is None:
                with self._changed:
                    if self._stopping:
                        break
                    self._changed.wait(max(0.0, probe_at - time.monotonic()))
                if time.monotonic() >= probe_at:
                    store = self._reopen()
                    probe_at = time.monotonic() + self._probe_seconds
                continue
            batch = self._take(min(sweep_at, replay_at))
            if batch is None:
                break
            try:
                self._write(store, batch)
                if time.monotonic() >= sweep_at:
                    more = self._sweep(store)
                    sweep_at = time.monotonic() + (0 if more else SWEEP_SECONDS)
                if time.monotonic() >= replay_at:
                    seen = self._replay(store, seen)
                    replay_at = time.monotonic() + REPLAY_SECONDS
            except (sqlite3.Error, OSError) as error:
                store = self._failed(store, batch, error)
                probe_at = time.monotonic() + self._probe_seconds
        if store is not None:
            store.close()

    def _take(self, wake_at: float) -> _Batch | None:
        """Waits for something to do; None when stopping and nothing is left."""
        with self._changed:
            mark_at: float | None = None
            while not (self._rows or self._reads):
                now = time.monotonic()
                if self._stopping:
                    if not self._marks:
                        return None
                    break
                if self._marks and mark_at is None:
                    mark_at = now + MARK_SECONDS
                wake = wake_at if mark_at is None else min(mark_at, wake_at)
                if wake <= now:
                    break
                self._changed.wait(wake - now)
            rows = [self._rows.popleft() for _ in range(min(BATCH, len(self._rows)))]
            batch = _Batch(rows, self._marks, [])
            self._marks = {}
            if not self._rows:
                # a reader sees everything that was appended before it asked
                batch.reads.extend(self._reads)
                self._reads.clear()
            return batch

    def _write(self, store: Store, batch: _Batch) -> None:
        if batch.rows or batch.marks:
            store.commit([row for row, _ in batch.rows], [(*key, mark) for key, mark in batch.marks.items()])
            batch.marks = {}
        if batch.rows:
            self.commits += 1
            self.committed += len(batch.rows)
            self._tell(self._resolve, [future for _, future in batch.rows])
            batch.rows = []
        while batch.reads:
            query, future = batch.reads[0]
            self._tell(self._answer, future, query(store))
            batch.reads.pop(0)
        if self._error is not None:
            # a commit that had been given up on came to its end
            self._recover()

    def _sweep(self, store: Store) -> bool:
        """Removes some of what need not be kept; returns whether there may be more."""
        if store.sweep(self._clock() - self._keep_seconds, self._endpoints, SWEEP_ROWS) == SWEEP_ROWS:
            return True
        if store.used() <= self._keep_bytes:
            return False
        # too large: what is delivered goes first, then the oldest of what waits
        if not store.sweep(self._clock(), self._endpoints, SWEEP_ROWS):
            lost = store.evict(SWEEP_ROWS)
            self.evicted += lost
            self._tell(self._log_evicted, lost)
        return True

    def _replay(self, store: Store, seen: int) -> int:
        """Takes up what a person asked to be sent again, where somebody else has written to the file since."""
        version = store.changed_elsewhere()
        if version != seen:
            taken = store.take_replays(self._endpoints, REPLAY_ROWS)
            if taken:
                self._tell(self._replayed, taken)
            if len(taken) == REPLAY_ROWS:
                return -1
        return version

    def _failed(self, store: Store, batch: _Batch, error: Exception) -> Store | None:
        """Refuses everything that waits, keeps the marks, and opens the file anew where that helps."""
        text = f"{self._path}: {error}"
        store.close()
        with self._changed:
            told = self._error is not None
            self._error = text
            rows = [future for _, future in (*batch.rows, *self._rows)]
            reads = [future for _, future in (*batch.reads, *self._reads)]
            self._rows.clear()
            self._reads.clear()
            self._marks = {**batch.marks, **self._marks}
        self._tell(self._fail, rows, text)
        self._tell(self._fail_reads, reads, text)
        if not told:
            self._tell(self._state, False, text)
        return self._reopen(replace=True) if damaged(error) else None

    def _reopen(self, *, replace: bool = False) -> Store | None:
        store = None
        try:
            store = Store(self._path, self._busy_seconds, replace=replace)
            store.probe()
            newest = store.newest()
        except (OutboxError, sqlite3.Error) as error:
            self._report(f"{self._path}: {error}")
            if store is not None:
                store.close()
            return self._reopen(replace=True) if damaged(error) and not replace else None
        if store.set_aside is not None:
            self._report(f"{self._path}: damaged, and moved to {store.set_aside.name}; what waited in it is not sent")
        with self._changed:
            self._newest = max(self._newest, newest)
        self._recover()
        return store

    def _report(self, text: str) -> None:
        with self._changed:
            if self._error == text:
                return
            self._error = text
        self._tell(self._state, False, text)

    def _recover(self) -> None:
        with self._changed:
            self._error = None
        self._tell(self._state, True, f"{self._path}: open")

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        # the loop may be closed already when a hanging disk comes back after stop()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    # On the event loop again.

    def _replayed(self, taken: list[tuple[int, str, str]]) -> None:
        self.on_replay(taken)

    def _log_evicted(self, lost: int) -> None:
        log.error("the outbox is full; its oldest events were removed", file=str(self._path), undelivered=lost)

    def _state(self, ok: bool, text: str) -> None:
        self.on_state(ok, text)

    def _answer(self, future: asyncio.Future[Any], value: Any) -> None:
        if not future.done():
            future.set_result(value)

    def _resolve(self, futures: Sequence[asyncio.Future[None]]) -> None:
        for future in futures:
            if not future.done():
                future.set_result(None)
        while self._unresolved and self._unresolved[0][1].done():
            self._unresolved.popleft()

    def _fail_reads(self, futures: Sequence[asyncio.Future[Any]], text: str) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(OutboxError(text))
