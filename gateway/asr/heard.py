"""How long an engine takes to work through audio, from what it says of how far it is. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# Writes that are remembered; of an engine that says nothing for longer, the oldest are forgotten.
LONGEST = 1000


class Heard:
    """Measures one session.

    Args:
        observe: Told the seconds between a write and the engine's word that it has worked through it.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._writes: deque[tuple[int, float]] = deque(maxlen=LONGEST)
        self.position = 0

    def wrote(self, samples: int, now: float) -> None:
        """Samples were written at a time (seconds on any steady clock)."""
        self.position += samples
        self._writes.append((self.position, now))

    def heard(self, position: int, now: float) -> None:
        """The engine has worked through so many samples; measured from the write of the last one of them."""
        written = None
        while self._writes and self._writes[0][0] <= position:
            written = self._writes.popleft()[1]
        if written is not None:
            self._observe(now - written)
