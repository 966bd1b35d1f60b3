"""Says results after a latency, in order."""

from __future__ import annotations

import asyncio
import random
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
        self._due = 0.0
        self._silent = False

    def say(self, act: Callable[[], None]) -> None:
        """Does something after the latency, and after all that was said before."""
        now = self._loop.time()
        due = max(self._due, now + self._latency.draw(self._dice))
        if due <= now:
            self._act(act)
            return
        self._due = due
        self._loop.call_at(due, self._act, act)

    def silence(self) -> None:
        """Says nothing any more, not even what was under way."""
        self._silent = True

    def _act(self, act: Callable[[], None]) -> None:
        if not self._silent:
            act()
