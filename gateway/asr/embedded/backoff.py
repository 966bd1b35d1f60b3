"""How long to wait before a process that died is started again."""

from __future__ import annotations

FIRST_SECONDS = 0.2
MAX_SECONDS = 5.0
STEADY_SECONDS = 10.0
"""A process that lived this long was well: the next wait is the first one again."""


class Backoff:
    """Doubling waits."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def after(self, lived_seconds: float) -> float:
        """Returns the wait after a process died.

        Args:
            lived_seconds: How long it was ready; 0 when it never was.

        Returns:
            Seconds.
        """
        if lived_seconds >= STEADY_SECONDS:
            self._next = FIRST_SECONDS
        wait = self._next
        self._next = min(2 * wait, MAX_SECONDS)
        return wait
