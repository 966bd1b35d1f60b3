"""The outbox on disk: an SQLite file in WAL mode, used by one thread.

Every commit is synchronous (``synchronous=FULL``: the WAL is flushed by fsync before the commit returns), so that what
was accepted survives the loss of power and not only of the process. Group commit pays for it once a batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PENDING: Final = 0
DELIVERED: Final = 1
DEAD: Final = 2

# each step leads from the version of its index to the next; a step that stands is never edited
MIGRATIONS: Final = (
    """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,  -- microseconds of the clock when accepted, made strictly increasing
        id TEXT NOT NULL,
        call TEXT NOT NULL,
        seq INTEGER NOT NULL,
        type TEXT NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX events_by_call ON events (call, seq);
    CREATE TABLE deliveries (
        number INTEGER NOT NULL REFERENCES events,
        endpoint TEXT NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,  -- 0 pending, 1 delivered, 2 dead letter
        attempts INTEGER NOT NULL DEFAULT 0,
        due REAL NOT NULL DEFAULT 0,  -- pending: when the next attempt is, seconds since the epoch; else when it ended
        PRIMARY KEY (number, endpoint)
    ) WITHOUT ROWID;
    CREATE INDEX deliveries_pending ON deliveries (endpoint, number) WHERE state = 0;
    """,
    """
    CREATE INDEX events_by_type ON events (type, call);
    CREATE TABLE replays (  -- what a person asked to be sent again, until the gateway takes it up
        number INTEGER NOT NULL,
        endpoint TEXT NOT NULL,
        PRIMARY KEY (number, endpoint)
    ) WITHOUT ROWID;
    """,
)

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class OutboxError(Exception):
    """The outbox cannot be written or read now; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it is stored.

    Attributes:
        number: Its place in the outbox; grows with every event.
        id: The event's id.
        call: The call's id.
        seq: Its number in the call.
        type: The event's type.
        body: The bytes that consumers receive.
        endpoints: Who is to receive it.
    """

    number: int
    id: str
    call: str
    seq: int
    type: str
    body: bytes
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one event at one endpoint.

    Attributes:
        state: ``PENDING``, ``DELIVERED`` or ``DEAD``.
        attempts: Attempts so far.
        due: Seconds since the epoch: of the next attempt while pending, else of the end.
    """

    state: int
    attempts: int
    due: float


@dataclass(frozen=True, slots=True)
class Pending:
    """An event that an endpoint has not acknowledged yet.

    Attributes:
        number: The event.
        call: Its call.
        attempts: Attempts so far.
        due: When the next may be, seconds since the epoch; 0 for at once.
    """

    number: int
    call: str
    attempts: int
    due: float


