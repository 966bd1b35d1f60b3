"""Calls that are over, read from the events that the outbox keeps: by a connection of its own that cannot write."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.events import Event
from gateway.web.view import CallSummary, CallView

# Calls looked through for one answer; with more, the time must be narrowed down.
LOOK_THROUGH = 5000


class HistoryError(Exception):
    """The store cannot be read now; the text says why."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for; empty fields say nothing.

    Attributes:
        number: Part of either party's number.
        text: Part of what was said, in any case.
        label: Part of a header's or a label's text.
        since: Only calls that ended later.
        until: Only calls that ended earlier.
        before: Only calls that come after this one in the list: its place.
        limit: How many at most.
    """

    number: str = ""
    text: str = ""
    label: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 50


class History:
    """Reads the store.

    Args:
        path: The SQLite file of the outbox.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def calls(self, query: Query) -> tuple[list[CallSummary], int | None]:
        """Returns calls that are over, newest first, and the place to go on from (None at the end).

        Raises:
            HistoryError: The store cannot be read.
        """
        return await asyncio.to_thread(self._guarded_calls, query)

    async def events(self, call: str, since: int = 0) -> list[Event]:
        """Returns the durable events of a call after a ``seq``, in order.

        Raises:
            HistoryError: The store cannot be read.
        """
        return await asyncio.to_thread(self._guarded_events, call, since)

    # in a thread

    def _guarded_calls(self, query: Query) -> tuple[list[CallSummary], int | None]:
        try:
            with closing(self._open()) as connection:
                return self._calls(connection, query)
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error

    def _guarded_events(self, call: str, since: int) -> list[Event]:
        try:
            with closing(self._open()) as connection:
                return list(_events(connection, call, since))
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=2)

    def _calls(self, connection: sqlite3.Connection, query: Query) -> tuple[list[CallSummary], int | None]:
        found: list[CallSummary] = []
        place = 2**63 - 1 if query.before is None else query.before
        rows = connection.execute(
            "SELECT number, body FROM events WHERE type = 'call.transcript.completed' AND number < ? AND number >= ?"
            " AND number <= ? ORDER BY number DESC LIMIT ?",
            (
                place,
                0 if query.since is None else int(query.since.timestamp() * 1e6),
                2**63 - 1 if query.until is None else int(query.until.timestamp() * 1e6),
                LOOK_THROUGH,
            ),
        )
        looked = 0
        for number, body in rows:
            looked += 1
            event = Event.from_wire(body)
            if _fits(event, query):
                view = CallView.of(_events(connection, event.call.id, 0))
                if view is not None:
                    found.append(view.summary())
                if len(found) == query.limit:
                    return found, number
        return found, number if looked == LOOK_THROUGH else None


def _events(connection: sqlite3.Connection, call: str, since: int) -> Iterator[Event]:
    query = "SELECT body FROM events WHERE call = ? AND seq > ? ORDER BY seq, number"
    for (body,) in connection.execute(query, (call, since)):
        yield Event.from_wire(body)


def _fits(event: Event, query: Query) -> bool:
    call = event.call
    if query.number and query.number not in call.from_number and query.number not in call.to_number:
        return False
    labels = [*call.headers.values(), *call.labels.values()]
    if query.label and not any(query.label.casefold() in text.casefold() for text in labels):
        return False
    if query.text:
        said = " ".join(words.text for words in getattr(event.data, "utterances", ()))
        return query.text.casefold() in said.casefold()
    return True
