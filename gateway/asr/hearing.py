"""How far an engine without cursors has certainly come when it speaks up. Pure.

Its text says nothing of the audio that it covers, and lags behind what was sent: by a tenth of a second on a good day,
by several in a storm. Words that are taken for final too early are lost when the engine dies just then; so the position
is taken from what the engine is known for: that it speaks up once for each block of audio (Palatine: 300 ms), whether
it found words in it or not.
"""

from __future__ import annotations

# An engine that is known to speak up for each block, and is further behind than this, does not (seconds).
LONGEST_LAG = 10.0


class Hearing:
    """Follows one session.

    Args:
        block: Samples after each of which the engine speaks up; None where it is not known for that.

    Attributes:
        heard: Samples of the session that it has worked through, at the least.
    """

    def __init__(self, block: int | None) -> None:
        self.heard = 0
        self._block = block
        self._blocks = 0
        self._before = 0  # what it had when it spoke up before
        self._mark = (float("-inf"), 0)  # a time, and what it had then
        self._old = 0  # what it had at least ``LONGEST_LAG`` ago

    def spoke(self, got: int, now: float, cursor: int | None = None, times: int = 1) -> int:
        """The engine spoke up.

        Args:
            got: Samples that the session has.
            now: The time (seconds).
            cursor: Samples that it has worked through, where it says so.
            times: How often it said the same, which came together.

        Returns:
            ``heard``. Of an engine of which nothing is known: what it had when it spoke up the time before.
        """
        self._blocks += times
        if now - self._mark[0] >= LONGEST_LAG:
            self._mark, self._old = (now, got), self._mark[1]
        if cursor is not None:
            heard = cursor
        elif self._block is None:
            heard = self._before
        else:
            heard = self._blocks * self._block
            if not self._old <= heard < got + self._block:  # it speaks up more seldom, or more often
                self._block, heard = None, self._before
        self._before = got
        self.heard = max(self.heard, min(heard, got))
        return self.heard
