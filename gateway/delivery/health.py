"""Whether an endpoint is up, and how many requests it gets at once: a state machine without I/O or clock.

A refused event says little about its endpoint; many refusals in a row, of several calls and without one success between
them, say that it is down. Then it gets one request at a time, after waits that grow to a minute, so that its return is
noticed soon whatever the schedule of the events. When it takes one it gets one more at once for each that it takes,
until it is up: what piled up meanwhile does not come down on it all at once.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

FAILURES: Final = 10
CALLS: Final = 3
PROBE_FIRST: Final = 1.0
PROBE_MAX: Final = 60.0
JITTER: Final = 0.2


class State(Enum):
    """How an endpoint fares."""

    UP = "up"
    DOWN = "down"
    RECOVERING = "recovering"


class Health:
    """The state of one endpoint.

    Args:
        concurrency: Requests at once while it is up.

    Attributes:
        state: How it fares.
        probe_at: When it is down: not before this may the next request go, on the clock of the calls.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._window = concurrency
        self._failures = 0
        self._calls: set[str] = set()
        self._probes = 0
        self.state = State.UP
        self.probe_at = 0.0

    def room(self, now: float) -> int:
        """Returns how many requests may be in flight."""
        if self.state is State.DOWN:
            return int(now >= self.probe_at)
        return self._window

    def success(self) -> bool:
        """It took an event.

        Returns:
            Whether it was down until now.
        """
        was_down = self.state is State.DOWN
        self._failures = self._probes = 0
        self._calls.clear()
        if was_down:
            self.state, self._window = State.RECOVERING, 1
        elif self.state is State.RECOVERING:
            self._window += 1
        if self.state is State.RECOVERING and self._window >= self._concurrency:
            self.state, self._window = State.UP, self._concurrency
        return was_down

    def failure(self, call: str, now: float, draw: float, retry_after: float | None = None) -> bool:
        """It did not take an event.

        Args:
            call: The call of the event.
            now: Seconds on any steady clock.
            draw: A random number from 0 to 1.
            retry_after: Seconds that it asked to be left alone; None when it did not.

        Returns:
            Whether it is down from now on, and was not before.
        """
        self._failures += 1
        self._calls.add(call)
        if self.state is State.UP and (self._failures < FAILURES or len(self._calls) < CALLS):
            return False
        fell = self.state is not State.DOWN
        if fell:
            self._calls.clear()
            self.state = State.DOWN
        elif now < self.probe_at:
            # one that was under way when it fell
            return False
        wait = min(PROBE_FIRST * 2**self._probes, PROBE_MAX)
        self._probes = min(self._probes + 1, 10)
        if retry_after is not None:
            wait = max(wait, min(retry_after, 3600.0))
        self.probe_at = now + wait * (1 + JITTER * draw)
        return fell