class Store:
    """An open outbox file; made and migrated when needed.

    Args:
        path: The file; its folder is made when missing.
        busy_seconds: How long another process' lock is waited for.
        replace: Whether the file is known to be damaged, and to be moved aside first.

    Attributes:
        set_aside: Where a damaged file was moved when this store was opened; None when there was none.

    Raises:
        OutboxError: The file cannot be opened, is locked, or was written by a newer version.
    """

    def __init__(self, path: Path, busy_seconds: float = 2.0, *, replace: bool = False) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self.set_aside: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if replace:
                self.set_aside = self._move_away()
            try:
                self._connection = self._open()
            except sqlite3.DatabaseError as error:
                if not damaged(error):
                    raise
                self.set_aside = self._move_away()
                self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(str(error)) from error

    def newest(self) -> int:
        """Returns the number of the newest event, 0 when there is none."""
        row = self._connection.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
        return int(row[0])

    def commit(self, rows: Iterable[Row], marks: Iterable[tuple[int, str, Mark]]) -> None:
        """Writes events and marks in one transaction; they are on disk when it returns.

        Args:
            rows: New events, in order.
            marks: Number of the event, endpoint, and what became of it there.

        Raises:
            sqlite3.Error: Nothing of it was written.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for row in rows:
                connection.execute(
                    "INSERT INTO events (number, id, call, seq, type, body) VALUES (?, ?, ?, ?, ?, ?)",
                    (row.number, row.id, row.call, row.seq, row.type, row.body),
                )
                for endpoint in row.endpoints:
                    connection.execute(
                        "INSERT INTO deliveries (number, endpoint) VALUES (?, ?)", (row.number, endpoint)
                    )
            connection.executemany(
                "UPDATE deliveries SET state = ?, attempts = ?, due = ? WHERE number = ? AND endpoint = ?",
                ((mark.state, mark.attempts, mark.due, number, endpoint) for number, endpoint, mark in marks),
            )
            connection.execute("COMMIT")
        except BaseException:
            # a full disk may have ended the transaction already
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def probe(self) -> None:
        """Writes a page that changes nothing, to learn whether writing works.

        Raises:
            sqlite3.Error: It does not.
        """
        self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def pending(self, endpoint: str, after: int, upto: int, limit: int) -> list[Pending]:
        """Returns the unacknowledged events of an endpoint with ``after < number <= upto``, oldest first."""
        return [
            Pending(*row)
            for row in self._connection.execute(
                "SELECT deliveries.number, call, attempts, due FROM deliveries JOIN events USING (number)"
                " WHERE endpoint = ? AND state = 0 AND deliveries.number > ? AND deliveries.number <= ?"
                " ORDER BY deliveries.number LIMIT ?",
                (endpoint, after, upto, limit),
            )
        ]

    def events(self, numbers: Sequence[int]) -> list[Row]:
        """Returns the events with these numbers, as far as they exist, in order."""
        query = (
            "SELECT number, id, call, seq, type, body FROM events"  # noqa: S608 (only question marks are put in)
            f" WHERE number IN ({', '.join('?' * len(numbers))}) ORDER BY number"
        )
        return [Row(*row) for row in self._connection.execute(query, list(numbers))]

    def unfinished(self, before: int) -> list[str]:
        """Returns the calls that have begun before an event number and have no ``call.transcript.completed``."""
        rows = self._connection.execute(
            "SELECT call FROM events AS begun WHERE type = 'call.started' AND number < ? AND NOT EXISTS"
            " (SELECT 1 FROM events WHERE type = 'call.transcript.completed' AND call = begun.call) ORDER BY number",
            (before,),
        )
        return [call for (call,) in rows]

    def call_events(self, call: str) -> list[Row]:
        """Returns the stored events of a call, by ``seq``."""
        return [
            Row(*row)
            for row in self._connection.execute(
                "SELECT number, id, call, seq, type, body FROM events WHERE call = ? ORDER BY seq, number", (call,)
            )
        ]

    def changed_elsewhere(self) -> int:
        """Returns a number that differs whenever another connection has written since."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def take_replays(self, endpoints: Sequence[str], limit: int) -> list[tuple[int, str, str]]:
        """Makes deliveries pending again that a person asked for.

        Args:
            endpoints: Those that are configured; requests for others are dropped.
            limit: How many at most.

        Returns:
            Number, call and endpoint of each, oldest first; not those that were pending anyway.
        """
        connection = self._connection
        wanted = connection.execute("SELECT number, endpoint FROM replays ORDER BY number LIMIT ?", (limit,)).fetchall()
        if not wanted:
            return []
        taken: list[tuple[int, str, str]] = []
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("DELETE FROM replays WHERE number = ? AND endpoint = ?", wanted)
            for number, endpoint in wanted:
                found = connection.execute("SELECT call FROM events WHERE number = ?", (number,)).fetchone()
                if found is None or endpoint not in endpoints:
                    continue
                changed = connection.execute(
                    "INSERT INTO deliveries (number, endpoint) VALUES (?, ?) ON CONFLICT (number, endpoint)"
                    " DO UPDATE SET state = 0, attempts = 0, due = 0 WHERE state != 0",
                    (number, endpoint),
                ).rowcount
                if changed:
                    taken.append((number, found[0], endpoint))
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return taken

    def states(self) -> dict[tuple[str, int], int]:
        """Counts deliveries by endpoint and state; reads the whole table."""
        return {
            (endpoint, state): count
            for endpoint, state, count in self._connection.execute(
                "SELECT endpoint, state, count(*) FROM deliveries GROUP BY endpoint, state"
            )
        }

    def sweep(self, before: float, endpoints: Sequence[str], limit: int) -> int:
        """Removes old events that none of these endpoints waits for.

        Args:
            before: Those accepted earlier than this, seconds since the epoch.
            endpoints: Endpoints whose pending events stay, however old; an endpoint that is not among them is one that
                was taken out of the configuration.
            limit: How many at most, so that nobody waits long.

        Returns:
            How many were removed.
        """
        keep = " OR ".join(["endpoint = ?"] * len(endpoints)) or "0"
        query = (
            "SELECT number FROM events WHERE number < ? AND NOT EXISTS (SELECT 1 FROM deliveries"  # noqa: S608 (likewise)
            f" WHERE deliveries.number = events.number AND state = 0 AND ({keep})) ORDER BY number LIMIT ?"
        )
        numbers = self._connection.execute(query, [int(before * 1e6), *endpoints, limit]).fetchall()
        self._remove(numbers)
        return len(numbers)

    def evict(self, limit: int) -> int:
        """Removes the oldest events, whoever waits for them: what is left to do when the file is too large.

        Args:
            limit: How many.

        Returns:
            How many of them were still to be delivered to somebody.
        """
        numbers = self._connection.execute("SELECT number FROM events ORDER BY number LIMIT ?", (limit,)).fetchall()
        if not numbers:
            return 0
        waiting = self._connection.execute(
            "SELECT count(DISTINCT number) FROM deliveries WHERE state = 0 AND number <= ?", numbers[-1]
        ).fetchone()[0]
        self._remove(numbers)
        return int(waiting)

    def used(self) -> int:
        """Returns the bytes in use in the file; pages that were freed are used again and do not count."""
        pages, free, size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _remove(self, numbers: Sequence[tuple[int]]) -> None:
        if not numbers:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("DELETE FROM deliveries WHERE number = ?", numbers)
            self._connection.executemany("DELETE FROM events WHERE number = ?", numbers)
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Closes the file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise OutboxError(
                f"written by a newer version (schema {version}, this one knows {len(MIGRATIONS)}); "
                "use that version, or another delivery.database"
            )
        for number in range(version, len(MIGRATIONS)):
            step = f"{MIGRATIONS[number]} PRAGMA user_version = {number + 1};"
            try:
                connection.executescript(f"BEGIN IMMEDIATE; {step} COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _move_away(self) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        target = self._path.with_name(f"{self._path.name}.damaged-{stamp}")
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(target.with_name(target.name + suffix))
        return target


def damaged(error: BaseException) -> bool:
    """Says whether the error means that the file is not, or no longer, a database."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
