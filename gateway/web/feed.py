"""What viewers follow: the events of all calls in one numbered row, kept for a while so that nobody misses any.

A viewer has no queue of its own. It remembers a place in the row and reads on from there; one that was away (a cut
connection, a page that sleeps) reads on from the place it names. The policy when the row is full is *drop the oldest*:
a viewer whose place is gone starts again from a snapshot, which is the same as having missed nothing.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from typing import Any

from gateway.events import Event

# Events kept: two minutes of 200 calls that talk.
ROW = 20_000
# Viewers are served together, this often (seconds): faster than an eye, and one encoding serves all.
BEAT = 0.1


def frame(kind: str, data: bytes, place: str = "") -> bytes:
    """Returns one server-sent event; ``data`` must be free of line breaks, as JSON is."""
    name = b"id: %s\n" % place.encode() if place else b""
    return b"%sevent: %s\ndata: %s\n\n" % (name, kind.encode(), data)


class Feed:
    """The row of events.

    Attributes:
        end: Number of the newest event.
        restarts: Viewers that had to start from a snapshot because their place was gone.
        viewers: Streams that are open.
    """

    def __init__(self, row: int = ROW) -> None:
        # a place is of no use to another run of the gateway, whose numbers mean other events
        self._run = secrets.token_hex(4)
        self._row: deque[tuple[str, Event]] = deque(maxlen=row)
        self._woken = asyncio.Event()
        self._joined: dict[tuple[int, int], bytes] = {}
        self._frames: dict[int, bytes] = {}
        self._levels = b""
        self._beat = 0
        self.closed = False
        self.end = 0
        self.restarts = 0
        self.viewers = 0

    @property
    def first(self) -> int:
        """Number of the oldest event that is kept."""
        return self.end - len(self._row) + 1

    def place(self, number: int | None = None) -> str:
        """Returns the name of a place in the row: after event ``number``, or at its end."""
        return f"{self._run}-{self.end if number is None else number}"

    def number(self, place: str) -> int | None:
        """Returns the number of a place; None where it names another run, nothing, or what is not kept any more."""
        run, _, number = place.partition("-")
        if run != self._run or not number.isdecimal() or not number.isascii():
            return None
        known = int(number)
        return known if self.first - 1 <= known <= self.end else None

    def publish(self, event: Event) -> None:
        """Takes an event."""
        self.end += 1
        self._row.append((event.call.id, event))
        self._woken.set()

    def levels(self, levels: dict[str, Any]) -> None:
        """Takes how loud the legs are now, by call; not numbered, and never sent again."""
        self._levels = frame("levels", json.dumps(levels, separators=(",", ":")).encode()) if levels else b""
        self._beat += 1
        self._woken.set()

    def since(self, number: int, call: str | None = None) -> bytes | None:
        """Returns all events after a number as server-sent events.

        Args:
            number: As ``end`` was.
            call: Of this call alone; None for all.

        Returns:
            The bytes, empty where there is nothing new; None where some are not kept any more.
        """
        if number < self.first - 1:
            return None
        if number == self.end:
            return b""
        if call is not None:
            wanted = (index for index in range(number + 1, self.end + 1) if self._row[index - self.first][0] == call)
            return b"".join(self._frame(index) for index in wanted)
        known = self._joined.get((number, self.end))
        if known is None:
            known = b"".join(self._frame(index) for index in range(number + 1, self.end + 1))
            # what viewers that keep up ask for at the same beat; older stretches are of no use to others
            self._joined = {(number, self.end): known}
        return known

    async def wait(self, number: int, beat: int) -> tuple[int, bytes]:
        """Waits until there is something new, then for the beat at which all viewers are served.

        Args:
            number: What the viewer has.
            beat: Of the levels that it has.

        Returns:
            The beat of the newest levels, and these as a server-sent event where the viewer has not had them.
        """
        while self.end == number and self._beat == beat and not self.closed:
            self._woken.clear()
            await self._woken.wait()
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(BEAT - now % BEAT)
        return self._beat, self._levels if self._beat != beat else b""

    def close(self) -> None:
        """Ends all streams."""
        self.closed = True
        self._woken.set()

    def _frame(self, number: int) -> bytes:
        made = self._frames.get(number)
        if made is None:
            if len(self._frames) > 4096:
                self._frames.clear()
            made = self._frames[number] = frame("call", self._row[number - self.first][1].wire(), self.place(number))
        return made
