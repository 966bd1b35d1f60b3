"""Says results after a latency, in order."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from gateway.asr.fake.core import Latency


class Speaker:
    """One session's results on their way out.

    Args:
        latency: Drawn for each result.
        dice: Where from.
    """

    def __init__(self, latency: Latency, dice: random.Random) -> None:
        self._latency = latency
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Callable[[], None]] = deque()
        self._due = 0.0
        self._silent = False

    def say(self, act: Callable[[], None]) -> None:
        """Does something after the latency, and after all that was said before."""
        if self._silent:
            return
        now = self._loop.time()
        due = max(self._due, now + self._latency.draw(self._dice))
        if due <= now and not self._waiting:
            act()
            return
        self._due = due
        self._waiting.append(act)
        self._loop.call_at(due, self._next)  # timers of the same moment fire in any order

    def silence(self) -> None:
        """Says nothing any more, not even what was under way."""
        self._silent = True
        self._waiting.clear()

    def _next(self) -> None:
        if self._waiting:
            self._waiting.popleft()()
