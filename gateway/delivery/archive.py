"""Looking into the outbox from outside, and asking for events to be sent again, while the gateway runs or not.

The file is the gateway's; whoever else opens it reads, and writes nothing but requests into the table ``replays``,
which the gateway takes up within a second or at its next start. A replayed event keeps its id, so that a consumer can
ignore what it has, and goes behind what waits for its call.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.delivery.store import DEAD, DELIVERED, MIGRATIONS, PENDING
from gateway.events import Event

STATES: Final = {"pending": PENDING, "delivered": DELIVERED, "dead": DEAD}
_NAMES: Final = {number: name for name, number in STATES.items()}


class ArchiveError(Exception):
    """The file cannot be read or written; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries are meant; what is None or empty chooses all.

    Attributes:
        ids: Event ids.
        call: A call's id.
        endpoint: An endpoint's name.
        state: ``pending``, ``delivered`` or ``dead``.
        type: An event type; ``*`` stands for anything.
        since: Events accepted at this time or later, seconds since the epoch.
        until: Events accepted before this time.
    """

    ids: tuple[str, ...] = ()
    call: str | None = None
    endpoint: str | None = None
    state: str | None = None
    type: str | None = None
    since: float | None = None
    until: float | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Returns the condition in SQL, and its arguments."""
        parts: list[str] = []
        arguments: list[Any] = []
        if self.ids:
            parts.append(f"id IN ({', '.join('?' * len(self.ids))})")
            arguments += self.ids
        for condition, value in (
            ("call = ?", self.call),
            ("endpoint = ?", self.endpoint),
            ("state = ?", None if self.state is None else STATES[self.state]),
            ("type GLOB ?", self.type),
            ("events.number >= ?", None if self.since is None else int(self.since * 1e6)),
            ("events.number < ?", None if self.until is None else int(self.until * 1e6)),
        ):
            if value is not None:
                parts.append(condition)
                arguments.append(value)
        return " AND ".join(parts) or "1", arguments


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event at one endpoint.

    Attributes:
        number: The event's place in the outbox: microseconds since the epoch when it was accepted.
        id: The event's id.
        call: Its call.
        seq: Its number in the call.
        type: Its type.
        endpoint: The endpoint; None where the event was for nobody.
        state: ``pending``, ``delivered``, ``dead``; None where the event was for nobody.
        attempts: Attempts so far.
        at: Seconds since the epoch: of the next attempt while pending, else of the last; 0 before the first.
    """

    number: int
    id: str
    call: str
    seq: int
    type: str
    endpoint: str | None
    state: str | None
    attempts: int
    at: float


class Archive:
    """The outbox file, opened by somebody who is not the gateway.

    Args:
        path: The file.
        busy_seconds: How long the gateway's own writing is waited for.

    Raises:
        ArchiveError: There is no such file, or it is no outbox of this version. Every method raises it where the file
            cannot be read or written now.
    """

    def __init__(self, path: Path, busy_seconds: float = 5.0) -> None:
        self._path = path
        if not path.exists():
            raise ArchiveError(f"{path}: no such file; the gateway makes it at its first start")
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=busy_seconds, isolation_level=None
            )
            version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error as error:
            raise ArchiveError(f"{path}: {error}") from error
        if version != len(MIGRATIONS):
            raise ArchiveError(
                f"{path}: has schema {version}, this version knows {len(MIGRATIONS)}; start the gateway of this version"
                " once, or use the command of the gateway that runs"
            )

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def deliveries(self, selection: Selection, limit: int = -1) -> Iterator[Delivery]:
        """Yields what is selected, oldest first.

        Args:
            selection: Which.
            limit: How many at most; -1 for all.
        """
        where, arguments = selection.where()
        query = (
            "SELECT events.number, id, call, seq, type, endpoint, state, coalesce(attempts, 0), coalesce(due, 0)"  # noqa: S608 (only question marks are put in)
            f" FROM events LEFT JOIN deliveries USING (number) WHERE {where} ORDER BY events.number, endpoint LIMIT ?"
        )
        for row in self._rows(query, [*arguments, limit]):
            number, event_id, call, seq, kind, endpoint, state, attempts, at = row
            yield Delivery(number, event_id, call, seq, kind, endpoint, _NAMES.get(state), attempts, at)

    def body(self, event_id: str) -> bytes | None:
        """Returns an event as consumers receive it; None when it is not, or no longer, stored."""
        row = next(self._rows("SELECT body FROM events WHERE id = ?", (event_id,)), None)
        return None if row is None else bytes(row[0])

    def call(self, call: str) -> list[Event]:
        """Returns the durable events of a call, by ``seq``."""
        rows = self._rows("SELECT body FROM events WHERE call = ? ORDER BY seq, number", (call,))
        return [Event.from_wire(body) for (body,) in rows]

    def oldest(self) -> dict[str, float]:
        """Returns by endpoint when the oldest event that waits for it was accepted (seconds since the epoch)."""
        query = "SELECT endpoint, min(number) FROM deliveries WHERE state = 0 GROUP BY endpoint"
        return {endpoint: number / 1e6 for endpoint, number in self._rows(query)}

    def replay(self, selection: Selection, endpoint: str | None = None) -> int:
        """Asks for events to be sent again.

        Args:
            selection: Which; of these, deliveries that are pending are left alone.
            endpoint: To whom; None for each endpoint that had them. An endpoint may be named that never had them.

        Returns:
            How many deliveries were asked for.
        """
        where, arguments = selection.where()
        if endpoint is None:
            what, condition = "deliveries.endpoint", "endpoint IS NOT NULL AND state != 0"
        else:
            what, condition = "?", "1"
        query = (
            f"INSERT OR IGNORE INTO replays (number, endpoint) SELECT DISTINCT events.number, {what}"  # noqa: S608 (likewise)
            f" FROM events LEFT JOIN deliveries USING (number) WHERE {condition} AND {where}"
        )
        try:
            return self._connection.execute(query, [*([endpoint] if endpoint else []), *arguments]).rowcount
        except sqlite3.Error as error:
            raise ArchiveError(f"the request cannot be written: {error}; try again") from error

    def _rows(self, query: str, arguments: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(query, arguments)
        except sqlite3.Error as error:
            raise ArchiveError(f"{self._path}: {error}") from error
