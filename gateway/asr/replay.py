"""The audio of one leg that a recogniser may still need: not sent yet, or sent but not settled.

A pure buffer. When a session is lost, ``rewind`` makes everything unsettled unsent again, so that the next session gets
it; what had to be given up because the buffer was full is counted, never silently lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive audio of a leg.

    Attributes:
        first: First sample on the leg's clock.
        payload: G.711, one byte a sample, never empty.
        arrived: Monotonic nanoseconds of the last packet in it, 0 for fill alone.
    """

    first: int
    payload: bytes
    arrived: int

    @property
    def end(self) -> int:
        """One past its last sample."""
        return self.first + len(self.payload)


class ReplayBuffer:
    """Keeps at most ``capacity`` samples.

    Attributes:
        given_up: Samples dropped while the present session did not have them and their words were not settled.
        sent: Samples that a session got at least once.
        accounted: Of those, the samples of which the sessions before the present one settled the words.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pieces: deque[Piece] = deque()
        self._unsent = 0  # index of the first piece that the present session does not have
        self._held = 0
        self._high = 0  # end of what any session ever got
        self._settled = 0
        self._sent_for_nothing = 0
        self.given_up = 0
        self.sent = 0
        self.accounted = 0

    @property
    def held(self) -> int:
        """Samples in the buffer."""
        return self._held

    @property
    def backlog(self) -> int:
        """Samples that the present session does not have yet."""
        return sum(len(self._pieces[index].payload) for index in range(self._unsent, len(self._pieces)))

    @property
    def waiting(self) -> bool:
        """Whether something is unsent."""
        return self._unsent < len(self._pieces)

    def append(self, piece: Piece) -> None:
        """Adds audio; where that exceeds the capacity, the oldest goes."""
        self._pieces.append(piece)
        self._held += len(piece.payload)
        while self._held > self._capacity:
            self._drop_first()

    def take(self) -> Piece | None:
        """Returns the next unsent piece, which counts as sent from now on; None when there is none."""
        if not self.waiting:
            return None
        piece = self._pieces[self._unsent]
        self._unsent += 1
        self.sent += max(0, piece.end - max(piece.first, self._high))
        self._high = max(self._high, piece.end)
        self._forget()
        return piece

    def settle(self, sample: int) -> None:
        """Says that the words of everything before a sample are final: no session needs it again."""
        self._settled = max(self._settled, sample)
        self._forget()

    def rewind(self) -> int:
        """Makes all that is held unsent again, for a new session.

        Returns:
            The first sample that the new session will get.
        """
        self._forget()
        self._unsent = 0
        again = sum(len(piece.payload) for piece in self._pieces if piece.end <= self._high)
        self.accounted = self.sent - again - self._sent_for_nothing
        return self._pieces[0].first if self._pieces else self._high

    def _forget(self) -> None:
        while self._unsent and self._pieces[0].end <= self._settled:
            self._drop_first()

    def _drop_first(self) -> None:
        piece = self._pieces.popleft()
        self._held -= len(piece.payload)
        if self._unsent:
            self._unsent -= 1
        else:
            lost = max(0, piece.end - max(piece.first, self._settled))
            self.given_up += lost
            if piece.end <= self._high:
                self._sent_for_nothing += lost
