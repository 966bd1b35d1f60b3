"""The thread that owns the outbox' file: it commits in groups, and opens the file anew when it fails.

Whatever gathers while one commit is under way goes into the next. Marks (what became of a delivery) ride along, or are
written 50 ms later by themselves.
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
from typing import Any, Final, Protocol

from gateway.delivery.store import Mark, OutboxError, Row, Store, damaged
from gateway.delivery.upkeep import Done, Upkeep

APPENDS_LIMIT: Final = 10_000
BATCH: Final = 512
MARKS_LIMIT: Final = 100_000
MARK_SECONDS: Final = 0.05


class Listener(Protocol):
    """Who is told what became of things; always on the event loop."""

    def resolve(self, futures: Sequence[asyncio.Future[None]]) -> None:
        """These are on disk."""

    def fail(self, futures: Sequence[asyncio.Future[None]], text: str) -> None:
        """These are not, for this reason."""

    def state(self, ok: bool, text: str) -> None:
        """Whether the file can be written has changed."""

    def kept_up(self, done: Done) -> None:
        """A round of upkeep did something."""


@dataclass(slots=True)
class _Batch:
    rows: list[tuple[Row, asyncio.Future[None]]]
    marks: dict[tuple[int, str], Mark]
    reads: list[tuple[Callable[[Store], Any], asyncio.Future[Any]]]


class Writer:
    """The thread and what waits for it.

    Args:
        path: The SQLite file.
        listener: Who is told.
        upkeep: What the file needs besides.
        busy_seconds: How long another process' lock on the file is waited for.
        probe_seconds: How often a file that failed is tried again.

    Attributes:
        newest: The highest number given so far, those of earlier runs included.
        error: Why the file cannot be written now; None when it can.
        committed: Events written.
        commits: Transactions in which they were.
        marks_lost: Marks given up because the file could not be written for too long.
    """

    def __init__(
        self, path: Path, listener: Listener, upkeep: Upkeep, *, busy_seconds: float, probe_seconds: float
    ) -> None:
        self._path = path
        self._listener = listener
        self._upkeep = upkeep
        self._busy_seconds = busy_seconds
        self._probe_seconds = probe_seconds
        self._changed = threading.Condition()
        self._rows: deque[tuple[Row, asyncio.Future[None]]] = deque()
        self._marks: dict[tuple[int, str], Mark] = {}
        self._reads: deque[tuple[Callable[[Store], Any], asyncio.Future[Any]]] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self.newest = 0
        self.error: str | None = f"{path}: not open yet"
        self.committed = 0
        self.commits = 0
        self.marks_lost = 0

    def start(self) -> asyncio.Future[None]:
        """Starts the thread.

        Returns:
            Done when the file was tried for the first time.
        """
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._thread.start()
        return self._opened

    def stop(self, seconds: float) -> bool:
        """Writes what is left and closes the file; waits for that, and says whether it was done in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def number(self, at_least: int) -> int:
        """Returns the next event's number."""
        with self._changed:
            self.newest = max(self.newest + 1, at_least)
            return self.newest

    def append(self, row: Row, future: asyncio.Future[None]) -> str | None:
        """Takes an event to write; returns why not, where it does not."""
        with self._changed:
            if self.error is not None:
                return self.error
            if len(self._rows) >= APPENDS_LIMIT:
                return f"{APPENDS_LIMIT} events wait for the disk"
            self._rows.append((row, future))
            self._changed.notify()
            return None

    def mark(self, number: int, endpoint: str, mark: Mark) -> None:
        """Takes a mark to write; of more than ``MARKS_LIMIT`` the newest are given up."""
        with self._changed:
            if len(self._marks) >= MARKS_LIMIT and (number, endpoint) not in self._marks:
                self.marks_lost += 1
                return
            self._marks[number, endpoint] = mark
            if len(self._marks) == 1:
                self._changed.notify()

    def read(self, query: Callable[[Store], Any], future: asyncio.Future[Any]) -> None:
        """Takes a query, whose answer sees everything that was appended before.

        Raises:
            OutboxError: The file cannot be read.
        """
        with self._changed:
            if self.error is not None:
                raise OutboxError(self.error)
            self._reads.append((query, future))
            self._changed.notify()

    def degrade(self, text: str) -> bool:
        """Gives the file up from outside, until it shows a sign of life; returns whether it was thought well so far."""
        with self._changed:
            was, self.error = self.error, text
        return was is None

    def _run(self) -> None:
        store = self._reopen()
        self._tell(self._listener.resolve, [self._opened])
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
            batch = self._take(self._upkeep.due)
            if batch is None:
                break
            try:
                self._write(store, batch)
                done = self._upkeep.run(store, time.monotonic())
            except (sqlite3.Error, OSError) as error:
                store = self._failed(store, batch, error)
                probe_at = time.monotonic() + self._probe_seconds
                continue
            if done.evicted or done.replayed:
                self._tell(self._listener.kept_up, done)
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
            self._tell(self._listener.resolve, [future for _, future in batch.rows])
            batch.rows = []
        while batch.reads:
            query, future = batch.reads[0]
            self._tell(_answer, future, query(store))
            batch.reads.pop(0)
        if self.error is not None:
            # a commit that had been given up on came to its end
            self._recover()

    def _failed(self, store: Store, batch: _Batch, error: Exception) -> Store | None:
        """Refuses everything that waits, keeps the marks, and opens the file anew where that helps."""
        text = f"{self._path}: {error}"
        store.close()
        with self._changed:
            told = self.error is not None
            self.error = text
            rows = [future for _, future in (*batch.rows, *self._rows)]
            reads = [future for _, future in (*batch.reads, *self._reads)]
            self._rows.clear()
            self._reads.clear()
            self._marks = {**batch.marks, **self._marks}
        self._tell(self._listener.fail, rows, text)
        self._tell(_refuse, reads, text)
        if not told:
            self._tell(self._listener.state, False, text)
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
            self.newest = max(self.newest, newest)
        self._recover()
        return store

    def _report(self, text: str) -> None:
        with self._changed:
            if self.error == text:
                return
            self.error = text
        self._tell(self._listener.state, False, text)

    def _recover(self) -> None:
        with self._changed:
            self.error = None
        self._tell(self._listener.state, True, f"{self._path}: open")

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        # the loop may be closed already when a hanging disk comes back after stop()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)


def _answer(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _refuse(futures: Sequence[asyncio.Future[Any]], text: str) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(OutboxError(text))
