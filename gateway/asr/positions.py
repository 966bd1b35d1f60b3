"""Where on the leg's clock each sample of one engine session was: pure, one entry for each break."""

from __future__ import annotations

from bisect import bisect_right


class PositionMap:
    """Maps a session's own samples to the leg's.

    Attributes:
        length: Samples of the session so far, announced silence counted.
    """

    def __init__(self) -> None:
        self._session: list[int] = []  # where each unbroken stretch begins in the session
        self._leg: list[int] = []  # and on the leg
        self._ends: list[int] = []  # where it ends in the session
        self.length = 0

    def add(self, first: int, samples: int) -> None:
        """Enters audio that was sent.

        Args:
            first: Its first sample on the leg's clock.
            samples: Its length.
        """
        unbroken = (
            self._ends and self._ends[-1] == self.length and first == self._leg[-1] + self.length - self._session[-1]
        )
        if not unbroken:
            self._session.append(self.length)
            self._leg.append(first)
            self._ends.append(self.length)
        self.length += samples
        self._ends[-1] = self.length

    def silence(self, samples: int) -> None:
        """Enters silence that was announced, not sent: time of the session that is none of the leg's clock."""
        self.length += samples

    def leg(self, sample: int) -> int:
        """Returns the leg's sample of a session's one; the nearest one for what is outside of all audio.

        A boundary between two stretches belongs to the later one, so that a word begins where its audio did; use
        ``leg_end`` for ends.
        """
        index = max(bisect_right(self._session, sample) - 1, 0)
        return self._at(index, sample)

    def leg_end(self, sample: int) -> int:
        """Returns the leg's position of an end: a boundary belongs to the stretch that it closes."""
        index = max(bisect_right(self._session, sample - 1) - 1, 0)
        return self._at(index, sample)

    def _at(self, index: int, sample: int) -> int:
        if not self._session:
            return 0
        inside = min(max(sample, self._session[index]), self._ends[index])
        return self._leg[index] + inside - self._session[index]
