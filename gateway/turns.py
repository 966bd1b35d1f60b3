"""Has the event loop turn with the receiver's tick while many legs are up, instead of at each message that comes.

A thousand legs wake the loop two thousand times a second: for their chunks every few milliseconds, and for each message
of a recogniser in between, each time for a few microseconds' work and with cold caches. Waiting for the next tick lets
what came meanwhile be done together. What that costs is up to one tick of delay for what does not come from the
receiver.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

MANY = 100
"""Legs from which on it is worth while."""
LOOK = 0.5  # seconds from one look at how many there are to the next


class Turns:
    """Paces the running loop.

    Args:
        ready: A descriptor that is readable when the receiver has something; its reader stays as it is.
        tick: Milliseconds from one tick of the receiver to the next; 0 for no pacing.
        legs: Says how many legs are up.
    """

    def __init__(self, ready: int, tick: int, legs: Callable[[], int]) -> None:
        self._poll = select.poll()
        self._poll.register(ready, select.POLLIN)
        self._tick = tick
        self._legs = legs
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        if tick:
            self._handle = self._loop.call_soon(self._turn)

    def close(self) -> None:
        """Lets the loop go as it will."""
        if self._handle is not None:
            self._handle.cancel()

    def _turn(self) -> None:
        if self._legs() < MANY:
            self._handle = self._loop.call_later(LOOK, self._turn)
            return
        self._poll.poll(self._tick + 1)  # without the GIL: the other threads go on
        self._handle = self._loop.call_soon(self._turn)
